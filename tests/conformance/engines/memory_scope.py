"""What the in-memory engine remembers: works, keys, events, plans. It outlives the servers that use it.

`memory_engine` uses it. Nothing here knows gRPC.
"""

import asyncio
from dataclasses import dataclass, field
from datetime import UTC, datetime

from enchain.engine.v1 import engine_pb2
from enchain.v1 import diagnostic_pb2, value_pb2

Token = tuple[int, int]
Key = tuple[int, int]
"""Verb and generation."""

TAKEOVER_STEP = 1_000_000


@dataclass(eq=False)
class Entry:
    """One key: its events, how it ended, and the task that does it."""

    mark: bytes
    inputs: dict[str, value_pb2.Value]
    deadline: datetime
    destroys: bool
    log: list[engine_pb2.StepEvent] = field(default_factory=list)
    more: asyncio.Event = field(default_factory=asyncio.Event)
    cancelled: asyncio.Event = field(default_factory=asyncio.Event)
    task: asyncio.Task[None] | None = None
    handle: diagnostic_pb2.Handle | None = None
    result: engine_pb2.StepResult | None = None
    takeovers: int = 0

    @property
    def running(self) -> bool:
        """A task does it."""
        return self.result is None and self.task is not None and not self.task.done()

    def publish(self, event: engine_pb2.StepEvent, seq: int | None = None) -> None:
        """Number an event and hand it to all streams."""
        event.seq = len(self.log) + 1 + self.takeovers * TAKEOVER_STEP if seq is None else seq
        event.time.FromDatetime(datetime.now(UTC))
        self.log.append(event)
        self.wake()

    def wake(self) -> None:
        """Let all streams look again."""
        self.more.set()
        self.more = asyncio.Event()


@dataclass(eq=False)
class Place:
    """One piece of work: the highest token, its keys, and what stands."""

    token: Token = (0, 0)
    entries: dict[Key, Entry] = field(default_factory=dict)
    standing: dict[str, value_pb2.Value] | None = None

    def wake(self) -> None:
        """Let all streams look whether they are displaced."""
        for entry in self.entries.values():
            entry.wake()


@dataclass(frozen=True)
class Plan:
    """A plan: what for, and what stood when it was made."""

    mark: bytes
    standing: bytes


@dataclass(eq=False)
class Memory:
    """All works, by tenant and work id."""

    places: dict[tuple[str, str], Place] = field(default_factory=dict)
    plans: dict[str, Plan] = field(default_factory=dict)
    runs: int = 0
    validations: int = 0

    def place(self, call: engine_pb2.StepCall) -> Place:
        """Answer the place of a call's work."""
        return self.places.setdefault((call.tenant, call.work_id), Place())


def mark_of(values: dict[str, value_pb2.Value] | None) -> bytes:
    """Answer bytes that are equal for equal inputs."""
    if values is None:
        return b""
    return value_pb2.MapValue(fields=values).SerializeToString(deterministic=True)
