"""What a router asks for, read from the wire and checked: ids, key, token, deadline, fingerprint.

The step runner calls it first for every request. Pure. What passes here may be used in paths: ids hold no
slash, no dot at their beginning, and are short.
"""

import hashlib
import re
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TypeVar

from enchain.chains.digests import canonical
from enchain.chains.errors import ExhaustedError, InvalidArgumentError, Violation
from enchain.engine.v1 import engine_pb2
from enchain.v1 import operation_pb2

INPUT_BYTES_MAX = 16 * 1024
"""Inputs of one call; they are journaled too."""

DEFAULT_TENANT = "default"

_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}", re.ASCII)
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}", re.ASCII)

R = TypeVar("R", engine_pb2.ApplyRequest, engine_pb2.PlanRequest, engine_pb2.ValidateRequest)


@dataclass(frozen=True, slots=True, order=True)
class Token:
    """A fencing token. Ordered by epoch, then by revision."""

    epoch: int = 0
    revision: int = 0


@dataclass(frozen=True, slots=True)
class WorkId:
    """Names a piece of work within its tenant. Every part is safe as a directory's name."""

    tenant: str
    uid: str
    step: str

    @property
    def text(self) -> str:
        """The `work_id` as it is on the wire."""
        return f"{self.uid}/{self.step}"


@dataclass(frozen=True, slots=True)
class Key:
    """What is done to a piece of work: verb and generation. A key is done once."""

    verb: operation_pb2.Verb.ValueType
    generation: int

    @property
    def text(self) -> str:
        """The key as it is in the ledger and in directory names, such as `provision-1`."""
        verb = operation_pb2.Verb.Name(self.verb).removeprefix("VERB_").lower()
        return f"{verb}-{self.generation}"


@dataclass(frozen=True, slots=True)
class Call:
    """A checked `StepCall`.

    Attributes:
        deadline: Nothing is begun after it; None where the call has none.
        steps: All the workload's steps that the call does; the first names the work.
        traceparent: W3C trace context for the tool.
    """

    work: WorkId
    key: Key
    token: Token
    deadline: datetime | None
    workload: str = ""
    operation: str = ""
    steps: tuple[str, ...] = ()
    traceparent: str = ""


def parse_call(call: engine_pb2.StepCall, verbs: frozenset[operation_pb2.Verb.ValueType]) -> Call:
    """Check a call; `verbs` are those that the method takes.

    Raises:
        InvalidArgumentError: An id, the verb or the generation is not as it must be.
    """
    uid, _, step = call.work_id.partition("/")
    tenant = call.tenant or DEFAULT_TENANT
    violations = [
        Violation(f"call.{field}", "must be letters, digits, `.`, `_` or `-`, at most 128", "INVALID_ID")
        for field, text in (("work_id", uid), ("work_id", step), ("tenant", tenant))
        if not _ID.fullmatch(text)
    ]
    if call.verb not in verbs:
        names = ", ".join(sorted(operation_pb2.Verb.Name(verb) for verb in verbs))
        violations.append(Violation("call.verb", f"must be one of {names}", "INVALID_VERB"))
    if call.generation < 1:
        violations.append(Violation("call.generation", "must be 1 or more", "INVALID_GENERATION"))
    if violations:
        raise InvalidArgumentError(
            f"the call is malformed: {violations[0].field} {violations[0].description}",
            reason="MALFORMED_CALL",
            violations=violations,
        )
    return Call(
        work=WorkId(tenant, uid, step),
        key=Key(call.verb, call.generation),
        token=Token(call.token.epoch, call.token.revision),
        deadline=call.deadline.ToDatetime(tzinfo=UTC) if call.HasField("deadline") else None,
        workload=call.workload,
        operation=call.operation,
        steps=tuple(call.steps) or (step,),
        traceparent=call.traceparent,
    )


def check_sizes(request: R) -> None:
    """Refuse inputs beyond the budget and digests that are none.

    Raises:
        ExhaustedError: The inputs are too large.
        InvalidArgumentError: An artifact's digest is malformed.
    """
    size = sum(len(name) + value.ByteSize() for name, value in request.inputs.items())
    if size > INPUT_BYTES_MAX:
        raise ExhaustedError(
            f"the inputs take {size} bytes; at most {INPUT_BYTES_MAX} are taken",
            reason="INPUTS_TOO_LARGE",
            metadata={"size": str(size), "limit": str(INPUT_BYTES_MAX)},
            remedy="Send large content as an artifact.",
        )
    violations = [
        Violation(f"artifacts.{name}.digest", "must be `sha256:` and 64 hex digits", "INVALID_DIGEST")
        for name, artifact in request.artifacts.items()
        if not _DIGEST.fullmatch(artifact.digest)
    ]
    if violations:
        raise InvalidArgumentError(
            f"{violations[0].field} {violations[0].description}",
            reason="INVALID_DIGEST",
            violations=violations,
        )


def fingerprint(request: engine_pb2.ApplyRequest | engine_pb2.DestroyRequest) -> str:
    """Answer what tells a repeated call from another one with its key.

    Token, deadline, identity and trace differ between the callers of one piece of work and are left out, and
    so is the handle of a destroy: a later caller may know more of it than the first one did.
    """
    kept = type(request)(plan_digest=request.plan_digest)
    kept.call.steps.extend(request.call.steps)
    if isinstance(request, engine_pb2.ApplyRequest) and isinstance(kept, engine_pb2.ApplyRequest):
        kept.prior.CopyFrom(request.prior)
        for name, value in request.inputs.items():
            kept.inputs[name].CopyFrom(value)
        for name, artifact in request.artifacts.items():
            kept.artifacts[name].digest = artifact.digest
    return hashlib.sha256(canonical(kept).encode()).hexdigest()
