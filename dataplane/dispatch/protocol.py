"""Reading an engine's stream: what each event means, and whether the engine keeps the protocol. Pure.

The engine calls use one reader per stream. A violation ends the reading; what became of the step is then
asked.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from dataplane.routing import events
from dataplane.routing.findings import finding
from enchain.engine.v1 import engine_pb2
from enchain.v1 import diagnostic_pb2

OUTCOMES = frozenset(
    {
        diagnostic_pb2.OUTCOME_SUCCEEDED,
        diagnostic_pb2.OUTCOME_FAILED_CLEAN,
        diagnostic_pb2.OUTCOME_FAILED_PARTIAL,
        diagnostic_pb2.OUTCOME_CANCELLED,
        diagnostic_pb2.OUTCOME_UNKNOWN,
    }
)

VIOLATION = "ENGINE_PROTOCOL"


class ViolationError(Exception):
    """The engine does not keep the protocol."""

    def __init__(self, told: str) -> None:
        super().__init__(told)
        self.told = told


@dataclass(slots=True)
class Reader:
    """Reads one stream of one step.

    Attributes:
        step: Index of the step.
        seq: The sequence number seen last.
        result: The result, once it has come. It counts only when the stream has ended after it.
    """

    step: int
    seq: int = 0
    result: engine_pb2.StepResult | None = None

    def read(self, event: engine_pb2.StepEvent) -> Iterator[events.Event]:
        """Answer what an event means to the pipeline machine.

        Raises:
            ViolationError: It may not come now, or has no meaning.
        """
        kind = event.WhichOneof("event")
        if self.result is not None:
            raise ViolationError(
                "it sent two results" if kind == "result" else f"it sent {kind or 'nothing'} after the result"
            )
        if event.seq <= self.seq:
            raise ViolationError(f"its events are out of order: {event.seq} after {self.seq}")
        self.seq = event.seq
        if kind == "result":
            if event.result.outcome not in OUTCOMES:
                raise ViolationError("its result has no outcome")
            self.result = event.result
            return
        yield from self._meaning(kind, event)

    def _meaning(self, kind: str | None, event: engine_pb2.StepEvent) -> Iterator[events.Event]:
        match kind:
            case "accepted":
                yield events.StepAccepted(self.step, event.accepted.reattached)
            case "progress":
                told = event.progress
                fraction = told.fraction if told.HasField("fraction") else None
                yield events.StepProgressed(self.step, told.message, fraction)
            case "log":
                yield events.StepLogged(self.step, event.log.line, event.log.dropped)
            case "diagnostic":
                yield events.StepFound(self.step, event.diagnostic)
            case "handle":
                yield events.HandleMade(self.step, event.handle)
            case "heartbeat":
                return
            case _:
                raise ViolationError(f"it sent {kind or 'an empty event'}, which has no place in a step")

    def ended(self) -> events.StepResult:
        """Answer the result of a stream that has ended.

        Raises:
            ViolationError: It ended without one.
        """
        if self.result is None:
            raise ViolationError("it ended its stream without a result")
        return events.StepResult(self.step, self.result)


def violation(told: str, *, step: str, engine: str, instance: str) -> diagnostic_pb2.Diagnostic:
    """The diagnostic of a violation; it names the engine."""
    return finding(
        VIOLATION,
        f"engine {engine} does not keep the protocol: {told}",
        step=step,
        engine=engine,
        detail=f"instance {instance}",
        remedy=f"Run the conformance suite against engine {engine}.",
    )
