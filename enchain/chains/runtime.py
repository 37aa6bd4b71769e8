"""Runtime: a step's inputs and a resource's outputs, rendered from their templates.

Routers call it before each step, at the end of an operation, and for plans. An expression that is nothing but
a path is looked up, so that what it leads to (a large integer, a secret) passes exactly as it is; all others
are evaluated over a copy in which numbers have their schema's type and secrets are blank. What only the
engine knows stays a hole. Nothing here retries, waits or stores.
"""

import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass

from enchain.chains import expressions, templates
from enchain.chains.agreement import join
from enchain.chains.errors import InvalidArgumentError, Violation
from enchain.chains.schemas import Schema, conform, schema_of
from enchain.chains.values import (
    EngineVariable,
    Json,
    SecretRef,
    TemplateText,
    from_struct,
    has_secret,
    to_python,
    to_python_map,
    to_value,
)
from enchain.v1 import chain_pb2, value_pb2

RESERVED = frozenset(expressions.VARIABLES)
OUTPUTS_PATH_FIELDS = 3
"""`steps.<name>.outputs` are three; an output's name is the fourth."""


@dataclass(frozen=True, slots=True)
class Scope:
    """What expressions read when they run. Made by `scope_of`.

    Attributes:
        exact: Everything by variable, just as it came.
        computed: The same for arithmetic: numbers typed by schema, secrets blank.
    """

    exact: Mapping[str, Json]
    computed: Mapping[str, Json]


def scope_of(
    chain: chain_pb2.Chain,
    *,
    inputs: Mapping[str, value_pb2.Value],
    outputs: Mapping[str, Mapping[str, value_pb2.Value]] | None = None,
    resource_id: str = "",
    resource_uid: str = "",
    tenant: str = "",
) -> Scope:
    """Gather what expressions of a chain may read now.

    Args:
        chain: The chain that runs.
        inputs: The operation's inputs, defaults filled in.
        outputs: Outputs by step, of the steps that are done. A call that does several steps has its outputs
            under each of them: `outputs_by_step` spreads them so.
        resource_id: The resource's id.
        resource_uid: Its ULID.
        tenant: The tenant's id.
    """
    plain = to_python_map(inputs)
    done = {name: to_python_map(of, field=f"steps.{name}.outputs") for name, of in (outputs or {}).items()}
    schemas = _output_schemas(chain)
    common: dict[str, Json] = {"resource": {"id": resource_id, "uid": resource_uid}, "tenant": tenant}
    exact = {**common, "inputs": plain, "steps": {name: {"outputs": of} for name, of in done.items()}}
    computed = {
        **common,
        "inputs": _for_arithmetic(schema_of(chain.inputs), plain),
        "steps": {n: {"outputs": _for_arithmetic(schemas.get(n, {}), of)} for n, of in done.items()},
    }
    return Scope(exact, computed)


def outputs_by_step(
    step: chain_pb2.ChainStep, outputs: Mapping[str, value_pb2.Value]
) -> dict[str, Mapping[str, value_pb2.Value]]:
    """Spread the outputs of one call over the steps that it does: each of them has them all."""
    return dict.fromkeys(step.steps, outputs)


def render_inputs(step: chain_pb2.ChainStep, scope: Scope, *, field: str = "") -> dict[str, value_pb2.Value]:
    """Render the inputs of a call of an engine; its variables stay holes.

    Args:
        step: A step of a chain, or its fallback.
        scope: What expressions read.
        field: Path to say in errors; default `steps.<name>.inputs`.

    Raises:
        InvalidArgumentError: An expression has no result. Its violation names the input.
    """
    variables = frozenset(step.schema.variables.fields) - RESERVED
    where = field or f"steps.{step.steps[0]}.inputs"
    return {n: _render(step.inputs[n], scope, variables, f"{where}.{n}") for n in sorted(step.inputs)}


def render_outputs(chain: chain_pb2.Chain, scope: Scope) -> dict[str, value_pb2.Value]:
    """Render what a resource answers, once all steps are done.

    Raises:
        InvalidArgumentError: An expression has no result. Its violation names the output.
    """
    nothing: frozenset[str] = frozenset()
    return {n: _render(chain.outputs[n], scope, nothing, f"outputs.{n}") for n in sorted(chain.outputs)}


def unknowns(
    step: chain_pb2.ChainStep, known: Mapping[str, Collection[str] | None] | Collection[str]
) -> tuple[str, ...]:
    """Name the outputs of earlier steps that a step needs and that are not known yet.

    Args:
        step: A step of a chain.
        known: Names of the steps whose outputs are all known; or, by such a name, the names of the outputs
            that are known (None: all of them).

    Returns:
        Such as `steps.configure.outputs.files`, in order and each once; empty where the step can be planned.
    """
    sources = [s for name in sorted(step.inputs) for s in _sources(step.inputs[name])]
    reads = [r.path for s in sources for r in expressions.parse(s).references if r.path[0] == "steps"]
    missing = [".".join(path) for path in reads if not _is_known(path, known)]
    return tuple(dict.fromkeys(missing))


def _is_known(path: tuple[str, ...], known: Mapping[str, Collection[str] | None] | Collection[str]) -> bool:
    if len(path) == 1 or path[1] not in known:
        return False
    names = known[path[1]] if isinstance(known, Mapping) else None
    return names is None or (len(path) > OUTPUTS_PATH_FIELDS and path[OUTPUTS_PATH_FIELDS] in names)


