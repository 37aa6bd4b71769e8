"""What the in-memory engine refuses before it looks at its memory: pure checks, and their statuses.

Everything is spelled out: this is an engine as somebody would write it who knows the protocol files only.
"""

import re
from typing import Any, NoReturn

import grpc
from google.rpc import error_details_pb2, status_pb2

from enchain.engine.v1 import engine_pb2
from enchain.v1 import operation_pb2, value_pb2, workload_pb2

KNOWN_ARTIFACT = "sha256:" + "ab" * 32
SECRETS = {"memory:token": "hush-hush-42"}
INPUT_BYTES_MAX = 16 * 1024

PROPERTIES: dict[str, Any] = {
    "name": {"type": "string", "minLength": 1},
    "seconds": {"type": "number"},
    "fail": {"type": "boolean"},
    "token": {"type": "string"},
    "handle_bytes": {"type": "integer"},
    "output_bytes": {"type": "integer"},
}
INPUTS = {
    "type": "object",
    "required": ["name"],
    "additionalProperties": False,
    "properties": PROPERTIES,
}
OUTPUTS = {
    "type": "object",
    "required": ["name", "run"],
    "properties": {"name": {"type": "string"}, "run": {"type": "integer"}, "padding": {"type": "string"}},
}
_KINDS = {
    "string": {"string_value", "secret_value"},
    "number": {"double_value", "int_value"},
    "boolean": {"bool_value"},
    "integer": {"int_value"},
}
_WORK_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*/[A-Za-z0-9][A-Za-z0-9._-]*", re.ASCII)


class RefusedError(Exception):
    """A call that is refused."""

    def __init__(self, code: grpc.StatusCode, reason: str, message: str, field: str = "") -> None:
        super().__init__(message)
        self.code = code
        self.reason = reason
        self.message = message
        self.field = field


async def abort(context: grpc.aio.ServicerContext[Any, Any], refused: RefusedError) -> NoReturn:
    """End a call with a rich status."""
    status = status_pb2.Status(code=refused.code.value[0], message=refused.message)
    status.details.add().Pack(error_details_pb2.ErrorInfo(reason=refused.reason, domain="memory"))
    if refused.field:
        violation = error_details_pb2.BadRequest.FieldViolation(
            field=refused.field, description=refused.message
        )
        status.details.add().Pack(error_details_pb2.BadRequest(field_violations=[violation]))
    trailers = (("grpc-status-details-bin", status.SerializeToString()),)
    await context.abort(refused.code, refused.message, trailers)


def check_call(call: engine_pb2.StepCall, *verbs: operation_pb2.Verb.ValueType) -> None:
    """Refuse a malformed call."""
    field = ""
    if not _WORK_ID.fullmatch(call.work_id):
        field = "call.work_id"
    elif call.verb not in verbs:
        field = "call.verb"
    elif call.generation < 1:
        field = "call.generation"
    if field:
        raise RefusedError(grpc.StatusCode.INVALID_ARGUMENT, "MALFORMED", f"{field} is malformed", field)


def check_size(inputs: dict[str, value_pb2.Value]) -> None:
    """Refuse inputs that are too large."""
    if sum(len(name) + value.ByteSize() for name, value in inputs.items()) > INPUT_BYTES_MAX:
        raise RefusedError(grpc.StatusCode.RESOURCE_EXHAUSTED, "TOO_LARGE", "the inputs are too large")


def check_artifacts(artifacts: dict[str, workload_pb2.ArtifactRef]) -> None:
    """Refuse artifacts that are not there."""
    for artifact in artifacts.values():
        if artifact.digest != KNOWN_ARTIFACT:
            raise RefusedError(grpc.StatusCode.NOT_FOUND, "NO_ARTIFACT", f"there is no {artifact.digest}")


def input_fault(inputs: dict[str, value_pb2.Value]) -> tuple[str, str] | None:
    """Answer path and text of the first fault in inputs."""
    for name, value in inputs.items():
        if name not in PROPERTIES:
            return f"inputs.{name}", f"{name} is unknown"
        if value.WhichOneof("kind") not in _KINDS[PROPERTIES[name]["type"]]:
            return f"inputs.{name}", f"{name} is of the wrong type"
    if "name" not in inputs:
        return "inputs.name", "name is missing"
    if not inputs["name"].string_value:
        return "inputs.name", "name is empty"
    return None


def number_of(inputs: dict[str, value_pb2.Value], name: str) -> float:
    """Answer a number among the inputs, 0 where it is missing."""
    value = inputs.get(name, value_pb2.Value())
    return value.int_value or value.double_value
