"""Agreement: does a value keep a JSON Schema, where parts of it may be known by their type only?

The checks of inputs, chains and schemas call it. An expression's result or a secret is a `Typed`: every rule
of the schema that needs the value itself is left to the engine, which sees it; the rules about types,
required fields and unknown fields are kept here. Nothing is ever fetched: a `$ref` leads within its schema.
"""

import difflib
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import jsonschema
import referencing
from jsonschema import validators

from enchain.chains.errors import Violation
from enchain.chains.values import Json, SecretRef

KINDS = frozenset({"string", "integer", "number", "boolean", "object", "array", "null"})
SHOWN_CHARS_MAX = 120


@dataclass(frozen=True, slots=True)
class Typed:
    """A value that is not known yet.

    Attributes:
        kinds: JSON types that it may have; None for any.
        what: What it is, for people, such as `${inputs.size}`.
        remedy: What to do where the types do not agree; may be empty.
        secret: It is a secret, and can only be passed on whole.
    """

    kinds: frozenset[str] | None = None
    what: str = "the value"
    remedy: str = ""
    secret: bool = False

    def may_be(self, wanted: frozenset[str]) -> bool:
        """Whether it may have one of the types."""
        if self.kinds is None:
            return True
        wider = wanted | {"integer"} if "number" in wanted else wanted
        return bool(self.kinds & wider)


def faults(schema: Mapping[str, Json], plain: Json, field: str) -> list[Violation]:
    """Answer everything in which a value does not keep a schema that `schemas.check_schema` has passed."""
    validator = _Validator(
        dict(schema), registry=referencing.Registry(), format_checker=_Validator.FORMAT_CHECKER
    )
    found: dict[Violation, None] = {}
    for error in validator.iter_errors(_blank_secrets(plain)):
        found.update(dict.fromkeys(_violations(error, field)))
    return list(found)


def join(field: str, path: Sequence[str | int]) -> str:
    """Path of a part of a field, such as `inputs.run[2]`."""
    for step in path:
        field = f"{field}[{step}]" if isinstance(step, int) else f"{field}.{step}" if field else step
    return field


def _blank_secrets(plain: Json) -> Json:
    if isinstance(plain, SecretRef):
        return Typed(frozenset({"string"}), "a secret", secret=True)
    if isinstance(plain, Mapping):
        return {k: _blank_secrets(v) for k, v in plain.items()}
    if isinstance(plain, list | tuple):
        return [_blank_secrets(v) for v in plain]
    return plain


def _holds_typed(plain: Json) -> bool:
    if isinstance(plain, dict):
        return any(_holds_typed(v) for v in plain.values())
    if isinstance(plain, list):
        return any(_holds_typed(v) for v in plain)
    return isinstance(plain, Typed)


# --- the validator: Draft 2020-12, with rules that a value known by type only cannot break left out


Rule = Callable[[Any, Any, Any, Any], Iterator[jsonschema.ValidationError] | None]


def _type(
    validator: Any, wanted: Json, instance: Json, schema: Json
) -> Iterator[jsonschema.ValidationError] | None:
    if not isinstance(instance, Typed):
        return _DRAFT["type"](validator, wanted, instance, schema)
    names = frozenset([wanted] if isinstance(wanted, str) else wanted)
    if instance.may_be(names):
        return None
    return iter([jsonschema.ValidationError("the types do not agree")])


def _one_of(
    validator: Any, wanted: Json, instance: Json, schema: Json
) -> Iterator[jsonschema.ValidationError] | None:
    # Several branches may fit what is known by type only; which one does is seen when it is known.
    rule = "anyOf" if _holds_typed(instance) else "oneOf"
    return _DRAFT[rule](validator, wanted, instance, schema)


def _allowed(rule: Rule) -> Rule:
    """`enum` and `const`: a value known by type may still be one of those allowed."""

    def keep(
        validator: Any, wanted: Json, instance: Json, schema: Json
    ) -> Iterator[jsonschema.ValidationError] | None:
        if isinstance(instance, Typed):
            choices = wanted if isinstance(wanted, list) else [wanted]
            if not instance.may_be(frozenset(kind_of(c) for c in choices)):
                return iter([jsonschema.ValidationError("the types do not agree")])
            return None
        return None if _holds_typed(instance) else rule(validator, wanted, instance, schema)

    return keep


def _whole(rule: Rule) -> Rule:
    """Rules that compare the parts of a value with each other, or negate: they need all of it."""

    def keep(
        validator: Any, wanted: Json, instance: Json, schema: Json
    ) -> Iterator[jsonschema.ValidationError] | None:
        return None if _holds_typed(instance) else rule(validator, wanted, instance, schema)

    return keep


def _known(rule: Rule) -> Rule:
    """All other rules about a value itself."""

    def keep(
        validator: Any, wanted: Json, instance: Json, schema: Json
    ) -> Iterator[jsonschema.ValidationError] | None:
        return None if isinstance(instance, Typed) else rule(validator, wanted, instance, schema)

    return keep


_DRAFT: Mapping[str, Rule] = dict(jsonschema.Draft202012Validator.VALIDATORS)
_PASSED_ON = ("$ref", "$dynamicRef", "allOf", "anyOf")
_NEED_ALL = ("not", "if", "uniqueItems", "contains", "unevaluatedItems", "unevaluatedProperties")

