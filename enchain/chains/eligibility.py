"""Eligibility: whether an experiment may enrol a request, by a CEL expression over what the request is.

`assignment` compiles one when it reads an experiment; the control plane checks it when it is saved. An
expression without a result (an input that was not sent, say) makes the request not eligible, with the reason.
"""

from collections.abc import Callable, Collection, Mapping
from functools import lru_cache

from enchain.chains import expressions
from enchain.chains.schemas import Schema
from enchain.chains.units import Attributes
from enchain.chains.values import Json, has_secret, to_python
from enchain.v1 import value_pb2

TEXTS = ("tenant", "requester", "region", "zone", "account", "host")
VARIABLES = (*TEXTS, "groups", "inputs")
COMPILED_MAX = 1024

Eligible = Callable[[Attributes], str]
"""Why a request is not eligible; empty where it is."""


@lru_cache(maxsize=COMPILED_MAX)
def compiled(source: str) -> Eligible:
    """Compile a condition once, to be asked for every request.

    Raises:
        ExpressionError: It is no CEL, or reads what no request has.
    """
    why_not, read = expressions.condition(source, VARIABLES), _reader(source)

    def eligible(attributes: Attributes) -> str:
        return why_not(read(attributes))

    return eligible


def check_eligibility(source: str, inputs: Schema) -> None:
    """Check with types an expression that is to be saved; the empty one lets every request through.

    Args:
        source: CEL over `tenant`, `requester`, `region`, `zone`, `account` and `host`, which are texts,
            `groups`, a list of them, and `inputs`.
        inputs: JSON Schema of the workload's inputs.

    Raises:
        ExpressionError: It cannot be read, does not fit the types, or is neither true nor false.
    """
    if source:
        expressions.check_condition(source, texts=TEXTS, lists=("groups",), inputs=inputs)


def _reader(source: str) -> Callable[[Attributes], dict[str, Json]]:
    """What answers the part of a request that an expression reads; converting more costs each request."""
    paths = [reference.path for reference in expressions.parse(source).references]
    read = {path[0] for path in paths}
    texts = [(name, Attributes._fields.index(name)) for name in TEXTS if name in read]
    members = [path[1:2] for path in paths if path[0] == "inputs"]
    inputs = None if () in members else [name for (name,) in dict.fromkeys(members)]

    def reader(attributes: Attributes) -> dict[str, Json]:
        plain: dict[str, Json] = {name: attributes[index] for name, index in texts}
        if "groups" in read:
            plain["groups"] = list(attributes.groups)
        if "inputs" in read:
            plain["inputs"] = _plain(attributes.inputs, inputs)
        return plain

    return reader


def _plain(sent: Mapping[str, value_pb2.Value], names: Collection[str] | None) -> dict[str, Json]:
    """Inputs by name, all where `names` is None. One that is or holds a secret is not there."""
    found: dict[str, Json] = {}
    for name in sent if names is None else names:
        value = sent.get(name)
        if value is None:
            continue
        if value.WhichOneof("kind") == "string_value":
            found[name] = value.string_value
            continue
        plain = to_python(value, field=f"inputs.{name}")
        if not has_secret(plain):
            found[name] = plain
    return found
