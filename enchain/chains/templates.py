"""Templates: strings with expressions in `${…}`.

`expressions` and the checks call it. `$${` stands for the two characters `${`. Where an expression ends is
found by its own rules: braces, strings and comments inside it are stepped over. Nothing here knows what an
expression means.
"""

import re
from dataclasses import dataclass
from functools import lru_cache

from enchain.chains.errors import InvalidArgumentError, Violation

TEMPLATE_CHARS_MAX = 16 * 1024
OPEN, ESCAPED = "${", "$${"

_STRING = re.compile(r"""(?P<prefix>[rRbB]{0,2})(?P<quote>\"\"\"|'''|"|')""")


@dataclass(frozen=True, slots=True)
class Hole:
    """An expression within a template, just as it stands between `${` and `}`."""

    source: str


Part = str | Hole


class TemplateError(InvalidArgumentError):
    """A template has no end, or nothing in it."""

    default_reason = "TEMPLATE_INVALID"


@lru_cache(maxsize=4096)
def parse(text: str) -> tuple[Part, ...]:
    """Split a template into its text and its expressions; empty text is left out.

    Raises:
        TemplateError: A `${` is never closed, or holds nothing, or the template is too long.
    """
    if OPEN not in text:
        return (text,) if text else ()
    if len(text) > TEMPLATE_CHARS_MAX:
        raise _wrong(f"the template is longer than {TEMPLATE_CHARS_MAX} characters")
    parts: list[Part] = []
    plain: list[str] = []
    at = 0
    while at < len(text):
        if text.startswith(ESCAPED, at):
            plain.append(OPEN)
            at += len(ESCAPED)
        elif text.startswith(OPEN, at):
            end = _end_of_hole(text, at + len(OPEN))
            if plain:
                parts.append("".join(plain))
                plain = []
            parts.append(_hole(text[at + len(OPEN) : end]))
            at = end + 1
        else:
            plain.append(text[at])
            at += 1
    if plain:
        parts.append("".join(plain))
    return tuple(parts)


def show(parts: tuple[Part, ...]) -> str:
    """Write parts as the template that `parse` splits into them again."""
    written = []
    for index, part in enumerate(parts):
        following = parts[index + 1] if index + 1 < len(parts) else ""
        if isinstance(part, Hole):
            written.append(f"{OPEN}{part.source}}}")
        elif part.endswith("$") and isinstance(following, Hole):
            # A dollar right before a hole would read as an escape, and so would one before that.
            text = part.rstrip("$")
            written.append(text.replace(OPEN, ESCAPED) + "${'$'}" * (len(part) - len(text)))
        else:
            written.append(part.replace(OPEN, ESCAPED))
    return "".join(written)


def _wrong(description: str) -> TemplateError:
    return TemplateError(description, violations=[Violation("template", description, "TEMPLATE_INVALID")])


def _hole(source: str) -> Hole:
    if not source.strip():
        raise _wrong("${} holds no expression; write $${ where you mean the characters themselves")
    return Hole(source)


def _end_of_hole(text: str, start: int) -> int:
    """Index of the brace that closes a hole whose expression begins at `start`."""
    at, depth = start, 0
    while at < len(text):
        char = text[at]
        if char == "}" and depth == 0:
            return at
        if char in "rRbB'\"":
            at = _after_string(text, at)
            continue
        if text.startswith("//", at):
            newline = text.find("\n", at)
            at = len(text) if newline < 0 else newline + 1
            continue
        depth += (char == "{") - (char == "}")
        at += 1
    shown = text[start - 2 : start + 38]
    raise _wrong(
        f"“{shown}” is never closed; add the missing }}, or write $${{ for the characters themselves"
    )


def _after_string(text: str, at: int) -> int:
    """Index behind the string literal at `at`, or behind the one character where there is none."""
    if at and (text[at - 1].isalnum() or text[at - 1] == "_") and text[at] not in "'\"":
        return at + 1
    begins = _STRING.match(text, at)
    if not begins:
        return at + 1
    quote, raw, at = begins["quote"], "r" in begins["prefix"].lower(), begins.end()
    while at < len(text):
        if text.startswith(quote, at):
            return at + len(quote)
        at += 2 if text[at] == "\\" and not raw else 1
    return at
