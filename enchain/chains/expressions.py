"""Expressions: CEL, checked with types when saved, evaluated over plain maps when used.

The checks of workloads and chains, and `runtime`, call it. It is the only importer of the CEL runtime, a
compiled library: nothing that must start fast may import this. A program reads `inputs`, `steps`, `resource`
and `tenant`, an experiment's condition what `eligibility` names, and nothing else: there is no clock, no
randomness and no IO in CEL. The runtime bounds loops and nesting by itself.
"""

import re
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import lru_cache
from typing import Any

from cel_expr_python import cel
from cel_expr_python.ext import ext_strings

from enchain.chains.agreement import Typed
from enchain.chains.descriptors import PACKAGE, MessageTypes
from enchain.chains.errors import InvalidArgumentError, Violation
from enchain.chains.references import Tree, read_tree
from enchain.chains.schemas import Schema, kinds_of, part_at
from enchain.chains.values import Json

SOURCE_CHARS_MAX = 2048
PROGRAMS_MAX = 4096
WORDS_MAX = 256
VARIABLES = ("inputs", "steps", "resource", "tenant")
RESOURCE_FIELDS = ("id", "uid")

_FAULT = re.compile(r"ERROR: <input>:(\d+):(\d+): (.*)")
_UNKNOWN_NAME = re.compile(r"undeclared reference to '([^']*)'")
_UNKNOWN_FIELD = re.compile(r"undefined field '([^']*)' not found in struct '([^']*)'")
_KINDS = {"STRING": "string", "INT": "integer", "DOUBLE": "number", "BOOL": "boolean", "NULL": "null"}


class ExpressionError(InvalidArgumentError):
    """An expression cannot be read, does not fit its types, or has no result."""

    default_reason = "EXPRESSION_INVALID"


def _refuse(source: str, description: str, reason: str = "EXPRESSION_INVALID") -> ExpressionError:
    told = f"${{{source.strip()}}}: {description}"
    return ExpressionError(told, reason=reason, violations=[Violation("expression", told, reason)])


@lru_cache(maxsize=8)
def _environment(names: tuple[str, ...] = VARIABLES) -> Any:
    variables = dict.fromkeys(names, cel.Type.DYN)
    return cel.NewEnv(variables=variables, extensions=[ext_strings.ExtStrings()])


@lru_cache(maxsize=PROGRAMS_MAX)
def parse(source: str) -> Tree:
    """Read an expression and answer what it refers to.

    Raises:
        ExpressionError: It is no CEL, or too long.
    """
    if len(source) > SOURCE_CHARS_MAX:
        raise _refuse(source[:40], f"the expression is longer than {SOURCE_CHARS_MAX} characters")
    try:
        serialized = _environment().compile(source, disable_check=True).serialize()
    except RuntimeError as error:
        raise _refuse(source, _told(str(error), None)) from error
    tree = read_tree(serialized)
    if tree.messages:
        raise _refuse(source, f"{tree.messages[0]} cannot be made here; write a map, as {{'key': value}}")
    return tree


@lru_cache(maxsize=PROGRAMS_MAX)
def _program(source: str, names: tuple[str, ...] = VARIABLES) -> Any:
    parse(source)
    try:
        return _environment(names).compile(source)
    except RuntimeError as error:
        raise _refuse(source, _told(str(error), None, names)) from error


def evaluate(source: str, variables: Mapping[str, Json], names: tuple[str, ...] = VARIABLES) -> Json:
    """Evaluate an expression over plain values.

    Args:
        source: The expression.
        variables: What it may read.
        names: All names that it may read; it is compiled once for them.

    Raises:
        ExpressionError: It has no result: a field is missing, types differ, or the result is no JSON value.
    """
    return _as_json(_result(_program(source, names), source, dict(variables)).plain_value(), source)


def _result(program: Any, source: str, variables: dict[str, Json]) -> Any:
    try:
        result = program.eval(data=variables)
    except RuntimeError as error:
        raise _refuse(source, str(error).split(" [")[0], "EXPRESSION_FAILED") from error
    if result.type() == cel.Type.ERROR:
        raise _refuse(source, _plain_words(str(result.value())), "EXPRESSION_FAILED")
    return result


