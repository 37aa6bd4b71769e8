"""Where an expression begins and ends within a string."""

import pytest

from enchain.chains import templates
from enchain.chains.templates import Hole


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("", ()),
        ("plain $ {text}", ("plain $ {text}",)),
        ("${a}", (Hole("a"),)),
        ("a ${b} c", ("a ", Hole("b"), " c")),
        ("${a}${b}", (Hole("a"), Hole("b"))),
        ("$${a} ${b}", ("${a} ", Hole("b"))),
        ("${ {'a': {'b': 1}} }", (Hole(" {'a': {'b': 1}} "),)),
        ("${'}'}x", (Hole("'}'"), "x")),
        ('${"}"}', (Hole('"}"'),)),
        (r"${'\'}'}", (Hole(r"'\'}'"),)),
        (r"${r'\'}", (Hole(r"r'\'"),)),
        ("${'''}'''}", (Hole("'''}'''"),)),
        ("${b'}'}", (Hole("b'}'"),)),
        ("${a // }\n + b}", (Hole("a // }\n + b"),)),
        ("${inputs.rb}", (Hole("inputs.rb"),)),
    ],
)
def test_braces_strings_and_comments_are_stepped_over(text: str, parts: tuple[templates.Part, ...]) -> None:
    assert templates.parse(text) == parts


@pytest.mark.parametrize("text", ["${", "${a", "x ${'}", "${{'a': 1}", "${}", "${  }", "${a} ${"])
def test_a_template_without_an_end_or_content_is_refused(text: str) -> None:
    with pytest.raises(templates.TemplateError) as caught:
        templates.parse(text)

    assert "$${" in caught.value.message


def test_a_template_has_a_length() -> None:
    with pytest.raises(templates.TemplateError):
        templates.parse("${a}" + "x" * templates.TEMPLATE_CHARS_MAX)


def test_a_dollar_before_a_hole_can_be_written() -> None:
    written = templates.show(("costs $", Hole("inputs.price")))

    assert templates.parse(written) == ("costs ", Hole("'$'"), Hole("inputs.price"))
