"""Showing what happens to operations to whoever watches, without waiting for anybody.

Executions and relays publish, streams read. Each watcher has a bounded queue: what does not fit is lost,
progress first; a watcher that lost a durable event is told to catch up from the record, where it still
is.
"""

import asyncio
from collections import deque
from dataclasses import dataclass
from enum import Enum

from enchain.process.telemetry import meter
from enchain.v1 import operation_pb2

OperationEvent = operation_pb2.OperationEvent

QUEUE_MAX = 256
"""Events that one watcher may be behind."""

_meter = meter(__name__)
_watchers = _meter.create_up_down_counter("enchain.watchers", "{stream}", "Streams that watch operations.")
_lost = _meter.create_counter(
    "enchain.watchers.lost", "{event}", "Events that a slow watcher did not get from the queue, by kind."
)


class Notice(Enum):
    """What a watcher is told besides events."""

    CATCH_UP = "durable events are missing: read the record"


@dataclass(frozen=True, slots=True)
class Closed:
    """Nothing more comes from here."""

    reason: str


Item = OperationEvent | Notice | Closed


class Watcher:
    """One reader's queue.

    Args:
        operation: The operation's name.
        limit: The queue's bound.
    """

    def __init__(self, operation: str, limit: int = QUEUE_MAX) -> None:
        self.operation = operation
        self._limit = limit
        self._queue: deque[OperationEvent] = deque()
        self._behind = False
        self._closed: Closed | None = None
        self._filled = asyncio.Event()

    def offer(self, event: OperationEvent) -> None:
        """Put an event into the queue, or lose what matters least."""
        if len(self._queue) >= self._limit:
            if event.sequence == 0:
                _lost.add(1, {"kind": "progress"})
                return
            self._make_room()
        if len(self._queue) < self._limit:
            self._queue.append(event)
        self._filled.set()

    def _make_room(self) -> None:
        """Drop progress; where that is not enough, drop all and have the reader catch up."""
        durable = [event for event in self._queue if event.sequence]
        _lost.add(len(self._queue) - len(durable), {"kind": "progress"})
        if len(durable) >= self._limit:
            _lost.add(len(durable), {"kind": "durable"})
            durable = []
            self._behind = True
        self._queue = deque(durable)

    def catch_up(self) -> None:
        """Tell the reader to read the record."""
        self._behind = True
        self._filled.set()

    def close(self, reason: str) -> None:
        """Tell the reader that nothing more comes, once it has read the queue."""
        self._closed = self._closed or Closed(reason)
        self._filled.set()

    async def next(self) -> Item:
        """Answer what comes next; `Closed` again and again once it is closed."""
        while True:
            if self._behind:
                self._behind = False
                return Notice.CATCH_UP
            if self._queue:
                return self._queue.popleft()
            if self._closed is not None:
                return self._closed
            self._filled.clear()
            await self._filled.wait()


class Fanout:
    """The watchers of this router, by operation."""

    def __init__(self) -> None:
        # Those of one operation are told in the order in which they came.
        self._watchers: dict[str, dict[Watcher, None]] = {}
        self._closed: str = ""

    def open(self, operation: str) -> Watcher:
        """Begin to watch. Close it with `leave`."""
        watcher = Watcher(operation)
        self._watchers.setdefault(operation, {})[watcher] = None
        _watchers.add(1)
        if self._closed:
            watcher.close(self._closed)
        return watcher

    def leave(self, watcher: Watcher) -> None:
        """Watch no longer."""
        watchers = self._watchers.get(watcher.operation, {})
        if watcher in watchers:
            del watchers[watcher]
            _watchers.add(-1)
        if not watchers:
            self._watchers.pop(watcher.operation, None)

    def publish(self, operation: str, event: OperationEvent) -> None:
        """Show an event to all who watch the operation."""
        for watcher in self._watchers.get(operation, ()):
            watcher.offer(event)

    def close(self, operation: str, reason: str) -> None:
        """This router runs the operation no longer: its watchers attach elsewhere."""
        for watcher in self._watchers.get(operation, ()):
            watcher.close(reason)

    def close_all(self, reason: str) -> None:
        """This router stops: all watchers attach elsewhere, later ones too."""
        self._closed = reason
        for operation in list(self._watchers):
            self.close(operation, reason)
