"""What a switch needs and holds, what it takes from and gives to pools, and what changes for people."""

from datetime import UTC, datetime

import pytest

from controlplane.switching import states
from controlplane.switching.exploring import moved
from controlplane.switching.holding import (
    Fleet,
    held,
    holds,
    launched,
    needed,
    pools_of,
    short,
    surplus,
    unlaunchable,
    with_demands,
    with_holds,
)
from controlplane.switching.impact import differences, drained
from controlplane.switching.records import Switch, origin
from enchain.chains.decision_names import PoolName, arms_of
from enchain.chains.routes import whole
from enchain.chains.values import to_struct, to_value_map
from enchain.v1.chain_pb2 import Chain, ChainStep, InstanceChange, Route
from enchain.v1.engine_pb2 import (
    CAPABILITY_CANCEL,
    CAPABILITY_PLAN,
    Capability,
    Engine,
    EngineInstance,
    Launch,
    PoolBounds,
)
from enchain.v1.pool_pb2 import Pool

TERRAFORM, ANSIBLE, PROCESS = (PoolName(name, "1") for name in ("terraform", "ansible", "process"))


def instances(
    name: PoolName, count: int, *capabilities: Capability.ValueType, draining: bool = False
) -> list[EngineInstance]:
    state = EngineInstance.STATE_DRAINING if draining else EngineInstance.STATE_READY
    return [
        EngineInstance(
            name=f"engines/{name.engine}/instances/{number}",
            engine=name.engine,
            version=name.version,
            state=state,
            capabilities=capabilities,
        )
        for number in range(count)
    ]


def engine(most: int = 0, *, command: bool = True) -> Engine:
    launch = Launch(process=["serve"] if command else [])
    return Engine(launch=launch, pool=PoolBounds(max=most))


def chain(
    *steps: tuple[str, ...], inputs: tuple[str, ...] = ("name",), required: tuple[str, ...] = ()
) -> Chain:
    """A chain of steps, each given as engine and what it does."""
    return Chain(
        name=f"workloads/site/chains/{steps[0][0]}@1",
        steps=[ChainStep(engine=engine_name, version="1", steps=does) for engine_name, *does in steps],
        inputs=to_struct(
            {
                "type": "object",
                "properties": {name: {"type": "string"} for name in inputs},
                "required": list(required),
            }
        ),
        outputs=to_value_map({"url": "${steps.serve.outputs.url}"}),
    )


OLD = chain(("terraform", "configure"), ("process", "serve"))
NEW = chain(("ansible", "configure"), ("process", "serve"))
ENGINES = {"terraform": engine(), "ansible": engine(), "process": engine(command=False)}


def fleet(terraform: int = 3, ansible: int = 0, process: int = 2, **engines: Engine) -> Fleet:
    found = [*instances(TERRAFORM, terraform), *instances(ANSIBLE, ansible), *instances(PROCESS, process)]
    return Fleet(found, {**ENGINES, **engines})


def test_what_is_missing_is_started_as_often_as_the_old_chain_has_it() -> None:
    assert needed([NEW], [OLD], fleet(), {}) == {ANSIBLE: 3, PROCESS: 1}
    assert needed([NEW], [OLD], fleet(terraform=0), {}) == {ANSIBLE: 1, PROCESS: 1}


def test_no_more_is_started_than_there_may_be() -> None:
    assert needed([NEW], [OLD], fleet(ansible=0), {})[ANSIBLE] == 3
    assert needed([NEW], [OLD], Fleet(fleet().instances, {**ENGINES, "ansible": engine(2)}), {})[ANSIBLE] == 2


def test_what_is_served_already_needs_no_more_unless_a_plan_asks() -> None:
    assert needed([NEW], [OLD], fleet(ansible=1), {}) == {ANSIBLE: 1, PROCESS: 1}
    assert needed([NEW], [OLD], fleet(ansible=1), {ANSIBLE: 4, PROCESS: 9}) == {ANSIBLE: 4, PROCESS: 1}


def test_short_names_each_version_with_what_its_pool_says() -> None:
    some = fleet()
    told = Fleet(some.instances, some.engines, problems={ANSIBLE: "COMMAND_NOT_FOUND"})

    assert short({ANSIBLE: 3, PROCESS: 1}, some) == ["ansible 1: 0 of 3 ready"]
    assert short({ANSIBLE: 3}, told) == ["ansible 1: 0 of 3 ready (COMMAND_NOT_FOUND)"]


def test_an_instance_that_drains_or_does_not_answer_is_not_ready() -> None:
    draining = Fleet(instances(ANSIBLE, 1, draining=True), ENGINES)
    silent = Fleet(instances(ANSIBLE, 2), ENGINES, silent=frozenset({"engines/ansible/instances/1"}))

    assert (draining.ready(ANSIBLE), silent.ready(ANSIBLE)) == (0, 1)


def test_what_nobody_could_start_is_told() -> None:
    nobody = fleet(process=0)

    assert [why.split()[0] for why in unlaunchable({ANSIBLE: 1, PROCESS: 1}, nobody)] == ["engines/process"]
    assert unlaunchable({ANSIBLE: 1, PROCESS: 1}, fleet()) == []


def test_a_switch_holds_what_it_needs_and_what_the_old_chain_has() -> None:
    found = holds({ANSIBLE: 3, PROCESS: 1}, [OLD], fleet())

    assert {(each.engine, each.count) for each in found} == {("ansible", 3), ("terraform", 3)}
    assert [(each.engine, each.count) for each in launched({ANSIBLE: 3, PROCESS: 1}, fleet())] == [
        ("ansible", 3)
    ]


