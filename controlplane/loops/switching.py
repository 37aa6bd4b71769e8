"""The leader's loop that carries chain switches out.

The election runs it in each term, with a fenced store. It follows the switches and all that they depend on,
but only to know when to look: what it does rests on what it reads then, and on nothing that it remembers. So
it goes on wherever another leader left off.
"""

import asyncio
from collections.abc import Sequence
from contextlib import aclosing
from random import Random

from controlplane.catalog.changes import stamper
from controlplane.loops.election import LEADER_KEY
from controlplane.loops.patience import patiently
from controlplane.loops.switch_rounds import SwitchRounds
from controlplane.switching import states
from controlplane.switching.health import Health
from controlplane.switching.records import Switch
from enchain.chains.errors import MalformedError
from enchain.process.clock import Clock
from enchain.process.lifecycle import Tasks
from enchain.process.telemetry import meter
from enchain.state import keys
from enchain.state.codec import decode
from enchain.state.follow import follow
from enchain.state.store import Batch, EventKind, Store
from enchain.v1 import presence_pb2

PACE_SECONDS = 0.1
"""Between two rounds: what happens meanwhile is looked at together."""

LOOK_SECONDS = 1.0
"""How often switches under way are looked at though nothing has happened: deadlines pass, evidence comes."""

WITNESSES: Sequence[tuple[str, str]] = (
    ("routes", keys.ROUTES),
    ("routers", keys.ROUTERS),
    ("instances", keys.INSTANCES),
    ("pools", keys.POOLS),
    ("running operations", keys.ACTIVE),
)
"""What a switch may wait for."""

_under_way = meter(__name__).create_gauge("enchain.switches.under_way", "{switch}", "Switches under way.")


class SwitchingLoop:
    """Carries chain switches out.

    Args:
        health: Tells which instances answer.
        clock: Time.
        rng: Jitter.
        look_seconds: How often is looked though nothing has happened.
    """

    name = "carry out chain switches"

    def __init__(
        self, health: Health, *, clock: Clock, rng: Random, look_seconds: float = LOOK_SECONDS
    ) -> None:
        self._health = health
        self._clock = clock
        self._rng = rng
        self._look_seconds = look_seconds

    async def run(self, store: Store) -> None:
        """Carry out what is there and whatever comes, for ever."""
        leader = await patiently(lambda: _leader(store), self.name, clock=self._clock, rng=self._rng)
        rounds = SwitchRounds(store, self._health, stamper(self._clock), leader)
        open_switches, wake = OpenSwitches(), asyncio.Event()
        async with Tasks() as tasks:
            tasks.start("follow the chain switches", self._follow_switches(store, open_switches, wake))
            for what, prefix in WITNESSES:
                tasks.start(
                    f"follow the {what} for chain switches", self._follow(store, prefix, open_switches, wake)
                )
            tasks.start("ask for looks at chain switches", self._remind(open_switches, wake))
            while True:
                await wake.wait()
                wake.clear()
                _under_way.set(len(open_switches.names))
                await patiently(
                    lambda: rounds.round(open_switches.now()), self.name, clock=self._clock, rng=self._rng
                )
                await self._clock.sleep(PACE_SECONDS)

    async def _follow_switches(self, store: Store, found: "OpenSwitches", wake: asyncio.Event) -> None:
        followed = follow(store, keys.SWITCHES, clock=self._clock, rng=self._rng)
        async with aclosing(followed) as batches:
            async for batch in batches:
                found.note(batch)
                wake.set()

    async def _follow(self, store: Store, prefix: str, found: "OpenSwitches", wake: asyncio.Event) -> None:
        followed = follow(store, prefix, clock=self._clock, rng=self._rng)
        async with aclosing(followed) as batches:
            async for batch in batches:
                # Operations that begin are nothing to wait for.
                news = prefix != keys.ACTIVE or any(e.kind is EventKind.DELETE for e in batch.events)
                if found.names and news:
                    wake.set()

    async def _remind(self, found: "OpenSwitches", wake: asyncio.Event) -> None:
        while True:
            await self._clock.sleep(self._look_seconds)
            if found.names:
                wake.set()


class OpenSwitches:
    """Which records may not have ended, as far as they were followed.

    Attributes:
        names: Their keys.
    """

    def __init__(self) -> None:
        self.names: set[str] = set()

    def note(self, batch: Batch) -> None:
        """Take what a follower saw."""
        for event in batch.events:
            if event.kind is EventKind.PUT and _open(event.item.key, event.item.value):
                self.names.add(event.item.key)
            else:
                self.names.discard(event.item.key)

    def now(self) -> tuple[str, ...]:
        """Answer the keys as they are known now."""
        return tuple(sorted(self.names))


def _open(key: str, value: bytes) -> bool:
    try:
        return not states.is_end(decode(Switch, value, key=key).state)
    except MalformedError:
        return False


async def _leader(store: Store) -> str:
    item = await store.get(LEADER_KEY)
    if item is None:
        return ""
    return decode(presence_pb2.LeaderPresence, item.value, key=item.key).name
