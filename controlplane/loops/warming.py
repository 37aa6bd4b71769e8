"""The leader's look at an experiment that warms: are its engines there, may it run, is its time up?

`controlplane.loops.experiments` calls it in each of its rounds, with a fenced store. It launches nothing and
remembers nothing: pools start what a warming experiment needs, and what is stored says what is still to be
done.
"""

from dataclasses import replace

from controlplane.catalog import surveys
from controlplane.catalog.arm_pools import need_of_arms
from controlplane.catalog.audit import REASON_CHARACTERS_MAX, Caller
from controlplane.catalog.documents import Document
from controlplane.catalog.experiment_moments import Asked
from controlplane.catalog.experiment_starts import ExperimentStarts
from controlplane.catalog.pool_needs import Needs
from controlplane.catalog.profiles import ProfileCatalog
from controlplane.experiments.states import WARMING
from controlplane.experiments.warming import Begin, GiveUp, Wait, decide_warming
from controlplane.switching import holding
from controlplane.switching.health import Health
from controlplane.switching.holding import Fleet
from enchain.chains.decision_names import ExperimentName, PoolName
from enchain.chains.errors import NotFoundError, PreconditionError
from enchain.process.clock import Clock
from enchain.process.logs import get_logger
from enchain.state.store import Store
from enchain.v1 import chain_pb2, engine_pb2, experiment_pb2, origin_pb2

Experiment = experiment_pb2.Experiment

_log = get_logger(__name__)


class Warming:
    """Tends experiments that warm.

    Args:
        store: Fenced.
        starts: What lets them run, or gives them up.
        health: Asks instances whether they answer.
        clock: Time.
        method: What the audit calls who does it.
        actor: Who does it.
    """

    def __init__(
        self,
        store: Store,
        starts: ExperimentStarts,
        health: Health,
        clock: Clock,
        *,
        method: str,
        actor: origin_pb2.Identity,
    ) -> None:
        self._store = store
        self._starts = starts
        self._health = health
        self._clock = clock
        self._method = method
        self._actor = actor
        self._needs = Needs(store)
        self._profiles = ProfileCatalog(store)

    async def tend(self, document: Document[Experiment]) -> None:
        """Do what is to be done about one experiment that warms.

        Raises:
            EnchainError: The store does not answer, or somebody was faster.
        """
        missing, short = await self._short(document.message)
        step = decide_warming(document.message, missing, short, self._clock.now())
        match step:
            case Begin():
                await self._begin(document, fewer=step.fewer)
            case GiveUp():
                await self._give_up(document, step.reason, step.description)
            case Wait():
                if step.news:
                    await self._starts.wait(document, step.waiting)

    async def _short(self, experiment: Experiment) -> tuple[list[str], list[str]]:
        """Answer a line for each engine version of the arms that nobody serves, and that too few serve.

        A chain that is gone asks for nothing here: who begins finds out.
        """
        chains = await surveys.known_chains(self._store, (arm.chain for arm in experiment.arms))
        if len(chains) < len(experiment.arms):
            return [], []
        now, fleet = self._clock.now(), await self._fleet(chains)
        need = await need_of_arms(self._store, experiment, chains, fleet, now, self._profiles)
        lacking = [name for name in need if fleet.ready(name) < need[name]]
        if lacking:
            problems = await surveys.problems(self._store, self._needs, lacking, now)
            fleet = replace(fleet, problems=problems)
        missing = {name: count for name, count in need.items() if not fleet.ready(name)}
        return holding.short(missing, fleet), holding.short(need, fleet)

    async def _fleet(self, chains: list[chain_pb2.Chain]) -> Fleet:
        fleet, names = await surveys.fleet(self._store), holding.pools_of(chains)
        asked = [
            each
            for each in fleet.instances
            if PoolName(each.engine, each.version) in names
            and each.state == engine_pb2.EngineInstance.STATE_READY
        ]
        return replace(fleet, silent=await self._health.silent(asked))

    async def _begin(self, document: Document[Experiment], *, fewer: bool) -> None:
        """Let it run; where it may not be started any more it is a draft again, and says why."""
        try:
            after = await self._starts.begin(self._asked(document), fewer=fewer)
        except (NotFoundError, PreconditionError) as error:
            told = f"{error.message}. {error.remedy}" if error.remedy else error.message
            await self._give_up(document, error.reason, told)
        else:
            if after.state != WARMING:
                _log.info("experiment runs", experiment=after.name)

    async def _give_up(self, document: Document[Experiment], reason: str, description: str) -> None:
        await self._starts.give_up(self._asked(document, description[:REASON_CHARACTERS_MAX]), reason)
        _log.warning(
            "experiment could not be started",
            experiment=document.message.name,
            reason=reason,
            fault=description,
        )

    def _asked(self, document: Document[Experiment], reason: str = "") -> Asked:
        name = ExperimentName.parse(document.message.name)
        return Asked(name, Caller(self._method, self._actor, reason=reason), etag=document.etag)