_RULES: dict[str, Rule] = {name: _known(rule) for name, rule in _DRAFT.items()}
_RULES.update({name: _DRAFT[name] for name in _PASSED_ON})
_RULES.update({name: _whole(_DRAFT[name]) for name in _NEED_ALL})
_RULES.update({name: _allowed(_DRAFT[name]) for name in ("enum", "const")})
_RULES.update({"type": _type, "oneOf": _one_of})

_Validator: Any = validators.extend(  # type: ignore[no-untyped-call]  # the stubs leave it open
    jsonschema.Draft202012Validator, validators=_RULES
)


# --- what people are told


def kind_of(plain: Json) -> str:
    """JSON type of a plain value."""
    kinds = {type(None): "null", bool: "boolean", int: "integer", float: "number", str: "string"}
    return kinds.get(type(plain), "array" if isinstance(plain, list | tuple) else "object")


def _violations(error: jsonschema.ValidationError, field: str) -> list[Violation]:
    where, rule, instance = join(field, list(error.absolute_path)), error.validator, error.instance
    if rule in ("anyOf", "oneOf"):
        return _no_branch(error, field)
    told = _OF_SEVERAL.get(str(rule))
    if told:
        return told(error, where)
    return [_violation(str(rule), error.validator_value, instance, where)]


def _violation(rule: str, wanted: Any, instance: Json, where: str) -> Violation:
    if isinstance(instance, Typed):
        return _types_differ(rule, wanted, where, instance)
    if rule == "type":
        told = f"it is {_article(kind_of(instance))}; {_wanted(wanted)} is wanted"
        return Violation(where, told, "TYPE_MISMATCH")
    if rule == "enum":
        told = f"it must be one of {', '.join(_shown(choice) for choice in wanted)}"
        return Violation(where, told, "NOT_ALLOWED")
    return Violation(where, f"it does not keep {rule}: {_shown(wanted)}", "OUT_OF_SCHEMA")


def _missing_fields(error: jsonschema.ValidationError, where: str) -> list[Violation]:
    wanted: Any = error.validator_value
    given: Any = error.instance
    missing = [name for name in wanted if name not in given]
    return [Violation(join(where, [m]), f"{m} is required and missing", "REQUIRED") for m in missing]


def _types_differ(rule: str, allowed: Any, where: str, typed: Typed) -> Violation:
    wanted = _wanted(allowed) if rule == "type" else f"one of {_shown(allowed)}"
    kinds = " or ".join(_article(k) for k in sorted(typed.kinds or KINDS))
    told = f"{typed.what} is {kinds}; {wanted} is wanted"
    return Violation(where, f"{told}; {typed.remedy}" if typed.remedy else told, "TYPE_MISMATCH")


def _unknown_fields(error: jsonschema.ValidationError, where: str) -> list[Violation]:
    known = list(error.schema.get("properties", {})) if isinstance(error.schema, Mapping) else []
    given: Any = error.instance
    extra = [name for name in given if name not in known]
    found = []
    for name in extra:
        near = difflib.get_close_matches(str(name), known, n=1)
        hint = f"did you mean {near[0]}?" if near else f"known are: {', '.join(known) or 'none at all'}"
        found.append(Violation(join(where, [name]), f"{name} is not known; {hint}", "UNKNOWN_FIELD"))
    return found


def _no_branch(error: jsonschema.ValidationError, field: str) -> list[Violation]:
    """None of several forms fits: tell all the types wanted, or what is wrong with the nearest form."""
    below = list(error.context or ())
    here = [e for e in below if e.validator == "type" and e.absolute_path == error.absolute_path]
    if below and len(here) == len(below):
        named: list[Any] = [e.validator_value for e in here]
        kinds = [kind for n in named for kind in ([n] if isinstance(n, str) else n)]
        where = join(field, list(error.absolute_path))
        return [_violation("type", list(dict.fromkeys(kinds)), error.instance, where)]
    nearest = jsonschema.exceptions.best_match(iter(below))
    if nearest is not None:
        return _violations(nearest, field)
    told = f"it fits more than one of the forms of {error.validator}"
    return [Violation(join(field, list(error.absolute_path)), told, "OUT_OF_SCHEMA")]


_OF_SEVERAL: dict[str, Callable[[jsonschema.ValidationError, str], list[Violation]]] = {
    "required": _missing_fields,
    "additionalProperties": _unknown_fields,
    "unevaluatedProperties": _unknown_fields,
}


def _article(kind: str) -> str:
    return {"null": "null", "array": "an array", "object": "an object", "integer": "an integer"}.get(
        kind, f"a {kind}"
    )


def _wanted(kinds: str | Sequence[str]) -> str:
    return _article(kinds) if isinstance(kinds, str) else " or ".join(_article(k) for k in kinds)


def _shown(plain: Json) -> str:
    text = json.dumps(plain, ensure_ascii=False, default=str)
    return text if len(text) <= SHOWN_CHARS_MAX else f"{text[: SHOWN_CHARS_MAX - 1]}…"
