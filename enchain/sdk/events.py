"""The events of one piece of work: numbered, kept within bounds, and handed to every stream of it.

`enchain.sdk.work` publishes, the server's streams read. Everything runs on one event loop; publishing never
waits, so a slow reader holds nobody up: in its own backlog the oldest log lines give way and are counted,
progress is replaced by newer progress, and what is durable (accepted, diagnostics, handles, result) stays.
"""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable
from datetime import datetime

from enchain.chains.errors import ConflictError, EnchainError
from enchain.engine.v1 import engine_pb2
from enchain.sdk.calls import Token

LOG_LINES_MAX = 256
"""Log lines that wait in a backlog; each is at most 4 KiB."""

STREAMS_MAX = 8
"""Streams of one piece of work at once. The oldest of them ends when one more comes."""

TAKEOVER_STEP = 1 << 32
"""How far `seq` jumps when work is taken up by another process, which cannot know the last one."""


class Backlog:
    """Events in the order of their numbers, bounded.

    Attributes:
        dropped: Log lines that gave way since the last one that was read.
    """

    def __init__(self) -> None:
        self._durable: deque[engine_pb2.StepEvent] = deque()
        self._logs: deque[engine_pb2.StepEvent] = deque()
        self._progress: engine_pb2.StepEvent | None = None
        self._heartbeat: engine_pb2.StepEvent | None = None
        self.dropped = 0

    def push(self, event: engine_pb2.StepEvent) -> None:
        """Add an event; make room by the rule of its kind."""
        match event.WhichOneof("event"):
            case "log":
                if len(self._logs) >= LOG_LINES_MAX:
                    self.dropped += self._logs.popleft().log.dropped + 1
                self._logs.append(event)
            case "progress":
                self._progress = event
            case "heartbeat":
                self._heartbeat = event
            case _:
                self._durable.append(event)

    def pop(self) -> engine_pb2.StepEvent | None:
        """Take the event with the lowest number; None where there is none."""
        heads = [queue[0] for queue in (self._durable, self._logs) if queue]
        heads += [event for event in (self._progress, self._heartbeat) if event is not None]
        if not heads:
            return None
        first = min(heads, key=lambda event: event.seq)
        match first.WhichOneof("event"):
            case "log":
                return self._counted(self._logs.popleft())
            case "progress":
                self._progress = None
            case "heartbeat":
                self._heartbeat = None
            case _:
                self._durable.popleft()
        return first

    def copy(self, *, joined: bool) -> "Backlog":
        """Answer a backlog with the same events, for a new reader. Heartbeats of the past say nothing."""
        other = Backlog()
        other._durable = deque(_reattached(event) if joined else event for event in self._durable)
        other._logs = deque(self._logs)
        other._progress = self._progress
        other.dropped = self.dropped
        return other

    def _counted(self, event: engine_pb2.StepEvent) -> engine_pb2.StepEvent:
        if not self.dropped:
            return event
        counted = engine_pb2.StepEvent()
        counted.CopyFrom(event)  # the event itself is shared by all readers
        counted.log.dropped += self.dropped
        self.dropped = 0
        return counted


def _reattached(event: engine_pb2.StepEvent) -> engine_pb2.StepEvent:
    """Tell a reader that joins known work so."""
    if event.WhichOneof("event") != "accepted":
        return event
    told = engine_pb2.StepEvent()
    told.CopyFrom(event)
    told.accepted.reattached = True
    return told


class Stream:
    """One reader of the events, from the first that was kept.

    Attributes:
        token: The caller's; a newer one ends the stream.
    """

    def __init__(self, token: Token, backlog: Backlog, closed: Callable[["Stream"], None]) -> None:
        self.token = token
        self._backlog = backlog
        self._closed = closed
        self._error: EnchainError | None = None
        self._ended = False
        self._more = asyncio.Event()

    def push(self, event: engine_pb2.StepEvent) -> None:
        """Hand over an event."""
        self._backlog.push(event)
        self._more.set()

    def end(self, error: EnchainError | None = None) -> None:
        """No event follows. With an error the stream breaks at once, else after what waits."""
        self._error = self._error or error
        self._ended = True
        self._more.set()

    async def events(self) -> AsyncIterator[engine_pb2.StepEvent]:
        """Deliver the events until the result.

        Raises:
            EnchainError: The stream was displaced by a newer one.
        """
        try:
            while True:
                if self._error is not None:
                    raise self._error
                event = self._backlog.pop()
                if event is not None:
                    yield event
                elif self._ended:
                    return
                else:
                    self._more.clear()
                    await self._more.wait()
        finally:
            self._closed(self)


class EventLog:
    """Numbers and keeps the events of one piece of work, and hands them to its streams.

    Args:
        now: Stamps events.
        takeovers: How often the work was taken up before; moves the first number on.
    """

    def __init__(self, now: Callable[[], datetime], takeovers: int = 0) -> None:
        self._now = now
        self._seq = takeovers * TAKEOVER_STEP
        self._kept = Backlog()
        self._streams: list[Stream] = []
        self._broken: EnchainError | None = None
        self.ended = False

    def publish(self, event: engine_pb2.StepEvent) -> None:
        """Number and stamp an event, keep it, hand it on. After the last one nothing is published."""
        if self.ended:
            return
        self._seq += 1
        event.seq = self._seq
        event.time.FromDatetime(self._now())
        if event.WhichOneof("event") != "heartbeat":
            self._kept.push(event)
        for stream in self._streams:
            stream.push(event)

    def end(self, last: engine_pb2.StepEvent | None) -> None:
        """Publish the last event, the result or the plan, and end all streams. Only the first call counts."""
        if self.ended:
            return
        if last is not None:
            self.publish(last)
        self.ended = True
        for stream in list(self._streams):
            stream.end()

    def break_off(self, error: EnchainError) -> None:
        """End all streams with an error and keep no more: the work is no longer this process's."""
        self.ended, self._broken = True, error
        for stream in list(self._streams):
            stream.end(error)

    def stream(self, token: Token, *, joined: bool = False) -> Stream:
        """Open a stream, from the first event kept. The oldest stream gives way beyond the bound."""
        stream = Stream(token, self._kept.copy(joined=joined), self._forget)
        if self.ended:
            stream.end(self._broken)
            return stream
        self._streams.append(stream)
        for surplus in self._streams[:-STREAMS_MAX]:
            surplus.end(ConflictError("there are too many streams of this work", reason="TOO_MANY_STREAMS"))
        return stream

    def displace(self, token: Token, error: EnchainError) -> None:
        """End the streams of callers older than `token`."""
        for stream in list(self._streams):
            if stream.token < token:
                stream.end(error)

    def _forget(self, stream: Stream) -> None:
        if stream in self._streams:
            self._streams.remove(stream)
