"""The verdict of the chaos run on experiments: each wrong that it looks for is found."""

from collections.abc import Callable

import pytest

from benchmarks.chaos.experiment import ARMS, NAME, SCALES, judge, make_plan, too_easy
from benchmarks.chaos.faulting import Done
from benchmarks.chaos.targets import leading
from benchmarks.chaos.telling import Told
from controlplane.experiments.sums import sums_of
from controlplane.loops.election import LEADER_KEY
from enchain.chains.assignment import assign, ranges
from enchain.state.codec import encode
from enchain.state.memory import MemoryStore
from enchain.state.store import Put, put
from enchain.v1 import experiment_pb2, operation_pb2, presence_pb2

COUNT = 40
Operations = dict[str, operation_pb2.Operation]
Arms = dict[str, experiment_pb2.ArmStatistics]
Case = tuple[list[Told], Operations, Arms]


def running() -> experiment_pb2.Experiment:
    made = experiment_pb2.Experiment(name=str(NAME), state=experiment_pb2.Experiment.STATE_RUNNING)
    for arm, (chain, weight) in ARMS.items():
        made.arms.add(name=arm, chain=f"workloads/tested/chains/{chain}", weight=weight)
    made.phases.add(number=1, seed="s", hash_version=2, coverage=100, ranges=ranges(made.arms, 100))
    return made


EXPERIMENT = running()


def good() -> Case:
    """Provisions that went as they should, and what arms should have counted of them."""
    operations: Operations = {}
    for number in range(COUNT):
        key = f"tested-{number:04}"
        meant = assign(EXPERIMENT, key)
        assert meant.place is not None
        name = f"tenants/default/operations/{number}"
        operations[name] = operation_pb2.Operation(
            name=name, resource=f"tenants/default/resources/{key}", workload="workloads/tested",
            verb=operation_pb2.VERB_PROVISION, state=operation_pb2.Operation.STATE_SUCCEEDED,
            experiment=str(NAME), experiment_phase=1, arm=meant.place.arm, bucket=meant.bucket,
        )  # fmt: skip
    arms: Arms = {}
    for arm in ARMS:
        count = len([each for each in operations.values() if each.arm == arm])
        arms[arm] = experiment_pb2.ArmStatistics(operations=count)
        arms[arm].metrics["success"].CopyFrom(sums_of([(1.0, 0)] * count))
    state = "STATE_SUCCEEDED"
    told = [Told("s", "tested", "provision", "r", state, name, state) for name in operations]
    return told, operations, arms


def lost_outcome(case: Case) -> None:
    case[0][0].state = ""


def other_end(case: Case) -> None:
    case[0][0].state = "STATE_FAILED"


def not_as_meant(case: Case) -> None:
    case[0][0].meant = "STATE_FAILED"


def no_record(case: Case) -> None:
    del case[1][case[0][3].operation]


def twice_counted(case: Case) -> None:
    case[2]["same"].operations += 1


def left_out(case: Case) -> None:
    case[2]["control"].metrics["success"].count -= 1


def moved(case: Case) -> None:
    update = operation_pb2.Operation()
    update.CopyFrom(next(each for each in case[1].values() if each.arm == "control"))
    update.name, update.verb, update.arm = "tenants/default/operations/u", operation_pb2.VERB_UPDATE, "same"
    case[1][update.name] = update


def forgot_the_experiment(case: Case) -> None:
    next(iter(case[1].values())).experiment = ""


def test_what_is_right_passes() -> None:
    told, operations, arms = good()

    assert judge(told, operations, EXPERIMENT, arms) == []


@pytest.mark.parametrize(
    "spoil",
    [lost_outcome, other_end, not_as_meant, no_record, twice_counted, left_out, moved, forgot_the_experiment],
)
def test_each_wrong_is_found(spoil: Callable[[Case], None]) -> None:
    case = good()
    spoil(case)
    told, operations, arms = case

    assert judge(told, operations, EXPERIMENT, arms)


def test_a_plan_has_as_many_operations_as_asked_for_and_kills_everyone_in_turn() -> None:
    operations, faults, _ = SCALES["full"]
    plan = make_plan(7, operations, faults)

    assert plan.operations == operations
    assert {fault.role for fault in plan.faults} == {"control", "leader", "owner", "etcd"}
    assert plan == make_plan(7, operations, faults)


def test_a_run_that_hit_a_role_too_seldom_proves_nothing() -> None:
    faults = make_plan(7, 10, 12).faults

    assert list(too_easy([Done(fault, target="somebody") for fault in faults])) == []
    leaders_lived = [Done(fault, target="" if fault.role == "leader" else "somebody") for fault in faults]
    assert list(too_easy(leaders_lived)) == ["only 0 of 3 kills of the role leader found somebody to hit"]


async def test_who_leads_is_told_by_the_key_of_the_election(memory_store: MemoryStore) -> None:
    assert await leading(memory_store) == ""

    presence = presence_pb2.LeaderPresence(name="controlplanes/01A", address="127.0.0.1:1")
    await put(memory_store, [Put(LEADER_KEY, encode(presence))])

    assert await leading(memory_store) == "01A"
