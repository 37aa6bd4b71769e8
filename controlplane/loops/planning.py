"""The leader's loop that plans: which chain and how many instances each workload is to have.

The election runs it in each term. A round reads everything anew, and remembers profiles only for as long as
their statistics stay as they were, so it may be forgotten or repeated at any time: it lets recommendations
expire, plans for all workloads that want it together, keeps what is news, and carries out what was approved,
by a person or, in automatic mode, by the policy. What to recommend is decided in `controlplane/planning`,
what may become of it in `controlplane/catalog/recommendation_rules.py`.
"""

from collections.abc import Mapping, Sequence
from functools import partial
from random import Random

from controlplane.catalog.audit import Caller
from controlplane.catalog.changes import Change, commit, stamper
from controlplane.catalog.documents import read, readable, same, scan, write
from controlplane.catalog.exploration import ExploringRoutes
from controlplane.catalog.objections import OURSELVES
from controlplane.catalog.planning_facts import known_of, recommendations, shared
from controlplane.catalog.pool_demands import ask_for
from controlplane.catalog.profiles import ProfileCatalog, Reckoned
from controlplane.catalog.recommendation_rules import (
    APPLIED,
    APPROVED,
    EXPIRED,
    FAILED,
    OPEN,
    OVER_LIMIT,
    SUPERSEDED,
    Recommendation,
    State,
    expired,
    moved,
    news,
    over_limits,
    to_explore,
)
from controlplane.catalog.recommendations import RecommendationCatalog
from controlplane.catalog.routes import RouteCatalog, Wish
from controlplane.catalog.switches import SwitchLog
from controlplane.loops.leadership import LeadershipLostError
from controlplane.loops.rounds import DONE, in_rounds
from controlplane.planning.assembling import assemble
from controlplane.planning.documents import inputs_as_planned, problem_of, recommendation_of
from controlplane.planning.plan import plan_together
from controlplane.switching.states import is_end
from controlplane.switching.terms import Terms
from enchain.chains.decision_names import PoolName, RecommendationName
from enchain.chains.errors import CallerError, ConflictError, MalformedError
from enchain.chains.names import ChainName, workload_id
from enchain.process.clock import Clock
from enchain.process.logs import get_logger
from enchain.process.telemetry import meter
from enchain.state import keys
from enchain.state.store import Store
from enchain.v1 import origin_pb2, recommendation_pb2, workload_pb2

PACE_SECONDS = 30.0

PLANNED_MODES = (recommendation_pb2.PLANNING_MODE_RECOMMEND, recommendation_pb2.PLANNING_MODE_AUTO)

PASSING = frozenset({"EXPERIMENT_OWNS_ROUTE"})
"""What bars a switch for a while, by nobody's fault: what is approved waits."""

METHOD = "controlplane.loops/PlanningLoop"
ACTOR = origin_pb2.Identity(subject=OURSELVES)

_log = get_logger(__name__)
_meter = meter(__name__)
_rounds = _meter.create_counter("enchain.planning.rounds", "{round}", "Rounds of planning by outcome.")
_made = _meter.create_counter("enchain.planning.recommendations", "{recommendation}", "By what became of it.")
_seconds = _meter.create_histogram("enchain.planning.time", "s", "What a round took.")


