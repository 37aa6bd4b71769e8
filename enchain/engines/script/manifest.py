"""The manifest of a bundle: which verbs its script knows, what it takes and gives. The engine calls it.

A bundle without one knows `apply` and `destroy`, takes anything and gives anything. Nothing is run.
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import jsonschema

from enchain.chains.errors import InvalidArgumentError, Violation
from enchain.chains.values import Json
from enchain.sdk.keeping import inside

NAME = "enchain-script.json"
CONTRACT = "enchain-script/1"
BYTES_MAX = 64 * 1024
VERBS = ("apply", "update", "destroy", "plan", "observe")
DEFAULT_VERBS = ("apply", "destroy")
_KNOWN = ("contract", "run", "verbs", "inputs", "outputs", "secret_outputs", "repeatable")


@dataclass(frozen=True, slots=True)
class Manifest:
    """What a script says of itself.

    Attributes:
        run: The command, where the step does not name one.
        verbs: What it can be asked for.
        inputs: JSON Schema of `with`.
        outputs: JSON Schema of its outputs.
        secret_outputs: Outputs that go to the secret store.
        repeatable: Running it again after it was lost half-way is harmless.
    """

    run: tuple[str, ...] = ()
    verbs: frozenset[str] = frozenset(DEFAULT_VERBS)
    inputs: Mapping[str, Json] = field(default_factory=lambda: {"type": "object"})
    outputs: Mapping[str, Json] = field(default_factory=lambda: {"type": "object"})
    secret_outputs: tuple[str, ...] = ()
    repeatable: bool = False


def read_manifest(bundle: Path | None) -> Manifest:
    """Read a bundle's manifest; the default where there is none.

    Raises:
        InvalidArgumentError: It is there and is none, or is wrong; every fault is named.
    """
    if bundle is None or not (bundle / NAME).exists():
        return Manifest()
    said = _read(bundle)
    faults = list(_faults(said))
    if faults:
        raise _invalid(*faults)
    default = Manifest()
    return Manifest(
        run=tuple(said.get("run", ())),
        verbs=frozenset(said.get("verbs", DEFAULT_VERBS)),
        inputs=said.get("inputs", default.inputs),
        outputs=said.get("outputs", default.outputs),
        secret_outputs=tuple(said.get("secret_outputs", ())),
        repeatable=said.get("repeatable", False),
    )


def _read(bundle: Path) -> dict[str, Any]:
    path = inside(bundle, NAME)
    if path is None or path.stat().st_size > BYTES_MAX:
        raise _invalid(Violation(NAME, f"must be a file of at most {BYTES_MAX} bytes", "MANIFEST_UNREADABLE"))
    try:
        said = json.loads(path.read_bytes())
    except (ValueError, RecursionError) as error:
        raise _invalid(Violation(NAME, f"is no JSON: {error}", "MANIFEST_MALFORMED")) from error
    if not isinstance(said, dict):
        raise _invalid(Violation(NAME, "must be a JSON object", "MANIFEST_MALFORMED"))
    return said


def _faults(said: Mapping[str, Any]) -> Iterator[Violation]:
    for name in sorted(set(said) - set(_KNOWN)):
        yield _fault(name, f"is not known; known are {', '.join(_KNOWN)}")
    if said.get("contract") != CONTRACT:
        yield _fault("contract", f"must be {CONTRACT!r}")
    for name in ("run", "secret_outputs", "verbs"):
        value = said.get(name, [])
        if not isinstance(value, list) or not all(isinstance(item, str) and item for item in value):
            yield _fault(name, "must be a list of texts")
        elif name == "verbs" and (unknown := sorted(set(value) - set(VERBS))):
            yield _fault(name, f"holds {unknown[0]!r}; known are {', '.join(VERBS)}")
        elif name == "verbs" and name in said and "apply" not in value:
            yield _fault(name, "must hold 'apply'")
    if not isinstance(said.get("repeatable", False), bool):
        yield _fault("repeatable", "must be true or false")
    for name in ("inputs", "outputs"):
        if name in said:
            yield from _schema_faults(name, said[name])


def _schema_faults(name: str, schema: Any) -> Iterator[Violation]:
    if not isinstance(schema, dict) or schema.get("type") != "object":
        yield _fault(name, 'must be a JSON Schema with `"type": "object"`')
        return
    if any(not ref.startswith("#") for ref in _refs(schema)):
        yield _fault(name, "refers to a schema elsewhere; `$ref` must begin with `#`")
    try:
        jsonschema.Draft202012Validator.check_schema(schema)
    except jsonschema.SchemaError as error:
        yield _fault(name, f"is no JSON Schema: {error.message}")


def _refs(schema: Any) -> Iterator[str]:
    match schema:
        case dict():
            for key, inner in schema.items():
                if key in {"$ref", "$dynamicRef"} and isinstance(inner, str):
                    yield inner
                yield from _refs(inner)
        case list():
            for inner in schema:
                yield from _refs(inner)


def _fault(name: str, description: str) -> Violation:
    return Violation(f"{NAME}: {name}", description, "MANIFEST_INVALID")


def _invalid(*violations: Violation) -> InvalidArgumentError:
    return InvalidArgumentError(
        f"{violations[0].field} {violations[0].description}",
        reason=violations[0].reason,
        remedy=f"Correct {NAME} in the bundle.",
        violations=violations,
    )
