"""The leader's loop that looks at experiments: lets them run, ramps, rolls back, promotes and ends them.

The election runs it in each term, with a fenced store. A round reads everything anew and remembers nothing,
so it may be forgotten or repeated at any time. What to do is decided in `controlplane.experiments.deciding`,
and committed through the same `controlplane.catalog.experiment_life` that serves people, on condition that
the experiment is still as it was looked at.
"""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from random import Random

from controlplane.catalog.analyses import AnalysisCatalog
from controlplane.catalog.audit import REASON_CHARACTERS_MAX, Caller
from controlplane.catalog.changes import stamper
from controlplane.catalog.documents import Document, read, same, scan, write
from controlplane.catalog.experiment_life import ExperimentLife
from controlplane.catalog.experiment_moments import Asked, Moments
from controlplane.catalog.experiment_owners import check_whole, experiments_of
from controlplane.catalog.experiment_starts import ExperimentStarts
from controlplane.catalog.experiment_statistics import ExperimentStatistics
from controlplane.catalog.promotions import Promotions
from controlplane.experiments.deciding import Action, Climb, End, Look, Nothing, Pause, decide
from controlplane.experiments.looks import LOOKS_MAX, added
from controlplane.experiments.states import WARMING, owns
from controlplane.loops.leadership import LeadershipLostError
from controlplane.loops.rounds import DONE, in_rounds
from controlplane.loops.warming import Warming
from controlplane.switching.health import Health
from enchain.chains.decision_names import ExperimentName
from enchain.chains.errors import ConflictError, EnchainError, UnavailableError, UnsettledError
from enchain.process.clock import Clock
from enchain.process.logs import get_logger
from enchain.process.telemetry import meter
from enchain.state import keys
from enchain.state.store import Store, Txn
from enchain.v1 import experiment_pb2, origin_pb2

LOOK_SECONDS = 5.0

METHOD = "controlplane.loops/ExperimentsLoop"
ACTOR = origin_pb2.Identity(subject="enchain")

Experiment = experiment_pb2.Experiment
Analysis = experiment_pb2.ExperimentAnalysis
Looks = experiment_pb2.ExperimentLooks

_log = get_logger(__name__)
_meter = meter(__name__)
_rounds = _meter.create_counter("enchain.experiments.rounds", "{round}", "Rounds of looks, by outcome.")
_actions = _meter.create_counter("enchain.experiments.actions", "{action}", "What looks led to, by kind.")
_under_way = _meter.create_gauge("enchain.experiments.under_way", "{experiment}", "Running or paused.")
_seconds = _meter.create_histogram("enchain.experiments.time", "s", "What a round took.")


class ExperimentsLoop:
    """Looks at all experiments.

    Args:
        health: Asks instances whether they answer.
        clock: Time.
        rng: Jitter.
        look_seconds: Between two rounds.
    """

    name = "look at experiments"

    def __init__(
        self, health: Health, *, clock: Clock, rng: Random, look_seconds: float = LOOK_SECONDS
    ) -> None:
        self._health = health
        self._clock = clock
        self._rng = rng
        self._look_seconds = look_seconds

    async def run(self, store: Store) -> None:
        """Look round by round, for ever."""
        await in_rounds(
            ExperimentRounds(store, self._health, self._clock).round,
            self.name,
            pace_seconds=self._look_seconds,
            ended=_counted,
            clock=self._clock,
            rng=self._rng,
        )


