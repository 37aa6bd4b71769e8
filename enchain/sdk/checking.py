"""What is checked of a call before the ledger is asked: deadline, capabilities, handle schema. Pure."""

from enchain.chains.errors import InvalidArgumentError, PreconditionError, UnimplementedError, Violation
from enchain.engine.v1 import engine_pb2 as protocol_pb2
from enchain.sdk.calls import Call, parse_call
from enchain.sdk.port import Engine
from enchain.sdk.schemas import handle_schema_of
from enchain.v1 import diagnostic_pb2, engine_pb2, operation_pb2


def mutation(call: protocol_pb2.StepCall, verbs: frozenset[operation_pb2.Verb.ValueType]) -> Call:
    """Check the call of something that makes, changes or destroys.

    Raises:
        InvalidArgumentError: It is malformed or has no deadline.
    """
    parsed = parse_call(call, verbs)
    if parsed.deadline is None:
        raise InvalidArgumentError(
            "a call that changes something needs a deadline",
            reason="DEADLINE_MISSING",
            violations=[Violation("call.deadline", "must be set", "REQUIRED")],
        )
    return parsed


def require(engine: Engine, capability: engine_pb2.Capability.ValueType) -> None:
    """Refuse what the engine cannot do.

    Raises:
        UnimplementedError: It lacks the capability.
    """
    if capability not in engine.capabilities:
        name = engine_pb2.Capability.Name(capability)
        raise UnimplementedError(
            f"the engine {engine.name} lacks {name}",
            reason="CAPABILITY_MISSING",
            metadata={"capability": name, "engine": engine.name},
        )


def check_verb(engine: Engine, call: Call, plan_digest: str) -> None:
    """Refuse an update or a plan where the engine has no such thing.

    Raises:
        UnimplementedError: It lacks the capability.
    """
    if call.key.verb == operation_pb2.VERB_UPDATE:
        require(engine, engine_pb2.CAPABILITY_UPDATE)
    if plan_digest:
        require(engine, engine_pb2.CAPABILITY_PLAN)


def check_handle(engine: Engine, handle: diagnostic_pb2.Handle) -> None:
    """Refuse a handle of another shape than the engine's.

    Raises:
        PreconditionError: The engine does not know handles of this shape.
    """
    mine = handle_schema_of(engine)
    if handle.schema and handle.schema != mine:
        raise PreconditionError(
            f"the engine {engine.name} does not know handles of {handle.schema}",
            reason="HANDLE_SCHEMA_UNKNOWN",
            metadata={"schema": handle.schema, "known": mine},
            remedy="Start an instance of a version that declares this handle schema.",
        )
