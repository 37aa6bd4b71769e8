"""The scenario `experiment`: leaders, routers and etcd members are killed while arms are compared.

`__main__` plays it with `--scenario experiment`. In the end every operation must have ended as it was meant
to, what the arms counted must be what the journal holds, operation by operation, and everything that was done
to a resource must have stayed in its arm.
"""

import asyncio
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from random import Random
from typing import Any

from benchmarks.chaos import standing
from benchmarks.chaos.faulting import Done, Faults
from benchmarks.chaos.house import ROUTERS, House, open_house
from benchmarks.chaos.plan import Fault, Plan, Story
from benchmarks.chaos.report import not_as_meant
from benchmarks.chaos.telling import Telling, Told
from controlplane.catalog.experiment_statistics import ExperimentStatistics
from controlplane.loops.election import LEADER_KEY
from enchain.chains.assignment import assign
from enchain.chains.decision_names import ExperimentName
from enchain.chains.errors import EnchainError
from enchain.cli.documents import load, save
from enchain.state import keys
from enchain.v1 import experiment_pb2, operation_pb2

SCALES = {"full": (2000, 60, 3), "small": (150, 9, 2)}
"""Operations, faults, and instances of an engine."""

WORKLOAD = "tested"
NAME = ExperimentName(WORKLOAD, "arms")
ARMS = {"control": ("default", 48.0), "same": ("default", 48.0), "other": ("by-terraform", 4.0)}
"""Chain and weight. Most go through scripts, since thousands of Terraform's would take too long."""

CAPACITY = 6
ROLES = ("leader", "owner", "etcd", "control")
FAILING = 0.03
FOUND_MIN = 2 / 3
"""Of the kills of a role, how many must have found somebody to hit: at the very end nothing runs any more."""

QUIET_SECONDS = 180.0
LOOK_SECONDS = 0.5

_MOVES = (("provision",), ("provision", "update"), ("provision", "deprovision"))
_PROVISION = operation_pb2.VERB_PROVISION
Operations = Mapping[str, operation_pb2.Operation]
Arms = Mapping[str, experiment_pb2.ArmStatistics]


def make_plan(seed: int, operations: int, faults: int) -> Plan:
    """Draw stories of exactly so many operations, and kills of each role in turn."""
    rng = Random(f"experiment {seed}")
    kills = tuple(
        Fault(
            number, "kill", ROLES[number % len(ROLES)], round(rng.uniform(0.2, 3.0), 2), False, rng.random()
        )
        for number in range(faults)
    )
    return Plan(seed, tuple(_stories(rng, operations)), kills)


def _stories(rng: Random, operations: int) -> Iterator[Story]:
    left, number = operations, 0
    while left:
        moves = rng.choice(_MOVES)[:left]
        fail = "partial" if rng.random() < FAILING else ""
        moves = moves[:1] if fail else moves
        yield Story(f"tested-{number:04}", WORKLOAD, round(rng.uniform(0.0, 0.4), 2), fail, moves)
        left, number = left - len(moves), number + 1


async def play(data: Path, plan: Plan, instances: int, tell: Callable[[str], None]) -> dict[str, Any]:
    """Play it in a folder of its own; answer what was found."""
    async with open_house(data, instances, CAPACITY) as house:
        experiment = await _begin(house)
        tell(f"{experiment.name} runs; {plan.operations} operations, {len(plan.faults)} kills")
        faults = Faults(house, plan)
        telling = Telling(house, plan, faults.share_done)
        leaders: set[int] = set()
        watching = asyncio.create_task(_watch(house, telling, faults, leaders, tell), name="watch")
        began = time.monotonic()
        await asyncio.gather(telling.tell_all(), faults.do_all(telling.share_begun))
        played = time.monotonic() - began
        watching.cancel()
        tell("all operations are told; waiting until all is folded")
        await _until_folded(house)
        found = await standing.look(data, house.store)
        arms = (await ExperimentStatistics(house.store).measured(experiment)).arms
        wrong = [*judge(telling.told, found.operations, experiment, arms), *too_easy(faults.done)]
        wrong += house.ended_by_themselves()
        return _summary(plan, faults, telling.told, arms, len(leaders), played, wrong)


async def _begin(house: House) -> experiment_pb2.Experiment:
    """Save the workload, start the experiment, and wait until every router assigns by it."""
    made = experiment_pb2.Experiment(on_guardrail=experiment_pb2.Experiment.ON_GUARDRAIL_ASK)
    for arm, (chain, weight) in ARMS.items():
        made.arms.add(name=arm, chain=f"workloads/{WORKLOAD}/chains/{chain}", weight=weight)
    made.goal.metric = "success"
    async with house.client() as client:
        for item in load([house.parts / "experiment.yaml"]):
            await save(client, item, dry_run=False)
        await client.experiments.CreateExperiment(
            experiment_pb2.CreateExperimentRequest(
                parent=f"workloads/{WORKLOAD}", experiment_id=NAME.experiment, experiment=made
            )
        )
        request = experiment_pb2.StartExperimentRequest(name=str(NAME))
        started: experiment_pb2.Experiment = await client.experiments.StartExperiment(request)
    for first in range(ROUTERS):
        await _until_assigned(house, first)
    return started


async def _until_assigned(house: House, first: int) -> None:
    async with asyncio.timeout(60), house.client(first) as client:
        while True:
            try:
                if (await client.explain_route(WORKLOAD, "any")).arm in ARMS:
                    return
            except EnchainError:
                pass  # it does not know the workload yet
            await asyncio.sleep(0.1)