class PlanningLoop:
    """Plans for all workloads.

    Args:
        clock: Time.
        rng: Jitter.
        pace_seconds: Between two rounds.
    """

    name = "plan chains and pools"

    def __init__(self, *, clock: Clock, rng: Random, pace_seconds: float = PACE_SECONDS) -> None:
        self._clock = clock
        self._rng = rng
        self._pace_seconds = pace_seconds
        self._stamp = stamper(clock)
        self._reckoned = Reckoned()

    async def run(self, store: Store) -> None:
        """Plan round by round, for ever."""
        await in_rounds(
            lambda: self.round(store),
            self.name,
            pace_seconds=self._pace_seconds,
            ended=_counted,
            clock=self._clock,
            rng=self._rng,
        )

    async def round(self, store: Store) -> None:
        """Do once whatever there is to do.

        Raises:
            EnchainError: The store is away.
        """
        items = [item async for item in scan(store, keys.WORKLOADS)]
        workloads = [document.message for document in readable(workload_pb2.Workload, items)]
        for workload in workloads:
            await self._tend(store, workload)
            if workload.planning.mode != recommendation_pb2.PLANNING_MODE_AUTO:
                await self._explore(store, workload, {})
        await self._plan(store, [each for each in workloads if each.planning.mode in PLANNED_MODES])

    async def _tend(self, store: Store, workload: workload_pb2.Workload) -> None:
        """Let what waited too long expire, and what was overtaken; carry out what was approved."""
        newest_first = await recommendations(store, workload_id(workload.name))
        for place, each in enumerate(newest_first):
            if expired(each, self._clock.now()):
                await self._move(store, each, EXPIRED, "nobody decided in time")
            elif each.state == OPEN and place:
                # Two replicas that plan at once see nothing of each other, and both leave one open.
                await self._move(store, each, SUPERSEDED, "")
            elif each.state == APPROVED:
                await self._carry_out(store, workload, each)

    async def _plan(self, store: Store, workloads: Sequence[workload_pb2.Workload]) -> None:
        """Plan for workloads together, and keep what is news."""
        now = self._clock.now()
        if not workloads:
            return
        names = [workload_id(workload.name) for workload in workloads]
        common = await shared(store, now, of_resources=any(each.demand.unit for each in workloads))
        profiles = ProfileCatalog(store, self._reckoned)
        inputs = [assemble(await known_of(store, name, now, common, profiles), now, names) for name in names]
        plans = plan_together([problem_of(each) for each in inputs])
        for workload, name, alone, planned in zip(workloads, names, inputs, plans, strict=True):
            each = inputs_as_planned(alone, planned)
            made = recommendation_of(planned, each)
            before = next(iter(await recommendations(store, name)), None)
            if news(made, before, now, over=await _over(store, before)):
                self._let(made, workload.planning)
                await self._keep(store, name, made, each)
            if made.state == APPROVED:
                await self._tend(store, workload)
            if workload.planning.mode == recommendation_pb2.PLANNING_MODE_AUTO:
                await self._explore(store, workload, to_explore(made, workload.planning))

    def _let(self, made: Recommendation, policy: recommendation_pb2.PlanningPolicy) -> None:
        """Approve by policy what stays within the limits; say which limit stops the rest."""
        if policy.mode != recommendation_pb2.PLANNING_MODE_AUTO:
            return
        fault = over_limits(made, policy)
        if fault:
            made.reasons.add(reason=OVER_LIMIT, description=f"a person must decide: {fault}")
            return
        made.state = APPROVED
        made.actor.CopyFrom(ACTOR)
        made.decision_reason = "within the limits of planning.mode auto"

    async def _keep(
        self, store: Store, workload: str, made: Recommendation, inputs: recommendation_pb2.PlanningInputs
    ) -> None:
        catalog = RecommendationCatalog(store, self._stamp)

        async def decide() -> Change[Recommendation]:
            return await catalog.decide_made(workload, made, inputs, self._stamp(), Caller(METHOD, ACTOR))

        kept = await commit(store, decide)
        _made.add(1, {"outcome": Recommendation.State.Name(kept.state)})
        _log.info("recommendation made", recommendation=kept.name, chain=kept.chosen.chain)

    async def _carry_out(
        self, store: Store, workload: workload_pb2.Workload, approved: Recommendation
    ) -> None:
        """Ask pools for instances and move the route; done twice, it changes nothing the second time."""
        shares = {(pool.engine, pool.version): pool.share for pool in approved.chosen.pools}
        try:
            await ask_for(
                store,
                self._stamp,
                workload_id(workload.name),
                shares,
                exceed_max_by=workload.planning.exceed_max_by,
            )
            switch = await self._switch(store, workload, approved) if approved.switches else ""
        except LeadershipLostError:
            raise
        except CallerError as error:
            if isinstance(error, ConflictError) or error.reason in PASSING:
                _log.info("recommendation waits", recommendation=approved.name, fault=error.message)
            else:
                await self._move(store, approved, FAILED, error.message)
        else:
            await self._move(store, approved, APPLIED, "", switch)

    async def _switch(self, store: Store, workload: workload_pb2.Workload, approved: Recommendation) -> str:
        """Begin the switch, or find the one that was begun."""
        identifier = approved.name.rpartition("/")[2]
        instances = {PoolName(pool.engine, pool.version): pool.target for pool in approved.chosen.pools}
        reason = f"{approved.name}: {approved.reasons[0].description}" if approved.reasons else approved.name
        watch = workload.planning.watch.ToTimedelta() if workload.planning.HasField("watch") else None
        wish = Wish(
            workload_id(workload.name),
            Caller(METHOD, ACTOR, request_id=f"recommendation-{identifier}", reason=reason),
            terms=Terms(watch=watch, recommendation=approved.name, instances=instances),
        )
        target = ChainName.parse(approved.chosen.chain, "chain", whole=True)
        return (await RouteCatalog(store, self._stamp).switch(wish, target)).name

    async def _explore(
        self, store: Store, workload: workload_pb2.Workload, asked: Mapping[str, float]
    ) -> None:
        """Begin and end to explore: what a plan does not ask for any more ends."""
        caller = Caller(METHOD, ACTOR, reason="exploring: so that it is measured, for a while")
        try:
            name = await ExploringRoutes(store, self._stamp).explore(
                workload_id(workload.name), asked, caller
            )
        except LeadershipLostError:
            raise
        except (CallerError, MalformedError) as error:
            _log.info("nothing is explored", workload=workload.name, fault=error.message)
        else:
            if name:
                _log.info("exploring changes", workload=workload.name, switch=name, chains=sorted(asked))

    async def _move(
        self, store: Store, recommendation: Recommendation, state: State, why: str, switch: str = ""
    ) -> None:
        decide = partial(self._decide_move, store, recommendation.name, state, why, switch)
        await commit(store, decide)
        _made.add(1, {"outcome": Recommendation.State.Name(state)})

    async def _decide_move(
        self, store: Store, name: str, state: State, why: str, switch: str
    ) -> Change[None]:
        parsed = RecommendationName.parse(name)
        document = await read(
            store, Recommendation, keys.recommendation(parsed.workload, parsed.recommendation)
        )
        if document is None or document.message.state == state:
            return Change(None)
        after = moved(document.message, state, self._clock.now())
        after.decision_reason = why or after.decision_reason
        after.chain_switch = switch
        return Change(None, (same(document, document.key),), (write(document.key, after),))


async def _over(store: Store, before: Recommendation | None) -> bool:
    """Say whether the switch that carries out a recommendation has ended; true where there is none."""
    switch = await SwitchLog(store).named(before.chain_switch) if before is not None else None
    return switch is None or is_end(switch.state)


def _counted(outcome: str, seconds: float) -> None:
    _rounds.add(1, {"outcome": outcome})
    if outcome == DONE:
        _seconds.record(seconds)
