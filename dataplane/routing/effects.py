"""What the pipeline machine wants done: its outputs. The shell performs them in order.

A call after a commit is made only once the commit stands; where it is refused, nothing after it is done.
"""

from dataclasses import dataclass, field
from datetime import datetime

from enchain.engine.v1 import engine_pb2
from enchain.v1 import operation_pb2


@dataclass(frozen=True, slots=True)
class Choose:
    """Find an instance with a place free. The answer is InstanceChosen, CapacityAwaited or NoInstance.

    Attributes:
        step: Index of the step.
        engine: The engine's id.
        version: The version wanted, exactly; empty where the handle's schema decides.
        scope: Only this state scope; empty where any will do.
        handle_schema: The shape of handle that it must know; empty where it does not matter.
        update: It must be able to change what stands.
    """

    step: int
    engine: str
    version: str = ""
    scope: str = ""
    handle_schema: str = ""
    update: bool = False


@dataclass(frozen=True, slots=True)
class WriteIntent:
    """Commit the record, in which the step's intent now stands."""

    step: int


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """Commit the record."""


@dataclass(frozen=True, slots=True)
class CallApply:
    """Send Apply. `again`: the same key was or may have been sent before."""

    step: int
    request: engine_pb2.ApplyRequest
    again: bool = False


@dataclass(frozen=True, slots=True)
class CallDestroy:
    """Send Destroy. `again`: the same key was or may have been sent before."""

    step: int
    request: engine_pb2.DestroyRequest
    again: bool = False


@dataclass(frozen=True, slots=True)
class CallCancel:
    """Ask the engine to stop the step's work. The result still comes by the stream."""

    step: int
    reason: str


@dataclass(frozen=True, slots=True)
class Wait:
    """Nothing to do until then, unless something happens."""

    until: datetime
    reason: str


@dataclass(frozen=True, slots=True)
class Hold:
    """Commit the operation as held, with its resource; give up the owner key."""


@dataclass(frozen=True, slots=True)
class Finish:
    """Commit the end: record, resource, outbox; active and owner go."""


@dataclass(frozen=True, slots=True)
class Show:
    """Show progress to whoever watches. It is not kept."""

    event: operation_pb2.OperationEvent = field(default_factory=operation_pb2.OperationEvent)


Effect = (
    Choose | WriteIntent | Checkpoint | CallApply | CallDestroy | CallCancel | Wait | Hold | Finish | Show
)
