"""The verdict of the chaos run: what is right passes, and each wrong that it looks for is found.

Accounts are made by hand: one operation that succeeded, with its thing, its effect and its books.
"""

import dataclasses
from typing import Any

import pytest

from benchmarks.chaos.faulting import Done
from benchmarks.chaos.plan import HITTING, KINDS, make_plan
from benchmarks.chaos.standing import Standing
from benchmarks.chaos.telling import Told
from benchmarks.chaos.verdict import Account, judge
from benchmarks.chaos.witness import Line, Seen
from enchain.v1 import operation_pb2

NAME = "tenants/default/operations/01A"
RESOURCE = "tenants/default/resources/quick-000"
WORK = "01R/work"

RUN = operation_pb2.StepRun(steps=["work"], engine="script", generation=1)
MADE = operation_pb2.ResourceStep(steps=["work"], engine="script", generation=1)
OPERATION = operation_pb2.Operation(
    name=NAME, state=operation_pb2.Operation.STATE_SUCCEEDED, resource_uid="01R", steps=[RUN]
)
READY = operation_pb2.Resource(
    name=RESOURCE, uid="01R", state=operation_pb2.Resource.STATE_READY, steps=[MADE]
)
READY.inputs["round"].string_value = "asked"
TOLD = Told("quick-000", "quick", "provision", "asked", "STATE_SUCCEEDED", NAME, "STATE_SUCCEEDED", adopted=1)
BEGIN, END = Line(WORK, "apply", "1", "begin"), Line(WORK, "apply", "1", "end")
STANDING = Standing({WORK: "asked"}, {}, [], {NAME: OPERATION}, {RESOURCE: READY}, [], {})
GOOD = Account([TOLD], [], Seen((BEGIN, END)), STANDING, {NAME: "STATE_SUCCEEDED"}, [])


def told(**changes: Any) -> Account:
    return dataclasses.replace(GOOD, told=[dataclasses.replace(TOLD, **changes)])


def standing(**changes: Any) -> Account:
    return dataclasses.replace(GOOD, standing=dataclasses.replace(STANDING, **changes))


def seen(*lines: Line) -> Account:
    return dataclasses.replace(GOOD, seen=Seen(lines))


def resource(**changes: Any) -> dict[str, operation_pb2.Resource]:
    changed = operation_pb2.Resource()
    changed.CopyFrom(READY)
    changed.MergeFrom(operation_pb2.Resource(**changes))
    return {RESOURCE: changed}


def test_what_is_right_passes() -> None:
    assert judge(GOOD) == []


WRONG = {
    "got no outcome": told(state="", error="gone"),
    "and is STATE_HELD": dataclasses.replace(GOOD, got={NAME: "STATE_HELD"}),
    "ended as they were meant": told(meant="STATE_FAILED"),
    "although its policy is to hold": told(workload="held", state="STATE_FAILED", meant="STATE_HELD"),
    "begun 2 times": seen(BEGIN, END, BEGIN, END),
    "had its effect 0 times": seen(BEGIN),
    "had its effect 2 times": seen(BEGIN, END, END),
    "belongs to nobody": standing(resources={}),
    "is served 2 times": standing(services={WORK: ["asked", "asked"]}),
    "a tool is left": standing(tools=["terraform"]),
    "holds nothing, not asked": standing(things={}),
    "holds before, not asked": standing(things={WORK: "before"}),
    "has an owner still": standing(owners=["owner"]),
    "is active still": standing(active={NAME: False}),
    "which is not held": standing(resources=resource(operation=NAME)),
    "is STATE_UPDATING": standing(resources=resource(state=operation_pb2.Resource.STATE_UPDATING)),
    "router-1 ended": dataclasses.replace(GOOD, ended=["router-1 ended with 1"]),
}


@pytest.mark.parametrize("sentence", WRONG)
def test_each_wrong_is_found(sentence: str) -> None:
    assert any(sentence in found for found in judge(WRONG[sentence]))


def test_a_run_that_proves_little_is_wrong() -> None:
    plan = make_plan(1, 200, 60)
    missed = [Done(fault, target="router-1") for fault in plan.faults if fault.kind != "cut"]
    wrong = judge(dataclasses.replace(GOOD, faults=missed))

    assert any("hit a step that ran" in found for found in wrong)
    assert any("of the kind cut" in found for found in wrong)
    assert any("were adopted" in found for found in wrong)


def test_faults_that_found_nobody_to_hit_prove_nothing() -> None:
    done = [Done(fault, target="router-1") for fault in make_plan(1, 200, 66).faults]
    done[60:] = [Done(each.fault) for each in done[60:]]
    enough = judge(dataclasses.replace(GOOD, faults=done))
    done[59] = Done(done[59].fault)
    too_few = judge(dataclasses.replace(GOOD, faults=done))

    assert not any("found somebody to hit" in found for found in enough)
    assert any("only 59 of 66 faults found somebody to hit" in found for found in too_few)


def test_a_seed_makes_the_same_plan_again() -> None:
    assert make_plan(7, 200, 60) == make_plan(7, 200, 60) != make_plan(8, 200, 60)


@pytest.mark.parametrize("seed", range(5))
def test_a_plan_holds_what_the_run_has_to_show(seed: int) -> None:
    plan = make_plan(seed, 200, 60)

    assert plan.operations == 200
    assert all(len([fault for fault in plan.faults if fault.kind == kind]) >= 15 for kind in KINDS)
    assert len([fault for fault in plan.faults if fault.role in HITTING]) >= 40