@pytest.mark.parametrize("state", list(states.TRANSITIONS))
def test_pools_are_held_from_warming_until_the_old_chain_is_drained(state: states.State) -> None:
    switch = Switch(name="s", state=state, holds=[InstanceChange(engine="ansible", version="1", count=3)])

    assert held([switch]) == ({ANSIBLE: {"s": 3}} if state in states.HOLDING else {})


def test_holds_of_a_pool_become_exactly_those_that_are_wanted() -> None:
    pool = Pool(name=str(ANSIBLE), target=2, holds={"gone": 5})

    changed = with_holds(ANSIBLE, pool, {"s": 3})
    assert changed is not None
    assert (dict(changed.holds), changed.target) == ({"s": 3}, 2)
    assert with_holds(ANSIBLE, changed, {"s": 3}) is None
    made = with_holds(ANSIBLE, None, {"s": 3})
    assert made is not None
    assert made.name == "engines/ansible/pools/1"
    assert with_holds(ANSIBLE, None, {}) is None


def test_only_launched_instances_beyond_what_is_kept_are_waited_for() -> None:
    switch = Switch(holds=[InstanceChange(engine="terraform", version="1", count=3)])

    assert surplus(switch, fleet(), {TERRAFORM: 1}) == ["terraform 1: 3 run, 1 are kept"]
    assert surplus(switch, fleet(), {TERRAFORM: 3}) == []


WORKLOAD = "workloads/site"


def test_what_a_workload_asks_for_moves_on_with_its_requests() -> None:
    pools = {TERRAFORM: Pool(name=str(TERRAFORM), demands={WORKLOAD: 2.5, "workloads/other": 1.0})}

    changed = with_demands(Switch(), [NEW], [OLD], pools, WORKLOAD)

    assert dict(changed[ANSIBLE].demands) == {WORKLOAD: 2.5}
    assert dict(changed[TERRAFORM].demands) == {"workloads/other": 1.0}


def test_what_was_started_for_a_switch_stays_when_it_lets_go() -> None:
    switch = Switch()
    for field in (switch.holds, switch.impact.launched):
        field.add(engine="ansible", version="1", count=3)

    assert dict(with_demands(switch, [NEW], [OLD], {}, WORKLOAD)[ANSIBLE].demands) == {WORKLOAD: 3.0}


def test_what_was_asked_for_a_promoted_arm_is_asked_for_the_workload_from_then_on() -> None:
    pools = {ANSIBLE: Pool(name=str(ANSIBLE), demands={WORKLOAD: 0.5, arms_of(WORKLOAD): 2.0})}

    changed = with_demands(Switch(), [NEW], [OLD], pools, WORKLOAD)

    assert changed[ANSIBLE].demands[WORKLOAD] == 2.5


def test_a_plan_asks_for_itself() -> None:
    pools = {TERRAFORM: Pool(demands={WORKLOAD: 2.5})}

    assert with_demands(Switch(recommendation="r"), [NEW], [OLD], pools, WORKLOAD) == {}


def test_what_merely_explores_asks_for_nothing() -> None:
    before = whole("workloads/site/chains/old@1")
    shares = moved(before, {"workloads/site/chains/new@1": 0.05}, (), datetime(2026, 1, 1, tzinfo=UTC))
    switch = Switch(to=Route(shares=shares or ()))
    origin(switch).CopyFrom(before)
    pools = {TERRAFORM: Pool(demands={WORKLOAD: 2.5})}

    assert with_demands(switch, [OLD, NEW], [OLD], pools, WORKLOAD) == {}


def test_what_differs_is_told_line_by_line() -> None:
    old = chain(("terraform", "configure"), ("process", "serve"), inputs=("name", "size"))
    new = chain(("process", "configure", "serve"), inputs=("name", "zone"), required=("zone", "name"))
    del new.outputs["url"]
    new.outputs["link"].string_value = "x"
    some = Fleet(
        [
            *instances(TERRAFORM, 1, CAPABILITY_PLAN, CAPABILITY_CANCEL),
            *instances(PROCESS, 1, CAPABILITY_CANCEL),
        ],
        ENGINES,
    )

    assert differences([old], [new], some) == [
        "inputs.size: the new chain does not take it",
        "inputs.zone: new, and required",
        "inputs.name: required from now on",
        "outputs.url: the new chain does not answer it",
        "outputs.link: new",
        "configure: terraform 1 → process 1",
        "configure: process 1 cannot plan",
        "configure: done together with serve",
    ]
    assert differences([old], [old], some) == []


def test_of_a_version_that_nobody_runs_no_capability_is_told() -> None:
    some = Fleet(instances(TERRAFORM, 1, CAPABILITY_PLAN), ENGINES)

    assert differences([OLD], [NEW], some) == ["configure: terraform 1 → ansible 1"]


def test_only_what_nothing_else_asks_for_would_be_drained() -> None:
    some = fleet()
    asked = {TERRAFORM: Pool(demands={WORKLOAD: 3.0, "workloads/other": 1.0}, holds={"s": 3})}

    assert [each.count for each in drained([OLD], [NEW], some, WORKLOAD)] == [3]
    assert [
        each.count for each in drained([OLD], [NEW], Fleet(some.instances, some.engines, asked), WORKLOAD)
    ] == [2]
    assert pools_of([NEW]) == {ANSIBLE, PROCESS}
