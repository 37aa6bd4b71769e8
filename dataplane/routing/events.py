"""What can happen to an operation: the inputs of the pipeline machine.

The shell (`dataplane/dispatch`) makes them from the engines' streams, from timers and from signals; the
machine takes them one at a time. `step` is the index in `Operation.steps`.
"""

from dataclasses import dataclass

from enchain.engine.v1 import engine_pb2
from enchain.v1 import diagnostic_pb2, operation_pb2


@dataclass(frozen=True, slots=True)
class Admitted:
    """The operation is in the journal and this router owns it: begin."""


@dataclass(frozen=True, slots=True)
class Adopted:
    """Another router's operation is this router's now; the claim is committed."""

    router: str
    reason: str


@dataclass(frozen=True, slots=True)
class InstanceChosen:
    """An instance has a place free for the step.

    Attributes:
        step: Index of the step.
        scope: The instance's state scope.
        instance: Its name.
        address: Where it is called.
        in_flight: Pieces of work that this router has on it now, this one included; 0: not known.
    """

    step: int
    scope: str
    instance: str
    address: str
    in_flight: int = 0


@dataclass(frozen=True, slots=True)
class CapacityAwaited:
    """No instance has a place free now; the shell stands in the queue for one."""

    step: int


@dataclass(frozen=True, slots=True)
class NoInstance:
    """There is no instance to wait for, or the queue is full."""

    step: int
    reason: str


@dataclass(frozen=True, slots=True)
class StepAccepted:
    """The engine has recorded the work."""

    step: int
    reattached: bool


@dataclass(frozen=True, slots=True)
class StepProgressed:
    """The engine says how far it is. Never kept."""

    step: int
    message: str
    fraction: float | None


@dataclass(frozen=True, slots=True)
class StepLogged:
    """A line of the tool. Never kept."""

    step: int
    line: str
    dropped: int


@dataclass(frozen=True, slots=True)
class StepFound:
    """A finding that does not end the step."""

    step: int
    diagnostic: diagnostic_pb2.Diagnostic


@dataclass(frozen=True, slots=True)
class HandleMade:
    """The engine says how to find what it is about to make."""

    step: int
    handle: diagnostic_pb2.Handle


@dataclass(frozen=True, slots=True)
class StepResult:
    """The engine says how the step ended."""

    step: int
    result: engine_pb2.StepResult


@dataclass(frozen=True, slots=True)
class StepAbsent:
    """The engine has proven that nothing of the step is there."""

    step: int
    reason: str


@dataclass(frozen=True, slots=True)
class StepUnreachable:
    """The stream broke, or nobody in the scope answers. What became of the step is not known."""

    step: int
    reason: str
    diagnostic: diagnostic_pb2.Diagnostic | None = None
    busy: bool = False
    """The engine has no place free: it is asked again soon, however often it was asked before."""


@dataclass(frozen=True, slots=True)
class WaitOver:
    """The time that the machine wanted to wait for has come."""


@dataclass(frozen=True, slots=True)
class DeadlinePassed:
    """The deadline of the step at hand has passed."""


@dataclass(frozen=True, slots=True)
class CancelRequested:
    """Somebody asks to stop."""

    reason: str


@dataclass(frozen=True, slots=True)
class RetryRequested:
    """Somebody asks to go on with a held operation; `from_step` empty means where it stopped."""

    from_step: str
    signal: operation_pb2.OperationSignal | None = None


Event = (
    Admitted
    | Adopted
    | InstanceChosen
    | CapacityAwaited
    | NoInstance
    | StepAccepted
    | StepProgressed
    | StepLogged
    | StepFound
    | HandleMade
    | StepResult
    | StepAbsent
    | StepUnreachable
    | WaitOver
    | DeadlinePassed
    | CancelRequested
    | RetryRequested
)
