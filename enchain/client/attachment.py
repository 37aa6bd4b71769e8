"""What a client knows of the operation that it follows, and what it does when the stream breaks. Pure.

`enchain.client.following` feeds it and acts on its answers. It never waits, and it never talks to anyone.
"""

from dataclasses import dataclass, replace

from enchain.chains.errors import EnchainError, UnavailableError, UnsettledError
from enchain.v1 import operation_pb2

_HELD = operation_pb2.Operation.STATE_HELD

BACKOFF_SECONDS_FIRST = 0.1
BACKOFF_SECONDS_MAX = 2.0


@dataclass(frozen=True, slots=True)
class Reattached:
    """Told to whoever iterates: the stream broke, and goes on from another router.

    Attributes:
        router: The router's address.
        reason: Why the stream before it ended.
        after_sequence: The last durable event seen before; none is lost and none is shown twice.
    """

    router: str
    reason: str
    after_sequence: int


@dataclass(frozen=True, slots=True)
class Attachment:
    """How far an operation has been followed.

    Attributes:
        operation: Its name; empty until the first event has come, when the request itself is sent again.
        sequence: The last durable event seen.
        ended: The last event has come: nothing more is to follow.
        held: The last durable event said that it waits for a person. It may be gone on with later, so that
            only a stream that ends there is at its end.
        failures: Attempts in a row that brought nothing.
    """

    operation: str = ""
    sequence: int = 0
    ended: bool = False
    held: bool = False
    failures: int = 0

    def knows(self, event: operation_pb2.OperationEvent) -> bool:
        """Tell whether a durable event was seen already, as when a request was sent twice."""
        return 0 < event.sequence <= self.sequence

    def seen(self, event: operation_pb2.OperationEvent) -> "Attachment":
        """Answer the attachment after an event."""
        kind = event.WhichOneof("kind")
        held = kind == "state_changed" and event.state_changed.state == _HELD
        return replace(
            self,
            operation=event.operation or self.operation,
            sequence=max(self.sequence, event.sequence),
            ended=kind == "ended",
            held=held if event.sequence else self.held,
            failures=0,
        )

    def failed(self) -> "Attachment":
        """Answer the attachment after an attempt that brought nothing."""
        return replace(self, failures=self.failures + 1)

    def backoff_seconds(self, jitter: float) -> float:
        """Answer how long to wait before the next attempt; `jitter` is a random number in 0..1."""
        if not self.failures:
            return 0.0
        ceiling = min(BACKOFF_SECONDS_MAX, BACKOFF_SECONDS_FIRST * 2.0 ** min(self.failures, 10))
        return ceiling * jitter


def goes_on(error: EnchainError) -> bool:
    """Tell whether another router may carry on after this error: only where a peer failed, not the caller."""
    return isinstance(error, UnavailableError | UnsettledError)