def _sources(value: value_pb2.Value) -> list[str]:
    """Expressions within a value, in order."""
    match value.WhichOneof("kind"):
        case "string_value":
            parts = templates.parse(value.string_value)
            return [part.source for part in parts if isinstance(part, templates.Hole)]
        case "list_value":
            return [s for v in value.list_value.values for s in _sources(v)]
        case "map_value":
            fields = value.map_value.fields
            return [s for name in sorted(fields) for s in _sources(fields[name])]
    return []


def _output_schemas(chain: chain_pb2.Chain) -> dict[str, Schema]:
    return {name: from_struct(call.schema.outputs) for call in chain.steps for name in call.steps}


def _for_arithmetic(schema: Schema, plain: Mapping[str, Json]) -> Json:
    return _without_secrets(conform(schema, plain, widen=True))


def _without_secrets(plain: Json) -> Json:
    # What a blank stands for is never read: `_whole` refuses expressions that would.
    if isinstance(plain, dict):
        return {k: _without_secrets(v) for k, v in plain.items()}
    if isinstance(plain, list):
        return [_without_secrets(v) for v in plain]
    return "" if isinstance(plain, SecretRef) else plain


# --- rendering


def _render(value: value_pb2.Value, scope: Scope, variables: frozenset[str], field: str) -> value_pb2.Value:
    match value.WhichOneof("kind"):
        case "string_value":
            return to_value(_render_text(value.string_value, scope, variables, field), field=field)
        case "list_value":
            items = enumerate(value.list_value.values)
            rendered = [_render(item, scope, variables, join(field, [i])) for i, item in items]
            return value_pb2.Value(list_value=value_pb2.ListValue(values=rendered))
        case "map_value":
            fields = value.map_value.fields
            named = {n: _render(fields[n], scope, variables, f"{field}.{n}") for n in sorted(fields)}
            return value_pb2.Value(map_value=value_pb2.MapValue(fields=named))
    to_python(value, field=field)
    return value


def _render_text(text: str, scope: Scope, variables: frozenset[str], field: str) -> Json:
    parts = templates.parse(text)
    results = [_result(part, scope, variables, field) for part in parts]
    if len(parts) == 1 and isinstance(parts[0], templates.Hole):
        only = results[0]
        return TemplateText((only,)) if isinstance(only, EngineVariable) else only
    pieces = [r if isinstance(r, EngineVariable) else _as_text(r, field) for r in results]
    if any(isinstance(piece, EngineVariable) for piece in pieces):
        return TemplateText(tuple(_joined(pieces)))
    return "".join(str(piece) for piece in pieces)


def _joined(pieces: list[str | EngineVariable]) -> list[str | EngineVariable]:
    """Join texts that stand side by side."""
    joined: list[str | EngineVariable] = []
    for piece in pieces:
        if joined and isinstance(piece, str) and isinstance(joined[-1], str):
            joined[-1] += piece
        else:
            joined.append(piece)
    return joined


def _result(part: templates.Part, scope: Scope, variables: frozenset[str], field: str) -> Json:
    if isinstance(part, str):
        return part
    try:
        path = expressions.parse(part.source).path
        if path and len(path) == 1 and path[0] in variables:
            return EngineVariable(path[0])
        if path:
            return _look_up(path, scope.exact, part.source)
        _keep_secrets_whole(part.source, scope)
        return expressions.evaluate(part.source, scope.computed)
    except expressions.ExpressionError as error:
        raise _refuse(field, error.message, error.reason) from error


def _look_up(path: tuple[str, ...], exact: Mapping[str, Json], source: str) -> Json:
    node: Json = exact
    for name in path:
        if not isinstance(node, Mapping) or name not in node:
            told = f"${{{source.strip()}}}: there is no {'.'.join(path)}"
            raise expressions.ExpressionError(told, reason="EXPRESSION_FAILED")
        node = node[name]
    return node


def _keep_secrets_whole(source: str, scope: Scope) -> None:
    """Refuse an expression that reads a secret: only inputs can hold one that was not known when saved."""
    for reference in expressions.parse(source).references:
        node: Json = scope.exact
        for name in reference.path:
            node = node.get(name) if isinstance(node, Mapping) else node
        if not reference.tested and has_secret(node):
            told = f"${{{source.strip()}}}: {reference} is or holds a secret, which is only passed on whole"
            raise expressions.ExpressionError(told, reason="SECRET_NOT_WHOLE")


def _as_text(plain: Json, field: str) -> str:
    """What stands for a value within a text."""
    if isinstance(plain, str):
        return plain
    if isinstance(plain, bool | int | float):
        return json.dumps(plain)
    if isinstance(plain, SecretRef):
        raise _refuse(field, "a secret is only passed on whole, not within a text", "SECRET_NOT_WHOLE")
    told = "null" if plain is None else "a list or a map"
    raise _refuse(field, f"{told} cannot stand within a text", "EXPRESSION_FAILED")


def _refuse(field: str, description: str, reason: str) -> InvalidArgumentError:
    fault = Violation(field, description, reason)
    return InvalidArgumentError(f"{field}: {description}", reason=reason, violations=[fault])
