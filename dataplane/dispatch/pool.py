"""Places on engine instances: taken, waited for in a bounded queue, given back.

Executions take a place before they call and give it back when the call ends. First come, first served per
kind of work; who waits is served when a place comes free or an instance appears.
"""

import asyncio
from collections import Counter, deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from random import Random
from typing import Protocol

from dataplane.dispatch import places
from dataplane.dispatch.circuits import Circuits
from dataplane.routing.effects import Choose
from enchain.process.clock import Clock
from enchain.process.telemetry import meter
from enchain.v1 import engine_pb2

EngineInstance = engine_pb2.EngineInstance

WAITING_MAX = 10_000
"""Steps that may wait for a place. Beyond it they come back later by themselves."""

_meter = meter(__name__)
_waiting = _meter.create_up_down_counter(
    "enchain.pool.waiting", "{step}", "Steps that wait for a place on an engine instance."
)
_overflows = _meter.create_counter(
    "enchain.pool.overflows", "{step}", "Steps that found the queue for places full."
)


class Registered(Protocol):
    """The part of the instance follower that is needed here."""

    @property
    def instances(self) -> Mapping[str, Sequence[EngineInstance]]:
        """Instances by engine id."""


@dataclass(slots=True)
class Place:
    """A place on an instance. Give it back once.

    Attributes:
        instance: The instance.
        in_flight: Places that this router had on it once this one was taken, itself included.
        given_back: It was given back.
    """

    instance: EngineInstance
    in_flight: int
    given_back: bool = False


@dataclass(slots=True)
class _Waiter:
    wanted: Choose
    future: asyncio.Future[Place]


class Pool:
    """The places on all instances, as far as this router takes them.

    Args:
        registered: The instances.
        circuits: Who did not answer lately.
        clock: Time.
        rng: The dice.
        waiting_max: The queue's bound.
    """

    def __init__(
        self,
        registered: Registered,
        circuits: Circuits,
        *,
        clock: Clock,
        rng: Random,
        waiting_max: int = WAITING_MAX,
    ) -> None:
        self._registered = registered
        self._circuits = circuits
        self._clock = clock
        self._rng = rng
        self._waiting_max = waiting_max
        self._running: Counter[str] = Counter()
        self._waiters: deque[_Waiter] = deque()

    @property
    def waiting(self) -> int:
        """Steps that wait now."""
        return len(self._waiters)

    def instances(self, engine: str) -> Sequence[EngineInstance]:
        """The instances registered for an engine."""
        return self._registered.instances.get(engine, ())

    def take(self, wanted: Choose) -> Place | None:
        """Take a place; None where none is free. Nobody overtakes a waiter of the same kind."""
        if any(_same_kind(waiter.wanted, wanted) for waiter in self._waiters):
            return None
        return self._take(wanted)

    def _take(self, wanted: Choose) -> Place | None:
        instance = places.pick(
            self.instances(wanted.engine),
            wanted,
            running=self._running,
            reachable=self._reachable,
            rng=self._rng,
        )
        return self._taken(instance) if instance is not None else None

    def hold(self, wanted: Choose, instance_name: str) -> Place | None:
        """Take a place for work that may be under way, full or not; None where the scope has nobody left."""
        instance = places.holder(
            self.instances(wanted.engine),
            wanted,
            instance_name=instance_name,
            reachable=self._reachable,
            rng=self._rng,
        )
        return self._taken(instance) if instance is not None else None

    async def wait(self, wanted: Choose) -> Place | None:
        """Wait for a place; None at once where too many wait already."""
        if len(self._waiters) >= self._waiting_max:
            _overflows.add(1)
            return None
        waiter = _Waiter(wanted, asyncio.get_running_loop().create_future())
        self._waiters.append(waiter)
        _waiting.add(1)
        self.serve()
        try:
            return await waiter.future
        except asyncio.CancelledError:
            if waiter.future.done() and not waiter.future.cancelled():
                self.give_back(waiter.future.result())
            raise
        finally:
            _waiting.add(-1)
            if waiter in self._waiters:
                self._waiters.remove(waiter)

    def give_back(self, place: Place) -> None:
        """Give a place back, and serve who waits."""
        if place.given_back:
            return
        place.given_back = True
        self._running[place.instance.name] -= 1
        if self._running[place.instance.name] <= 0:
            del self._running[place.instance.name]
        self.serve()

    def serve(self) -> None:
        """Give free places to those who wait, in their order. Called when instances change, too."""
        blocked: list[Choose] = []
        for waiter in list(self._waiters):
            if waiter.future.done() or any(_same_kind(kind, waiter.wanted) for kind in blocked):
                continue
            place = self._take(waiter.wanted)
            if place is None:
                blocked.append(waiter.wanted)
                continue
            self._waiters.remove(waiter)
            waiter.future.set_result(place)

    def _taken(self, instance: EngineInstance) -> Place:
        self._running[instance.name] += 1
        return Place(instance, self._running[instance.name])

    def _reachable(self, instance: str) -> bool:
        return self._circuits.reachable(instance, self._clock.monotonic())


def _same_kind(one: Choose, other: Choose) -> bool:
    """Whether two look for the same instances."""
    return (one.engine, one.version, one.scope, one.handle_schema, one.update) == (
        other.engine, other.version, other.scope, other.handle_schema, other.update
    )  # fmt: skip
