"""Reads Terraform's configuration language as far as it describes what a module takes and gives.

`sources.py` calls it. It is the only importer of `hcl2` and turns that library's tree into the few shapes
below. It never evaluates anything: what is not a literal is `Opaque`.
"""

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from textwrap import dedent
from typing import Any

import hcl2
from hcl2.rules.abstract import LarkElement, LarkRule, LarkToken
from hcl2.rules.base import AttributeRule, BlockRule, BodyRule
from hcl2.rules.containers import ObjectElemKeyRule, ObjectElemRule, ObjectRule, TupleRule
from hcl2.rules.expressions import ExprTermRule, UnaryOpRule
from hcl2.rules.functions import FunctionCallRule
from hcl2.rules.literal_rules import FloatLitRule, IdentifierRule, IntLitRule, LiteralValueRule
from hcl2.rules.strings import HeredocTemplateRule, HeredocTrimTemplateRule, StringRule
from hcl2.utils import process_escape_sequences
from lark.exceptions import LarkError, UnexpectedInput

MAX_FILE_BYTES = 1 << 20
_TEMPLATE = re.compile(r"(?<!\$)\$\{|(?<!%)%\{")
_HEREDOC = re.compile(r"<<(-?)(\S+)\r?\n(.*?)[ \t]*\2\s*\Z", re.DOTALL)


class HclError(Exception):
    """A text that is not HCL.

    Args:
        message: What is wrong.
        line: Where, from 1; 0 where that is not known.
    """

    def __init__(self, message: str, line: int = 0) -> None:
        super().__init__(message)
        self.message = message
        self.line = line


@dataclass(frozen=True, slots=True)
class Literal:
    """A string, number, bool or null that stands in the text."""

    value: str | int | float | bool | None


@dataclass(frozen=True, slots=True)
class Name:
    """A bare word, such as `string` in a type."""

    text: str


@dataclass(frozen=True, slots=True)
class Call:
    """A function call, or a type with arguments such as `list(string)`."""

    function: str
    arguments: "tuple[Expression, ...]"


@dataclass(frozen=True, slots=True)
class Items:
    """A tuple or list in brackets."""

    items: "tuple[Expression, ...]"


@dataclass(frozen=True, slots=True)
class Fields:
    """An object in braces."""

    fields: "tuple[tuple[str, Expression], ...]"


@dataclass(frozen=True, slots=True)
class Opaque:
    """Anything that would have to be evaluated."""


Expression = Literal | Name | Call | Items | Fields | Opaque


@dataclass(frozen=True, slots=True)
class Block:
    """A block with its attributes; the blocks within it are left out."""

    kind: str
    labels: tuple[str, ...] = ()
    attributes: Mapping[str, Expression] = field(default_factory=dict)


def parse_blocks(text: str) -> tuple[Block, ...]:
    """Read the blocks of a `.tf` file."""
    return tuple(_block(child) for child in _body(text).children if isinstance(child, BlockRule))


def parse_attributes(text: str) -> Mapping[str, Expression]:
    """Read the attributes of a `.tfvars` file."""
    return _attributes(_body(text))


def parse_expression(text: str) -> Expression:
    """Read one expression, such as the type in a `.tf.json` file."""
    return parse_attributes(f"it = {text}\n").get("it", Opaque())


def parse_json(text: str) -> Mapping[str, Any]:
    """Read a JSON document that must be an object."""
    try:
        document = json.loads(text)
    except json.JSONDecodeError as error:
        raise HclError(error.msg, error.lineno) from error
    except RecursionError as error:
        raise HclError("it is nested too deeply") from error
    if not isinstance(document, dict):
        raise HclError("it must be a JSON object", 1)
    return document


def literal(expression: Expression) -> tuple[bool, Any]:
    """Say whether an expression stands for itself, and as what."""
    match expression:
        case Literal(value):
            return True, value
        case Items(items):
            parts = [literal(item) for item in items]
            return all(known for known, _ in parts), [value for _, value in parts]
        case Fields(fields):
            pairs = [(key, *literal(value)) for key, value in fields]
            return all(known for _, known, _ in pairs), {key: value for key, _, value in pairs}
        case _:
            return False, None


def quoted(value: Any) -> str:
    """Write JSON-like data as an HCL expression in which nothing is a template.

    Terraform reads values for variables of compound types from the environment as expressions.
    """
    match value:
        case None | bool() | int() | float():
            return json.dumps(value)
        case str():
            return _quoted_text(value)
        case dict():
            inner = ", ".join(f"{_quoted_text(str(key))} = {quoted(item)}" for key, item in value.items())
            return f"{{{inner}}}"
        case _:
            return f"[{', '.join(quoted(item) for item in value)}]"


