"""Wiring: do the expressions of one place fit what may be read there?

The checks of workloads and chains call it. It turns values with templates into values with `Typed` parts,
which `agreement` then holds against the engine's schema, and tells every expression that reads what it may
not: a later step, a step of the same call, a variable of the engine amid other things.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from enchain.chains import expressions, templates
from enchain.chains.agreement import Typed, join
from enchain.chains.errors import InvalidArgumentError, Violation
from enchain.chains.schemas import kinds_of
from enchain.chains.values import Json, to_python
from enchain.v1 import value_pb2

_SCALARS = frozenset({"string", "integer", "number", "boolean"})
_STRING = frozenset({"string"})


@dataclass(frozen=True, slots=True)
class Place:
    """Where expressions stand, and so what they may read.

    Attributes:
        types: Types of the inputs and of the outputs of earlier steps.
        variables: Variables of the engine, with their schemas; None where the engine has not been asked yet.
        own: Steps that the same call does.
        later: Steps that run after it.
    """

    types: expressions.Types
    variables: Mapping[str, Json] | None = field(default_factory=dict)
    own: frozenset[str] = frozenset()
    later: frozenset[str] = frozenset()


def typed_values(
    values: Mapping[str, value_pb2.Value], place: Place, where: str
) -> tuple[dict[str, Json], list[Violation]]:
    """Answer values with their expressions as `Typed`, and all that is wrong with those."""
    found: list[Violation] = []
    typed = {name: _typed(values[name], place, f"{where}.{name}", found) for name in sorted(values)}
    return typed, found


def _typed(value: value_pb2.Value, place: Place, where: str, found: list[Violation]) -> Json:
    match value.WhichOneof("kind"):
        case "string_value":
            return _typed_text(value.string_value, place, where, found)
        case "list_value":
            items = enumerate(value.list_value.values)
            return [_typed(item, place, join(where, [i]), found) for i, item in items]
        case "map_value":
            return _typed_map(value.map_value, place, where, found)
        case "template_value":
            told = "write ${…} in a string; templates are made by routers only"
            found.append(Violation(where, told, "NOT_ALLOWED"))
            return Typed()
    try:
        return to_python(value, field=where)
    except InvalidArgumentError as error:
        found += error.violations
        return Typed()


def _typed_map(of: value_pb2.MapValue, place: Place, where: str, found: list[Violation]) -> dict[str, Json]:
    for key in sorted(of.fields):
        if templates.OPEN in key:
            told = "expressions are not evaluated in keys; put them in the values"
            found.append(Violation(f"{where}.{key}", told, "EXPRESSION_IN_KEY"))
    return {key: _typed(of.fields[key], place, f"{where}.{key}", found) for key in sorted(of.fields)}


def _typed_text(text: str, place: Place, where: str, found: list[Violation]) -> Json:
    try:
        parts = templates.parse(text)
    except templates.TemplateError as error:
        found.append(Violation(where, error.message, error.reason))
        return Typed()
    if not any(isinstance(part, templates.Hole) for part in parts):
        return "".join(str(part) for part in parts)
    results = [_typed_hole(p.source, place, where, found) for p in parts if isinstance(p, templates.Hole)]
    if len(parts) == 1:
        return results[0]
    for result in results:
        found += _text_faults(result, where)
    return Typed(_STRING, "the text")


def _text_faults(part: Typed, where: str) -> list[Violation]:
    if part.secret:
        told = f"{part.what} is only passed on whole, not within a text"
        return [Violation(where, told, "SECRET_NOT_WHOLE")]
    if not part.may_be(_SCALARS):
        told = f"{part.what} is {' or '.join(sorted(part.kinds or ()))}, which cannot stand within a text"
        return [Violation(where, told, "TYPE_MISMATCH")]
    return []


def _typed_hole(source: str, place: Place, where: str, found: list[Violation]) -> Typed:
    try:
        tree = expressions.parse(source)
        alone = tree.path[0] if tree.path and len(tree.path) == 1 else ""
        variable = _variable(alone, place)
        if variable:
            return variable
        wrong = [v for r in tree.references for v in _reference_faults(r.path, place, where)]
        if wrong:
            found += dict.fromkeys(wrong)
            return Typed()
        return place.types.check(source)
    except expressions.ExpressionError as error:
        found.append(Violation(where, error.message, error.reason))
        return Typed()


def _variable(name: str, place: Place) -> Typed | None:
    """A variable of the engine that stands alone. A string may take any: the engine makes text of it."""
    if not name or name in expressions.VARIABLES:
        return None
    if place.variables is None:
        return Typed()
    if name not in place.variables:
        return None
    schema = place.variables[name]
    kinds = kinds_of(schema, schema if isinstance(schema, Mapping) else {})
    return Typed(kinds | _STRING if kinds else None, f"${{{name}}}")


def _reference_faults(path: tuple[str, ...], place: Place, where: str) -> list[Violation]:
    if path[0] in (place.variables or ()) and path[0] not in expressions.VARIABLES:
        told = (
            f"{path[0]} is known to the engine only, so it cannot be part of an expression; "
            f"write ${{{path[0]}}} by itself, beside text where you like"
        )
        return [Violation(where, told, "ENGINE_VARIABLE_NOT_ALONE")]
    if path[0] != "steps" or len(path) == 1 or path[1] in place.types.steps:
        return []
    step = path[1]
    if step in place.own:
        told = f"{step} is done by this very call, so its outputs are not known yet; read an earlier step"
        return [Violation(where, told, "OWN_STEP")]
    if step in place.later:
        told = f"{step} runs later, so its outputs are not known yet; read an earlier step"
        return [Violation(where, told, "LATER_STEP")]
    known = ", ".join(place.types.steps) or "none at all"
    return [Violation(where, f"there is no step {step}; the steps before are: {known}", "UNKNOWN_STEP")]
