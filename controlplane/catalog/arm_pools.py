"""How many instances a workload's chains need while experiments share its requests out among them.

`controlplane.loops.arm_pools` calls it, as leader, and anybody may: it reads and writes nothing. Forecast,
measurements and prices are those of planning, so an arm is sized as the chain in force is.
"""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import datetime

from controlplane.catalog import surveys
from controlplane.catalog.planning_facts import Shared, known_of
from controlplane.catalog.profiles import ProfileCatalog
from controlplane.experiments.portions import portions
from controlplane.planning.assembling import Version, assemble
from controlplane.planning.documents import problem_of
from controlplane.planning.parts import instances_of_parts
from enchain.chains.decision_names import ExperimentName, arms_of
from enchain.chains.names import workload_name
from enchain.state.store import Store
from enchain.v1 import experiment_pb2, pool_pb2

Experiment = experiment_pb2.Experiment


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


def _as_before(pool: pool_pb2.Pool | None, workload: str) -> float:
    """Answer what is asked of a pool of which no instance has told yet how much it does at once: as before.

    One is kept anyway, and tells.
    """
    asked = pool.demands if pool is not None else {}
    own = workload_name(workload)
    return asked.get(own, 0.0) + asked.get(arms_of(own), 0.0)
