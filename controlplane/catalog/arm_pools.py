"""How many instances a workload's chains need while experiments share its requests out among them.

`controlplane.loops.arm_pools` asks it, as leader, and whoever starts an experiment. It writes nothing.
Forecast, measurements and prices are those of planning, so an arm is sized as the chain in force is.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from math import ceil

from controlplane.catalog import surveys
from controlplane.catalog.documents import read, scan
from controlplane.catalog.experiment_owners import experiments_of, owning
from controlplane.catalog.planning_facts import Shared, known_of, shared
from controlplane.catalog.profiles import ProfileCatalog
from controlplane.catalog.switches import SwitchLog
from controlplane.experiments.changing import arm_named
from controlplane.experiments.portions import portions
from controlplane.experiments.states import WARMING
from controlplane.planning.assembling import Version, assemble
from controlplane.planning.documents import problem_of
from controlplane.planning.parts import instances_of_parts
from controlplane.switching import holding
from controlplane.switching.holding import Fleet
from controlplane.switching.states import is_end
from enchain.chains.decision_names import ExperimentName, PoolName, arms_of
from enchain.chains.errors import CallerError, MalformedError
from enchain.chains.names import ChainName, workload_name
from enchain.process.logs import get_logger
from enchain.state import keys
from enchain.state.store import Store
from enchain.v1 import chain_pb2, experiment_pb2, pool_pb2, workload_pb2

Experiment = experiment_pb2.Experiment

ROUNDING = 1e-9

PROMOTING_AT_MOST = timedelta(days=2)
"""After that nobody looks whether the switch that promotes a winner has ended; it drains for a day."""

_log = get_logger(__name__)


async def parts_of_requests(store: Store, now: datetime) -> dict[str, dict[str, float]]:
    """Answer by workload which chains get which share of its requests: by experiments, or by a promotion.

    A promoted chain is to get all of them, from when its switch begins until that has ended.

    Args:
        store: What is read.
        now: What time it is.
    """
    items = [item async for item in scan(store, keys.EXPERIMENTS)]
    found: dict[str, list[Experiment]] = {}
    for document in experiments_of(items):
        workload = keys.parts(document.key, keys.EXPERIMENTS)[0]
        found.setdefault(workload, []).append(document.message)
    parts = {}
    for workload, experiments in found.items():
        arms = portions(experiments)
        for experiment in () if arms else experiments:
            arms |= await _promoted(store, experiment, now)
        if arms:
            parts[workload] = arms
    return parts


async def _promoted(store: Store, experiment: Experiment, now: datetime) -> dict[str, float]:
    """Answer all requests for the winner of an experiment whose promotion is under way; nothing otherwise."""
    winner = arm_named(experiment, experiment.conclusion.winner)
    if winner is None or not experiment.conclusion.chain_switch:
        return {}
    if now - experiment.end_time.ToDatetime(UTC) > PROMOTING_AT_MOST:
        return {}
    try:
        switch = await SwitchLog(store).named(experiment.conclusion.chain_switch)
    except CallerError:
        return {}  # somebody put a name there by hand that is none
    return {} if switch is None or is_end(switch.state) else {winner.chain: 1.0}


async def need_of_whole(store: Store, chain: ChainName, now: datetime) -> dict[PoolName, int]:
    """Answer how many instances a chain needs for all requests of its workload; empty where nobody can tell.

    Args:
        store: What is read.
        chain: With its revision.
        now: What time it is.
    """
    try:
        common = await known_for(store, [chain.workload], now)
        whole = {str(chain): 1.0}
        found = await instances_of(store, chain.workload, whole, now, common, ProfileCatalog(store))
    except (CallerError, MalformedError) as error:
        _log.warning("a chain is not sized", chain=str(chain), fault=error.message)
        return {}
    counts = {PoolName(*version): ceil(count - ROUNDING) for version, count in found.items()}
    return {name: count for name, count in counts.items() if count > 0}


async def instances_of(
    store: Store,
    workload: str,
    arms: Mapping[str, float],
    now: datetime,
    common: Shared,
    profiles: ProfileCatalog,
) -> Mapping[Version, float]:
    """Answer how many instances pools need where chains get parts of a workload's requests.

    Args:
        store: What is read.
        workload: Its id.
        arms: The shares of chains; the chain in force gets the rest. Empty: nothing is needed for them.
        now: What time it is.
        common: What is known of all workloads alike.
        profiles: Measurements.

    Raises:
        NotFoundError: There is no such workload.
        InvalidArgumentError: What is known of it makes no sense.
    """
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
        arms = portions([*others, beginning])
        sized = await instances_of(store, workload, arms, now, common, profiles)
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