def _quoted_text(text: str) -> str:
    return '"' + "".join(_escaped(char) for char in text) + '"'


def _escaped(char: str) -> str:
    # Escapes are undone after templates were looked for, so an escaped `$` never opens one.
    return char if char.isprintable() and char not in '"\\$%' else f"\\U{ord(char):08x}"


def _body(text: str) -> BodyRule:
    if len(text) > MAX_FILE_BYTES:
        raise HclError(f"it is larger than {MAX_FILE_BYTES} bytes")
    try:
        return hcl2.parses(text if text.endswith("\n") else f"{text}\n").body
    except UnexpectedInput as error:
        raise HclError(str(error).splitlines()[0], max(error.line, 0)) from error
    except (LarkError, ValueError, RuntimeError) as error:  # RuntimeError includes RecursionError
        raise HclError(str(error).splitlines()[0] if str(error) else type(error).__name__) from error


def _block(rule: BlockRule) -> Block:
    kind, *labels = [_label(label) for label in rule.labels]
    return Block(kind, tuple(labels), _attributes(rule.body))


def _label(rule: LarkRule) -> str:
    match _expression(rule):
        case Literal(str(text)) | Name(text):
            return text
        case _:
            return ""


def _attributes(body: BodyRule) -> dict[str, Expression]:
    return {
        str(child.identifier.serialize()): _expression(child.expression)
        for child in body.children
        if isinstance(child, AttributeRule)
    }


def _expression(rule: LarkElement) -> Expression:  # noqa: PLR0911 - one line per shape
    match rule:
        case ExprTermRule():
            inner = _inner(rule)
            return _expression(inner[0]) if len(inner) == 1 else Opaque()
        case IdentifierRule():
            return Name(str(rule.serialize()))
        case LiteralValueRule() | IntLitRule() | FloatLitRule():
            return _plain(str(_token_text(rule)))
        case StringRule():
            return _string(rule)
        case HeredocTrimTemplateRule() | HeredocTemplateRule():
            return _heredoc(_token_text(rule))
        case UnaryOpRule():
            return _negative(rule)
        case FunctionCallRule():
            arguments = rule.arguments
            given = arguments.arguments if arguments else []
            name = "::".join(str(word.serialize()) for word in rule.identifiers)
            return Call(name, tuple(_expression(argument) for argument in given))
        case TupleRule():
            return Items(tuple(_expression(element) for element in rule.elements))
        case ObjectRule():
            return _object(rule)
        case _:
            return Opaque()


def _inner(rule: LarkRule) -> list[LarkRule]:
    return [
        child
        for child in rule.children
        if isinstance(child, LarkRule) and child.lark_name() != "new_line_or_comment"
    ]


def _token_text(rule: LarkRule) -> str:
    return "".join(str(child.value) for child in rule.children if isinstance(child, LarkToken))


def _plain(word: str) -> Expression:
    try:
        return Literal(json.loads(word))  # null, true, false and numbers are written alike
    except json.JSONDecodeError:
        return Opaque()


def _negative(rule: UnaryOpRule) -> Expression:
    match (_token_text(rule).strip(), [_expression(inner) for inner in _inner(rule)]):
        case ("-", [Literal(int() | float() as number)]):
            return Literal(-number)
        case _:
            return Opaque()


def _object(rule: ObjectRule) -> Expression:
    fields = []
    for element in rule.elements:
        key = _key(element)
        if key is None:
            return Opaque()
        fields.append((key, _expression(element.expression)))
    return Fields(tuple(fields))


def _key(element: ObjectElemRule) -> str | None:
    key: object = element.key  # a computed key is another rule, whatever the library's annotation says
    if not isinstance(key, ObjectElemKeyRule):
        return None
    match _expression(key.value):
        case Name(text):
            return text
        case Literal(str() | int() | float() as value):
            return str(value)
        case _:
            return None


def _string(rule: StringRule) -> Expression:
    text = ""
    for part in _parts(rule):
        if not isinstance(part, LarkToken):
            return Opaque()
        chars = str(part.value)
        text += chars[1:] if chars.startswith(("$${", "%%{")) else process_escape_sequences(chars)
    return Literal(text)


def _parts(rule: StringRule) -> Iterator[LarkElement]:
    for part in rule.children:
        if isinstance(part, LarkRule):
            yield from part.children


def _heredoc(text: str) -> Expression:
    found = _HEREDOC.match(text)
    if found is None or _TEMPLATE.search(found[3]):
        return Opaque()
    body = found[3].replace("$${", "${").replace("%%{", "%{")
    return Literal(dedent(body) if found[1] else body)