def _as_json(plain: Any, source: str) -> Json:
    if isinstance(plain, list):
        return [_as_json(item, source) for item in plain]
    if isinstance(plain, dict):
        if not all(isinstance(key, str) for key in plain):
            raise _refuse(source, "a map must have strings as keys", "EXPRESSION_FAILED")
        return {key: _as_json(item, source) for key, item in plain.items()}
    if plain is None or isinstance(plain, bool | int | float | str):
        return plain
    kinds = {datetime: "a timestamp", timedelta: "a duration"}
    told = kinds.get(type(plain), "bytes or a type")
    raise _refuse(source, f"the result is {told}, which is no JSON value; use string(…)", "EXPRESSION_FAILED")


@lru_cache(maxsize=WORDS_MAX)
def _plain_words(error: str) -> str:
    """What went wrong, without the runtime's status code."""
    told = error.partition(": ")[2] or error
    missing = re.fullmatch(r'Key not found in map : "(.*)"', told)
    return f"there is no field {missing[1]}" if missing else told


@dataclass(frozen=True, slots=True)
class StepOutputs:
    """What is known when saved of an earlier step's outputs: their schema, and which are secrets."""

    schema: Schema
    secrets: frozenset[str] = frozenset()


class Types:
    """Types of all that the expressions at one place may read."""

    def __init__(self, inputs: Schema, steps: Mapping[str, StepOutputs]) -> None:
        self.inputs = inputs
        self.steps = dict(steps)
        self._messages = MessageTypes()
        self._environment = self._build()

    def _build(self) -> Any:
        types = self._messages
        members = {}
        for name, outputs in self.steps.items():
            shape = types.add_object({**outputs.schema, "type": "object"}, f"steps.{name}.outputs")
            members[name] = types.add_message({"outputs": shape}, f"steps.{name}")
        named = {
            "inputs": types.add_object({**self.inputs, "type": "object"}, "inputs"),
            "steps": types.add_message(members, "steps"),
            "resource": types.add_strings(RESOURCE_FIELDS, "resource"),
        }
        variables = {name: _cel_type(message) for name, message in named.items()}
        return cel.NewEnv(
            types.pool(),
            variables={**variables, "tenant": cel.Type.STRING},
            extensions=[ext_strings.ExtStrings()],
        )

    def check(self, source: str) -> Typed:
        """Answer the type of an expression's result.

        Raises:
            ExpressionError: It does not fit the types, or takes a secret apart.
        """
        tree = parse(source)
        try:
            found = self._environment.compile(source).return_type()
        except RuntimeError as error:
            told = str(error)
            raise _refuse(source, _told(told, self._messages), _reason(told)) from error
        what = f"${{{source.strip()}}}"
        if tree.path and self._is_secret(tree.path):
            return Typed(frozenset({"string"}), f"{what}, a secret,", secret=True)
        if not tree.path:
            self._keep_secrets_whole(tree, source)
        kinds = self._kinds(tree, found, source)
        return Typed(kinds, what, _remedy(kinds, source))

    def holds_secret(self, path: Collection[str]) -> bool:
        """Whether a path leads to a secret, or to something that holds one."""
        path = tuple(path)
        return any(
            whole[: len(path)] == path or path[: len(whole)] == whole
            for step, outputs in self.steps.items()
            for whole in (("steps", step, "outputs", name) for name in outputs.secrets)
        )

    def _is_secret(self, path: tuple[str, ...]) -> bool:
        return len(path) > 3 and path[0] == "steps" and self.holds_secret(path)  # noqa: PLR2004 - steps.x.outputs.y

    def _keep_secrets_whole(self, tree: Tree, source: str) -> None:
        for reference in tree.references:
            if not reference.tested and self.holds_secret(reference.path):
                told = f"{reference} is or holds a secret, which is only passed on whole, as ${{{reference}}}"
                raise _refuse(source, told, "SECRET_NOT_WHOLE")

    def _kinds(self, tree: Tree, found: Any, source: str) -> frozenset[str] | None:
        if tree.path and tree.path[0] == "inputs":
            return kinds_of(part_at(self.inputs, tree.path[1:]), self.inputs)
        if tree.path and tree.path[0] == "steps" and len(tree.path) > 2:  # noqa: PLR2004 - steps.x.outputs
            schema = self.steps[tree.path[1]].schema
            return kinds_of(part_at(schema, tree.path[3:]), schema)
        return _kinds_of_cel(found, source)


