"""One term of keeping pools: look, decide, store, act; again and again.

`controlplane.loops.pools` calls `round` whenever something may have changed. What it remembers from round
to round is only for how long something has been so; a leader that begins anew begins that anew.
"""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime

from controlplane.catalog.pool_needs import Needs
from controlplane.catalog.pool_reading import read_world
from controlplane.loops.pool_deeds import Deeds
from controlplane.loops.pool_writing import PoolWriter
from controlplane.switching.launch_states import FINAL, READY, Patience
from controlplane.switching.launchers.port import Launcher
from controlplane.switching.pool_rules import reconcile
from controlplane.switching.pool_world import Act, Deed, Plan, World, launch_id
from enchain.chains.errors import EnchainError
from enchain.process.clock import Clock
from enchain.process.logs import get_logger
from enchain.state.store import Store
from enchain.v1.pool_pb2 import Launching

LOOK_SECONDS = 5.0
"""How long a launcher may take to say what runs; until it does, nothing is started."""

ABANDONED_SECONDS = 30.0
"""A question that has not been answered for so long is asked anew."""

_log = get_logger(__name__)


@dataclass
class Looking:
    """Asks a launcher what runs, one question at a time.

    Args:
        launcher: The launcher.
        clock: Time.

    Attributes:
        last: Its last answer; None where it did not answer.
    """

    launcher: Launcher
    clock: Clock
    last: Mapping[str, str] | None = None
    _asking: asyncio.Task[Mapping[str, str]] | None = None
    _asked: float = 0.0
    _one_at_a_time: asyncio.Lock = field(default_factory=asyncio.Lock)

    async def look(self) -> Mapping[str, str] | None:
        """Answer what runs; None where the launcher does not say so in time. A late answer counts later."""
        async with self._one_at_a_time:
            return await self._look()

    async def _look(self) -> Mapping[str, str] | None:
        if self._asking is not None and self.clock.monotonic() - self._asked > ABANDONED_SECONDS:
            await self.close()
        if self._asking is None:
            self._asking = asyncio.create_task(self._find(), name="ask the launcher what runs")
            self._asked = self.clock.monotonic()
        timer = asyncio.create_task(self.clock.sleep(LOOK_SECONDS), name="wait for the launcher")
        try:
            await asyncio.wait({self._asking, timer}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            timer.cancel()
        self.last = self._answer()
        return self.last

    async def close(self) -> None:
        """Ask no more."""
        if self._asking is not None:
            self._asking.cancel()
            await asyncio.gather(self._asking, return_exceptions=True)
            self._asking = None

    async def _find(self) -> Mapping[str, str]:
        return await self.launcher.find()

    def _answer(self) -> Mapping[str, str] | None:
        if self._asking is None or not self._asking.done():
            _log.warning("launcher does not say what runs")
            return None
        asking, self._asking = self._asking, None
        try:
            return asking.result()
        except EnchainError as error:
            _log.warning("launcher does not say what runs", reason=error.reason, fault=error.message)
        except Exception:  # noqa: BLE001 - whatever a launcher trips over stops nothing else
            _log.exception("launcher failed")
        return None


@dataclass
class Rounds:
    """One term.

    Args:
        store: Fenced.
        name: What the launcher of this place is called.
        looking: Asks it what runs.
        deeds: Does what is to be done.
        writer: Stores what is decided.
        needs: Finds out who needs what.
        patience: How long things may take.
        clock: Time.

    Attributes:
        due: When to look again at the latest; None where nothing waits for time.
        known: Ids of the launches that have a record.
    """

    store: Store
    name: str
    looking: Looking
    deeds: Deeds
    writer: PoolWriter
    needs: Needs
    patience: Patience
    clock: Clock
    due: datetime | None = None
    known: frozenset[str] = frozenset()
    _silent: dict[str, float] = field(default_factory=dict)
    _strays: dict[str, float] = field(default_factory=dict)

    async def round(self) -> None:
        """Look, decide, store and act once.

        Raises:
            EnchainError: The store does not answer.
        """
        found = await self.looking.look()
        seen = await read_world(self.store, self.needs, self.clock.now())
        seen = replace(seen, world=self._with_what_runs(seen.world, found))
        plan = reconcile(seen.world, self.patience)
        stands = await self.writer.store_plan(seen, plan)
        self._act(seen.world, plan, {launch_id(launch): launch for launch in stands})
        self.due, self.known = plan.due, frozenset(launch_id(launch) for launch in seen.world.launches)

    def _with_what_runs(self, world: World, found: Mapping[str, str] | None) -> World:
        now, running = self.clock.monotonic(), found or {}
        quiet = [
            launch_id(launch)
            for launch in world.launches
            if launch.state == READY and launch_id(launch) not in world.instances
        ]
        over = {launch_id(launch) for launch in world.launches if launch.state not in FINAL}
        self._silent = {launch: self._silent.get(launch, now) for launch in quiet}
        self._strays = {launch: self._strays.get(launch, now) for launch in running if launch not in over}
        self.deeds.keep(over)
        return replace(
            world,
            launcher=self.name,
            found=found,
            faults=dict(self.deeds.faults),
            silent={launch: now - since for launch, since in self._silent.items()},
            strays={launch: now - since for launch, since in self._strays.items()},
        )

    def _act(self, world: World, plan: Plan, stands: dict[str, Launching]) -> None:
        """Do what is stored: what could not be stored as it was planned is left alone."""
        read = {launch_id(launch) for launch in world.launches}
        acts = [act for act in plan.acts if act.launch in stands or act.launch not in read]
        new = [launch for identifier, launch in stands.items() if identifier not in read]
        acts += [Act(Deed.START, launch_id(launch), launch.engine) for launch in new]
        self.deeds.begin(acts, stands, world.engines)