async def _watch(
    house: House, telling: Telling, faults: Faults, leaders: set[int], tell: Callable[[str], None]
) -> None:
    """Note every leader by its term, and say how far it is."""
    told = time.monotonic()
    while True:
        try:
            item = await house.store.get(LEADER_KEY)
            leaders.update((item.create_revision,) if item is not None else ())
        except EnchainError:
            pass  # etcd elects; the next look will do
        if time.monotonic() - told > 15:  # noqa: PLR2004 - seconds
            told = time.monotonic()
            over = len([each for each in telling.told if each.state or each.error])
            tell(f"{over} operations ended, {len(faults.done)} kills done, out: {sorted(faults.out)}")
        await asyncio.sleep(LOOK_SECONDS)


async def _until_folded(house: House) -> None:
    """Wait until nothing runs and nothing waits to be folded; what does then is a finding of `judge`."""
    until = time.monotonic() + QUIET_SECONDS
    while time.monotonic() < until:
        prefixes = (keys.OWNERS, keys.ACTIVE, keys.OUTBOX)
        lists = [await house.store.list(prefix, keys_only=True, limit=1) for prefix in prefixes]
        if not any(found.items for found in lists):
            return
        await asyncio.sleep(LOOK_SECONDS)


def judge(
    told: list[Told], operations: Operations, experiment: experiment_pb2.Experiment, arms: Arms
) -> list[str]:
    """Answer all that is not as promised. Pure."""
    return [
        *_clients(told, operations),
        *_ends(told),
        *_counts(operations, experiment, arms),
        *_sticky(operations, experiment),
    ]


def too_easy(done: Sequence[Done]) -> Iterator[str]:
    """Name the roles that were hit too seldom to prove something. Pure."""
    planned = Counter(each.fault.role for each in done)
    hit = Counter(each.fault.role for each in done if each.target)
    for role, count in planned.items():
        if hit[role] < FOUND_MIN * count:
            yield f"only {hit[role]} of {count} kills of the role {role} found somebody to hit"


def _clients(told: list[Told], operations: Operations) -> Iterator[str]:
    """Every client got an outcome, and the journal holds that one."""
    for each in told:
        if each.error or not each.state:
            yield f"the client of {each.story} {each.move} got no outcome: {each.error or 'nothing'}"
        elif each.operation not in operations:
            yield f"{each.story} {each.move}: the journal has no {each.operation}"
        else:
            state = operation_pb2.Operation.State.Name(operations[each.operation].state)
            if state != each.state:
                yield f"{each.operation} was told {each.state} and is {state}"


def _ends(told: list[Told]) -> Iterator[str]:
    """Everything ended as it was meant to: engines live on, and whatever else dies is taken over from."""
    for each in told:
        if not each.as_meant and not each.error:
            yield f"{each.story} {each.move} ended {each.state or 'nowhere'}, not {each.meant}: {each.reason}"


def _counts(operations: Operations, experiment: experiment_pb2.Experiment, arms: Arms) -> Iterator[str]:
    """What the arms counted is what the journal holds."""
    journal = Counter(
        (each.arm, operation_pb2.Operation.State.Name(each.state).removeprefix("STATE_"))
        for each in operations.values()
        if each.verb == _PROVISION and each.experiment == experiment.name
    )
    for arm, sums in arms.items():
        success = sums.metrics["success"]
        counted = {
            "SUCCEEDED": round(success.sum),
            "FAILED": success.count - round(success.sum),
            "CANCELLED": sums.cancelled,
        }
        for state, count in counted.items():
            if count != journal[arm, state]:
                yield f"{arm} counted {count} {state}, the journal holds {journal[arm, state]}"
        ended = sum(journal[arm, state] for state in counted)
        if sums.operations != ended or sums.operations != sum(counted.values()):
            yield f"{arm} counted {sums.operations} operations, {ended} ended"
        if sum(sums.failures.values()) != counted["FAILED"]:
            yield f"{arm} counted {sum(sums.failures.values())} reasons of {counted['FAILED']} failures"
    unknown = sum(count for (arm, _), count in journal.items() if arm not in arms)
    if unknown:
        yield f"{unknown} operations are of no arm"


def _sticky(operations: Operations, experiment: experiment_pb2.Experiment) -> Iterator[str]:
    """Every operation is in the arm that anybody reckons from its resource's id, and stays in it."""
    for each in operations.values():
        if each.workload != f"workloads/{WORKLOAD}":
            continue
        meant = assign(experiment, each.resource.rpartition("/")[2])
        place = (each.experiment, each.experiment_phase, each.arm, each.bucket)
        wanted = (experiment.name, meant.phase, meant.place.arm if meant.place else "", meant.bucket)
        if place != wanted:
            yield f"{each.name} of {each.resource} is in {place}, not in {wanted}"


def _summary(
    plan: Plan, faults: Faults, told: list[Told], arms: Arms, leaders: int, played: float, wrong: list[str]
) -> dict[str, Any]:
    done = [each for each in faults.done if each.target]
    return {
        "seed": plan.seed,
        "operations": len(told),
        "as_meant": len([each for each in told if each.as_meant]),
        "not_as_meant": [not_as_meant(each) for each in told if not each.as_meant],
        "counted": {arm: sums.operations for arm, sums in arms.items()},
        "adopted": len([each for each in told if each.adopted]),
        "reattached": sum(each.reattached for each in told),
        "kills": dict(sorted(Counter(each.target for each in done).items())),
        "kills_by_role": dict(Counter(each.fault.role for each in done)),
        "leaders_killed": len([each for each in done if each.led]),
        "owners_killed_at_a_step": len([each for each in done if each.hit]),
        "leaders": leaders,
        "seconds": round(played, 1),
        "wrong": wrong,
    }
