"""Eligibility: whether an experiment may enrol a request, by a CEL expression over what the request is.

`assignment` compiles one when it reads an experiment; the control plane checks it when it is saved. An
expression without a result (an input that was not sent, say) makes the request not eligible, with the reason.
"""

from collections.abc import Callable, Collection
from functools import lru_cache

from enchain.chains import expressions
from enchain.chains.expressions import ExpressionError
from enchain.chains.schemas import Schema
from enchain.chains.units import Attributes
from enchain.chains.values import Json, has_secret, to_python

TEXTS = ("tenant", "requester", "region", "zone", "account", "host")
VARIABLES = (*TEXTS, "groups", "inputs")
COMPILED_MAX = 1024

Eligible = Callable[[Attributes], tuple[bool, str]]
"""Whether a request is eligible, and why not."""


@lru_cache(maxsize=COMPILED_MAX)
def compiled(source: str) -> Eligible:
    """Compile a condition once, to be asked for every request.

    Raises:
        ExpressionError: It is no CEL, or reads what no request has.
    """
    holds = expressions.condition(source, VARIABLES)
    texts, inputs = _read_by(source)

    def eligible(attributes: Attributes) -> tuple[bool, str]:
        try:
            found = holds(_plain(attributes, texts, inputs))
        except ExpressionError as error:
            return False, error.message
        return (True, "") if found else (False, f"{source.strip()} is not true of it")

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


def _read_by(source: str) -> tuple[tuple[str, ...], frozenset[str] | None]:
    """Texts that an expression reads, and its inputs; None where it reads all of them, or we cannot tell."""
    paths = [reference.path for reference in expressions.parse(source).references]
    texts = tuple(name for name in TEXTS if any(path[0] == name for path in paths))
    inputs = [path[1:2] for path in paths if path[0] == "inputs"]
    return texts, None if () in inputs else frozenset(name for (name,) in inputs)


def _plain(attributes: Attributes, texts: Collection[str], inputs: Collection[str] | None) -> dict[str, Json]:
    """What an expression reads of a request. An input that is or holds a secret is not there."""
    plain: dict[str, Json] = {name: getattr(attributes, name) for name in texts}
    plain["groups"] = list(attributes.groups)
    sent = attributes.inputs
    names = sent if inputs is None else [name for name in inputs if name in sent]
    found = {name: to_python(sent[name], field=f"inputs.{name}") for name in names}
    plain["inputs"] = {name: value for name, value in found.items() if not has_secret(value)}
    return plain
