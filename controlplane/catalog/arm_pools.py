"""How many instances a workload's chains need while experiments share its requests out among them.

`controlplane.loops.arm_pools` asks it, as leader, and whoever starts an experiment. It writes nothing.
Forecast, measurements and prices are those of planning, so an arm is sized as the chain in force is.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from math import ceil

from controlplane.catalog import surveys
from controlplane.catalog.documents import read
from controlplane.catalog.experiment_owners import owning
from controlplane.catalog.planning_facts import Shared, known_of, shared
from controlplane.catalog.profiles import ProfileCatalog
from controlplane.experiments.portions import portions
from controlplane.experiments.states import WARMING
from controlplane.planning.assembling import Version, assemble
from controlplane.planning.documents import problem_of
from controlplane.planning.parts import instances_of_parts
from controlplane.switching import holding
from controlplane.switching.holding import Fleet
from enchain.chains.decision_names import ExperimentName, PoolName, arms_of
from enchain.chains.errors import CallerError, MalformedError
from enchain.chains.names import workload_name
from enchain.process.logs import get_logger
from enchain.state import keys
from enchain.state.store import Store
from enchain.v1 import chain_pb2, experiment_pb2, pool_pb2, workload_pb2

Experiment = experiment_pb2.Experiment

ROUNDING = 1e-9

_log = get_logger(__name__)


def by_workload(experiments: Iterable[Experiment]) -> dict[str, list[Experiment]]:
    """Order experiments by the id of their workload."""
    found: dict[str, list[Experiment]] = {}
    for experiment in experiments:
        found.setdefault(ExperimentName.parse(experiment.name).workload, []).append(experiment)
    return found


async def instances_needed(
    store: Store,
    workload: str,
    experiments: Iterable[Experiment],
    now: datetime,
    common: Shared,
    profiles: ProfileCatalog,
) -> Mapping[Version, float]:
    """Answer how many instances the pools of a workload need; empty where nobody is to be enrolled.

    Args:
        store: What is read.
        workload: Its id.
        experiments: Its experiments that run, warm or are paused.
        now: What time it is.
        common: What is known of all workloads alike.
        profiles: Measurements.

    Raises:
        NotFoundError: There is no such workload.
        InvalidArgumentError: What is known of it makes no sense.
    """
    arms = portions(experiments)
    if not arms:
        return {}
    known = await known_of(store, workload, now, common, profiles)
    pinned = await surveys.known_chains(store, arms)
    chains = {chain.name: chain for chain in (*known.chains, *pinned)}
    inputs = assemble(replace(known, chains=list(chains.values())), now)
    rest = max(1.0 - sum(arms.values()), 0.0)
    parts = {**arms, inputs.current_chain: arms.get(inputs.current_chain, 0.0) + rest}
    found = instances_of_parts(problem_of(inputs), parts)
    sure = {(facts.engine, facts.version) for facts in inputs.engines if facts.ready}
    return {
        version: count if version in sure else _as_before(common.pools.get(version), workload)
        for version, count in found.items()
    }


async def need_of_arms(
    store: Store,
    experiment: Experiment,
    chains: Sequence[chain_pb2.Chain],
    fleet: Fleet,
    now: datetime,
    profiles: ProfileCatalog | None = None,
) -> dict[PoolName, int]:
    """Answer how many instances of each version are to be ready before an experiment enrols anybody.

    One at least. More where its arms' parts of the demand need them and they can be started here; where that
    cannot be told, one.

    Args:
        store: What is read.
        experiment: It; whatever its state is, it is taken to be about to run.
        chains: Of its arms, by their order.
        fleet: All engines as they are.
        now: What time it is.
        profiles: Measurements; None: they are read anew.
    """
    need, workload = holding.one_of_each(chains), ExperimentName.parse(experiment.name).workload
    others = [each for each in await owning(store, workload) if each.name != experiment.name]
    beginning = about_to_run(experiment, chains)
    try:
        common = await known_for(store, [workload], now)
        profiles = profiles or ProfileCatalog(store)
        sized = await instances_needed(store, workload, [*others, beginning], now, common, profiles)
    except (CallerError, MalformedError) as error:
        _log.warning("arms are not sized", workload=workload, fault=error.message)
        return need
    for name in need:
        if fleet.launchable(name) and not fleet.pools.get(name, pool_pb2.Pool()).pinned:
            count = ceil(sized.get((name.engine, name.version), 0.0) - ROUNDING)
            need[name] = max(min(count, fleet.most(name)), 1)
    return need


def about_to_run(experiment: Experiment, chains: Sequence[chain_pb2.Chain]) -> Experiment:
    """Answer an experiment as if it warmed, each arm on the chain given."""
    after = Experiment()
    after.CopyFrom(experiment)
    after.state = WARMING
    for arm, chain in zip(after.arms, chains, strict=True):
        arm.chain = chain.name
    return after


async def known_for(store: Store, workloads: Iterable[str], now: datetime) -> Shared:
    """Read what is known of all workloads alike, as far as sizing the arms of some asks for it.

    Resources are counted only where demand follows from how many there are: it takes long.
    """
    documents = [await read(store, workload_pb2.Workload, keys.workload(each)) for each in workloads]
    by_units = any(document.message.demand.unit for document in documents if document is not None)
    return await shared(store, now, of_resources=by_units)


def _as_before(pool: pool_pb2.Pool | None, workload: str) -> float:
    """Answer what is asked of a pool of which no instance has told yet how much it does at once: as before.

    One is kept anyway, and tells.
    """
    asked = pool.demands if pool is not None else {}
    own = workload_name(workload)
    return asked.get(own, 0.0) + asked.get(arms_of(own), 0.0)
