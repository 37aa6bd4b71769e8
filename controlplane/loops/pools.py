"""The leader's loop that keeps as many instances of each engine version as are wanted.

The election runs it in each term, with a fenced store. It is level-triggered: in each round it looks at
what runs, at the records, and at who needs what, decides by `controlplane.switching.pool_rules`, stores
that, and only then acts. So a leader that dies at any point leaves nothing that the next one does not
find: what it had written, and what its launcher had started. It never waits for an instance, and keeps
nothing that must not be lost.
"""

import asyncio
from collections.abc import Mapping
from contextlib import aclosing
from random import Random

from ulid import ULID

from controlplane.catalog.pool_needs import Needs
from controlplane.loops.patience import patiently
from controlplane.loops.pool_deeds import Deeds
from controlplane.loops.pool_rounds import Looking, Rounds
from controlplane.loops.pool_writing import PoolWriter
from controlplane.switching.launch_states import Patience
from controlplane.switching.launchers.port import Launcher
from enchain.chains.errors import EnchainError
from enchain.process.clock import Clock
from enchain.process.lifecycle import Tasks
from enchain.process.logs import get_logger
from enchain.state import keys
from enchain.state.follow import follow
from enchain.state.store import Store

GATHER_SECONDS = 0.1
"""Between two rounds, at least: what comes meanwhile is seen at once."""

WATCH_SECONDS = 1.0
"""How often the launcher is asked what runs: a death shows in the store only when the lease ends."""

SWEEP_SECONDS = 5.0
"""How often all is looked at anyway: operations that need an instance which is not there are not followed."""

FORGET_SECONDS = 600.0

FOLLOWED = (keys.POOLS, keys.LAUNCHES, keys.INSTANCES, keys.ENGINES, keys.ROUTES)

_log = get_logger(__name__)


class PoolLoop:
    """Keeps pools.

    Args:
        launcher: Starts and ends instances at this place.
        elsewhere: Asks instances over the network.
        clock: Time.
        rng: Jitter.
        patience: How long things may take.
    """

    name = "keep pools"

    def __init__(
        self,
        launcher: Launcher,
        elsewhere: Launcher,
        *,
        clock: Clock,
        rng: Random,
        patience: Patience | None = None,
    ) -> None:
        self._launcher = launcher
        self._elsewhere = elsewhere
        self._clock = clock
        self._rng = rng
        self._patience = patience or Patience()

    async def run(self, store: Store) -> None:
        """Keep pools, for ever."""
        wake, looking = asyncio.Event(), Looking(self._launcher, self._clock)
        wake.set()
        try:
            async with Tasks() as tasks:
                rounds = self._rounds(store, await self._launcher.name(), looking, tasks, wake)
                for prefix in FOLLOWED:
                    tasks.start(f"follow {prefix}", self._follow(store, prefix, wake))
                tasks.start("wake the keeping of pools", self._remind(rounds, wake))
                tasks.start("let the launcher forget", self._forget(rounds))
                while True:
                    await wake.wait()
                    wake.clear()
                    await patiently(rounds.round, self.name, clock=self._clock, rng=self._rng)
                    await self._clock.sleep(GATHER_SECONDS)
        finally:
            await looking.close()

    def _rounds(self, store: Store, name: str, looking: Looking, tasks: Tasks, wake: asyncio.Event) -> Rounds:
        now = self._clock.now()
        return Rounds(
            store,
            name,
            looking,
            Deeds(self._launcher, self._elsewhere, tasks, self._clock, wake.set),
            PoolWriter(store, lambda: str(ULID.from_datetime(self._clock.now())), self._patience, now),
            Needs(store),
            self._patience,
            self._clock,
        )

    async def _follow(self, store: Store, prefix: str, wake: asyncio.Event) -> None:
        followed = follow(store, prefix, clock=self._clock, rng=self._rng)
        async with aclosing(followed) as batches:
            async for _ in batches:
                wake.set()

    async def _remind(self, rounds: Rounds, wake: asyncio.Event) -> None:
        """Wake the rounds where something else runs than they saw, where time is up, and now and again."""
        swept = self._clock.monotonic()
        while True:
            await self._clock.sleep(WATCH_SECONDS)
            seen: Mapping[str, str] | None = rounds.looking.last
            now = self._clock.monotonic()
            due = rounds.due is not None and self._clock.now() >= rounds.due
            if due or now - swept >= SWEEP_SECONDS or await rounds.looking.look() != seen:
                swept = now
                wake.set()

    async def _forget(self, rounds: Rounds) -> None:
        while True:
            await self._clock.sleep(FORGET_SECONDS)
            try:
                await self._launcher.forget(rounds.known)
            except EnchainError as error:
                _log.warning("launcher does not forget", reason=error.reason, fault=error.message)