class ExperimentRounds:
    """One look at every experiment after another.

    Args:
        store: Fenced.
        health: Asks instances whether they answer.
        clock: Time.
    """

    def __init__(self, store: Store, health: Health, clock: Clock) -> None:
        stamp = stamper(clock)
        self._store = store
        self._clock = clock
        self._analyses = AnalysisCatalog(store, clock)
        self._statistics = ExperimentStatistics(store)
        self._life = ExperimentLife(store, stamp, self._analyses)
        self._promotions = Promotions(store, stamp)
        starts = ExperimentStarts(store, Moments(store, stamp, self._analyses))
        self._warming = Warming(store, starts, health, clock, method=METHOD, actor=ACTOR)

    async def round(self) -> None:
        """Look once at all experiments, and do what follows.

        Raises:
            LeadershipLostError: The term is over.
            UnavailableError: The store does not answer.
            UnsettledError: It did not answer whether something was stored; the next round tells.
        """
        under_way = 0
        async for item in scan(self._store, keys.EXPERIMENTS):
            for document in experiments_of([item]):
                under_way += owns(document.message)
                await self._tend_safely(document)
        _under_way.set(under_way)

    async def _tend_safely(self, document: Document[Experiment]) -> None:
        """Tend one experiment; what is wrong with one must not stop the others."""
        try:
            await self._tend(document)
        except (LeadershipLostError, UnavailableError, UnsettledError):
            raise
        except ConflictError as error:
            _log.info("experiment changed meanwhile", key=document.key, fault=error.message)
        except EnchainError as error:
            _log.warning("experiment waits", key=document.key, reason=error.reason, fault=error.message)

    async def _tend(self, document: Document[Experiment]) -> None:
        experiment = document.message
        if experiment.state == WARMING:
            await self._warming.tend(document)
        elif owns(experiment):
            check_whole(experiment)
            analysis = await self._analyses.of(experiment)
            operations = await self._operations(experiment)
            action = decide(Look(experiment, analysis, operations, self._clock.now()))
            await self._keep_look(experiment, analysis, decided=not isinstance(action, Nothing))
            experiment = await self._do(document, action, analysis)
        if experiment.conclusion.promotion_pending:
            name = ExperimentName.parse(experiment.name)
            await self._promotions.begin(name, Caller(METHOD, ACTOR))

    async def _do(self, document: Document[Experiment], action: Action, analysis: Analysis) -> Experiment:
        if isinstance(action, Nothing):
            return document.message
        caller = Caller(METHOD, ACTOR, reason=action.description[:REASON_CHARACTERS_MAX])
        name = ExperimentName.parse(document.message.name)
        asked = Asked(name, caller, etag=document.etag, evidence=analysis)
        kind = type(action).__name__
        match action:
            case Pause():
                after = await self._life.pause(asked)
            case Climb():
                after = await self._life.ramp(asked, action.step)
            case End():
                kind = action.reason
                after = await self._life.conclude(
                    asked, action.winner, promote=action.promote, reason=action.reason
                )
        _actions.add(1, {"action": kind})
        _log.info("experiment goes on", experiment=str(name), action=kind, why=action.description)
        return after

    async def _operations(self, experiment: Experiment) -> Mapping[str, int]:
        measured = await self._statistics.measured(experiment)
        return {arm: each.operations for arm, each in measured.arms.items()}

    async def _keep_look(self, experiment: Experiment, analysis: Analysis, *, decided: bool) -> None:
        """Keep a look for pictures, where there is news and not too soon after the last one."""
        name = ExperimentName.parse(experiment.name)
        key = keys.experiment_looks(name.workload, name.experiment)
        document = await read(self._store, Looks, key)
        before = document.message if document is not None else Looks()
        after = added(before, analysis)
        if decided or due(before, after.looks[-1], experiment.start_time.ToDatetime(UTC)):
            # Where somebody was faster, another leader looked.
            await self._store.commit(Txn((same(document, key),), (write(key, after),)))


def due(before: Looks, look: Looks.Look, start: datetime) -> bool:
    """Say whether a look is worth keeping: something ended since, and it is not too soon after the last one.

    Looks grow apart with the age of the experiment, as they are thinned anyway.
    """
    if not look.goals:
        return False
    if not before.looks:
        return True
    last, now = before.looks[-1], look.time.ToDatetime(UTC)
    news = (last.phase, last.operations) != (look.phase, look.operations)
    gap = max(timedelta(seconds=LOOK_SECONDS), (now - start) / LOOKS_MAX)
    return news and now - last.time.ToDatetime(UTC) >= gap


def _counted(outcome: str, seconds: float) -> None:
    _rounds.add(1, {"outcome": outcome})
    if outcome == DONE:
        _seconds.record(seconds)