def condition(source: str, names: tuple[str, ...]) -> Callable[[dict[str, Json]], str]:
    """Compile a condition once; the answer says why it is not true of plain values, and nothing where it is.

    Routers ask for each request, so nothing is raised where there is no result, and no type is asked for
    where there is one.

    Raises:
        ExpressionError: It is no CEL, or reads what is not there.
    """
    program, whole = _program(source, names), source.strip()
    untrue = f"{whole} is not true of it"

    def why_not(variables: dict[str, Json]) -> str:
        try:
            result = program.eval(data=variables)
        except RuntimeError as error:
            return f"${{{whole}}}: {str(error).split(' [')[0]}"
        plain = result.plain_value()
        if isinstance(plain, bool):
            return "" if plain else untrue
        return f"${{{whole}}}: {_plain_words(plain)}" if result.type() == cel.Type.ERROR else untrue

    return why_not


def check_condition(source: str, *, texts: Collection[str], lists: Collection[str], inputs: Schema) -> None:
    """Check with types a condition over texts, lists of texts, and `inputs` by their schema.

    Raises:
        ExpressionError: It does not fit the types, or its result is neither true nor false.
    """
    parse(source)
    types = MessageTypes()
    shape = types.add_object({**inputs, "type": "object"}, "inputs")
    variables = {
        **dict.fromkeys(texts, cel.Type.STRING),
        **dict.fromkeys(lists, cel.Type.List(cel.Type.STRING)),
        "inputs": _cel_type(shape),
    }
    environment = cel.NewEnv(types.pool(), variables=variables, extensions=[ext_strings.ExtStrings()])
    try:
        found = str(environment.compile(source).return_type().name())
    except RuntimeError as error:
        told = str(error)
        raise _refuse(source, _told(told, types, tuple(variables)), _reason(told)) from error
    if found not in ("BOOL", "DYN"):
        told = f"the result is {_KINDS.get(found, found.lower())}, where true or false is asked for"
        raise _refuse(source, told, "TYPE_MISMATCH")


def _cel_type(message: str) -> Any:
    if message == "google.protobuf.Struct":
        return cel.Type.Map(cel.Type.STRING, cel.Type.DYN)
    return cel.Type(message)


def _kinds_of_cel(found: Any, source: str) -> frozenset[str] | None:
    name = str(found.name())
    if name == "DYN":
        return None
    if name in _KINDS:
        return frozenset({_KINDS[name]})
    if name.startswith("LIST"):
        return frozenset({"array"})
    if found.is_message() or name.startswith(("MAP", PACKAGE)):
        return frozenset({"object"})
    told = f"the result is of type {name.lower()}, which is no JSON value; use string(…) or int(…)"
    raise _refuse(source, told, "TYPE_MISMATCH")


def _remedy(kinds: frozenset[str] | None, source: str) -> str:
    if kinds and kinds <= {"integer", "number", "boolean"}:
        return f"${{string({source.strip()})}} makes a string of it"
    return ""


def _told(error: str, types: MessageTypes | None, names: tuple[str, ...] = VARIABLES) -> str:
    """What the compiler found, in words that name the fields as people wrote them."""
    # `*error*` is what the compiler calls the type of what is wrong already.
    found = [(column, fault) for _, column, fault in _FAULT.findall(error) if "*error*" not in fault]
    told = [_one_fault(column, fault, types, names) for column, fault in found]
    return "; ".join(dict.fromkeys(told)) or error.splitlines()[0]


def _reason(error: str) -> str:
    if _UNKNOWN_FIELD.search(error):
        return "UNKNOWN_FIELD"
    return "UNKNOWN_VARIABLE" if _UNKNOWN_NAME.search(error) else "EXPRESSION_INVALID"


def _one_fault(column: str, fault: str, types: MessageTypes | None, names: tuple[str, ...]) -> str:
    unknown_name = _UNKNOWN_NAME.match(fault)
    if unknown_name:
        name = unknown_name[1]
        told = f"{name} is no variable here; there are {', '.join(names)}"
        alone = f". A variable of the engine stands alone, as ${{{name}}}" if names == VARIABLES else ""
        return f"{told}{alone}"
    unknown_field = _UNKNOWN_FIELD.match(fault)
    if unknown_field and types and unknown_field[2] in types.labels:
        label, known = types.labels[unknown_field[2]], types.fields[unknown_field[2]]
        return f"{label} has no field {unknown_field[1]}; it has {', '.join(known) or 'none at all'}"
    for full, label in (types.labels if types else {}).items():
        fault = fault.replace(full, label)
    return f"column {column}: {fault}"
