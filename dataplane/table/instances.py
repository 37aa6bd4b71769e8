"""Engine instances as they registered themselves: an immutable snapshot, the next one, and following it.

Dispatch reads it to choose instances. Deciding (`next_instances`) is pure. A registration that cannot be read
changes nothing about the instance: it is counted, and the instance stays as it was known until its key goes.
"""

import asyncio
from collections import defaultdict
from collections.abc import Mapping
from contextlib import aclosing
from dataclasses import dataclass, field
from random import Random
from types import MappingProxyType

from dataplane.table.following import Swaps
from enchain.chains.errors import EnchainError, MalformedError
from enchain.chains.names import InstanceName
from enchain.process.clock import Clock
from enchain.process.logs import get_logger
from enchain.process.telemetry import meter
from enchain.state import keys
from enchain.state.codec import decode
from enchain.state.follow import Health, follow
from enchain.state.store import Batch, EventKind, KeyValue, Store
from enchain.v1 import engine_pb2

PARTS = 2
"""`<engine>/<instance>` after the prefix."""

_log = get_logger(__name__)
_refused = meter(__name__).create_counter(
    "enchain.instances.refused", "{registration}", "Registrations of engine instances that cannot be read."
)


@dataclass(frozen=True, slots=True)
class Registration:
    """One instance, and when it last said so."""

    instance: engine_pb2.EngineInstance
    revision: int


@dataclass(frozen=True, slots=True)
class Instances:
    """A snapshot. Every mapping is read-only.

    Attributes:
        revision: The newest revision that was read.
        by_engine: Instances by engine id, each in the order of its ids; draining ones included.
        by_key: Every registration by its key.
    """

    revision: int = 0
    by_engine: Mapping[str, tuple[engine_pb2.EngineInstance, ...]] = field(default_factory=dict)
    by_key: Mapping[str, Registration] = field(default_factory=dict)


def next_instances(before: Instances, batch: Batch) -> tuple[Instances, tuple[MalformedError, ...]]:
    """Take one revision; answer the snapshot after it, and what could not be read."""
    by_key = dict(before.by_key)
    faults: list[MalformedError] = []
    for event in batch.events:
        if event.kind is EventKind.DELETE:
            by_key.pop(event.item.key, None)
            continue
        try:
            by_key[event.item.key] = _read(event.item)
        except MalformedError as error:
            faults.append(error)
    by_engine: defaultdict[str, list[engine_pb2.EngineInstance]] = defaultdict(list)
    for key in sorted(by_key):
        by_engine[by_key[key].instance.engine].append(by_key[key].instance)
    return Instances(
        batch.revision,
        MappingProxyType({engine: tuple(found) for engine, found in by_engine.items()}),
        MappingProxyType(by_key),
    ), tuple(faults)


def _read(item: KeyValue) -> Registration:
    """Read a registration. Its key says which instance it is, and what it says of itself must agree."""
    found = keys.parts(item.key, keys.INSTANCES)
    instance = decode(engine_pb2.EngineInstance, item.value, key=item.key)
    name = InstanceName(*found) if len(found) == PARTS else None
    if name is None or instance.engine != name.engine or instance.name not in ("", str(name)):
        raise MalformedError(
            f"{item.key} registers {instance.name or 'an instance'} of {instance.engine or 'no engine'}",
            reason="OTHER_INSTANCE",
            remedy="Register every instance under its own key.",
            metadata={"key": item.key},
        )
    if not instance.address or not instance.version:
        raise MalformedError(
            f"{item.key} says neither where nor which version it is",
            reason="INCOMPLETE_REGISTRATION",
            remedy="Register address and version.",
            metadata={"key": item.key},
        )
    instance.name = str(name)
    return Registration(instance, item.mod_revision)


class InstanceFollower:
    """The engine instances as this router knows them.

    Args:
        store: The store.
        clock: Waits between attempts to reach it.
        rng: Spreads them.

    Attributes:
        snapshot: The snapshot in force.
        synced: Set once everything was read for the first time.
        health: How the following itself stands.
    """

    def __init__(self, store: Store, *, clock: Clock, rng: Random) -> None:
        self._store = store
        self._clock = clock
        self._rng = rng
        self._swaps = Swaps()
        self.snapshot = Instances()
        self.synced = asyncio.Event()
        self.health = Health()

    @property
    def instances(self) -> Mapping[str, tuple[engine_pb2.EngineInstance, ...]]:
        """Instances by engine id."""
        return self.snapshot.by_engine

    @property
    def revision(self) -> int:
        """The newest revision that was read."""
        return self.snapshot.revision

    def revision_of(self, name: str) -> int:
        """Answer when `engines/{engine}/instances/{instance}` was registered last; 0 where it is not."""
        parsed = InstanceName.parse(name)
        registration = self.snapshot.by_key.get(keys.instance(parsed.engine, parsed.instance))
        return registration.revision if registration else 0

    async def run(self) -> None:
        """Follow for ever."""
        batches = follow(self._store, keys.INSTANCES, clock=self._clock, rng=self._rng, health=self.health)
        async with aclosing(batches):
            async for batch in batches:
                self.snapshot, faults = next_instances(self.snapshot, batch)
                for fault in faults:
                    _tell(fault)
                self.synced.set()
                self._swaps.tell()

    async def changed(self, seen: Instances) -> Instances:
        """Wait until the snapshot is another than the one seen, and answer it."""
        while self.snapshot is seen:
            await self._swaps.wait()
        return self.snapshot


def _tell(fault: EnchainError) -> None:
    _refused.add(1, {"reason": fault.reason})
    _log.error("registration refused", key=fault.metadata.get("key", ""), reason=fault.message)
