"""The leader's loop that sizes pools for the arms of experiments.

The election runs it in each term, with a fenced store. What experiments run, and at which step of their ramp,
says what is asked of pools, so any leader goes on from what is stored. To size takes long, so a workload is
sized anew only where its parts have changed, where an engine has its first instance, which tells how much it
does at once, and now and again, as demand changes. It starts nothing; pools' loop does.
"""

from collections.abc import Mapping
from random import Random
from typing import NamedTuple

from controlplane.catalog.arm_pools import instances_of, known_for, parts_of_requests
from controlplane.catalog.changes import stamper
from controlplane.catalog.instances import live
from controlplane.catalog.pool_demands import ask_for_arms, asked_by_arms
from controlplane.catalog.profiles import ProfileCatalog, Reckoned
from controlplane.loops.leadership import LeadershipLostError
from controlplane.loops.rounds import in_rounds
from controlplane.planning.assembling import Version
from enchain.chains.errors import CallerError, MalformedError
from enchain.process.clock import Clock
from enchain.process.logs import get_logger
from enchain.process.telemetry import meter
from enchain.state.store import Store
from enchain.v1.engine_pb2 import EngineInstance

PACE_SECONDS = 5.0

RESIZE_SECONDS = 30.0
"""How often a workload is sized anew where nothing but its demand may have changed; plans are as frequent."""

_log = get_logger(__name__)
_rounds = meter(__name__).create_counter(
    "enchain.experiments.pool_rounds", "{round}", "Rounds of sizing pools for arms, by outcome."
)


class Sized(NamedTuple):
    """What a workload was sized by, and when."""

    arms: Mapping[str, float]
    ready: frozenset[Version]
    at: float


class ArmPoolsLoop:
    """Sizes pools for arms.

    Args:
        clock: Time.
        rng: Jitter.
        pace_seconds: Between two rounds.
    """

    name = "size pools for the arms of experiments"

    def __init__(self, *, clock: Clock, rng: Random, pace_seconds: float = PACE_SECONDS) -> None:
        self._clock = clock
        self._rng = rng
        self._pace_seconds = pace_seconds
        self._stamp = stamper(clock)
        self._reckoned = Reckoned()
        self._sized: dict[str, Sized] = {}

    async def run(self, store: Store) -> None:
        """Size round by round, for ever."""
        self._sized.clear()
        await in_rounds(
            lambda: self.round(store),
            self.name,
            pace_seconds=self._pace_seconds,
            ended=lambda outcome, _: _rounds.add(1, {"outcome": outcome}),
            clock=self._clock,
            rng=self._rng,
        )

    async def round(self, store: Store) -> None:
        """Ask pools once for what arms need now, and for no more than that.

        Raises:
            EnchainError: The store is away.
        """
        now = self._clock.now()
        parts, asked = await parts_of_requests(store, now), await asked_by_arms(store)
        seen = Sized({}, await _served(store) if parts else frozenset(), self._clock.monotonic())
        due = [each for each in sorted({*parts, *asked}) if self._due(each, parts.get(each, {}), seen)]
        if not due:
            return
        profiles = ProfileCatalog(store, self._reckoned)
        common = await known_for(store, due, now)
        for workload in due:
            try:
                arms = parts.get(workload, {})
                needed = await instances_of(store, workload, arms, now, common, profiles)
                await self._ask(store, workload, needed)
                self._sized[workload] = seen._replace(arms=arms)
            except LeadershipLostError:
                raise
            except (CallerError, MalformedError) as error:
                # What is asked for stays as it was; what is wrong with one must not stop the others.
                _log.warning("arms are not sized", workload=workload, fault=error.message)

    def _due(self, workload: str, arms: Mapping[str, float], seen: Sized) -> bool:
        before = self._sized.get(workload)
        if before is None or (before.arms, before.ready) != (arms, seen.ready):
            return True
        return seen.at - before.at >= RESIZE_SECONDS

    async def _ask(self, store: Store, workload: str, needed: Mapping[Version, float]) -> None:
        changed = await ask_for_arms(store, self._stamp, workload, needed)
        if changed:
            pools = [f"{engine}@{version}" for engine, version in changed]
            _log.info("arms ask for other instances", workload=workload, pools=pools)


async def _served(store: Store) -> frozenset[Version]:
    """Answer the versions that have a ready instance."""
    instances = await live(store)
    return frozenset(
        (each.engine, each.version) for each in instances if each.state == EngineInstance.STATE_READY
    )
