"""What experiments are refused for, over gRPC, on real etcd: each with its field, cause and remedy."""

from typing import Any

import pytest

from enchain.chains.errors import (
    ConflictError,
    InvalidArgumentError,
    NotFoundError,
    PreconditionError,
)
from enchain.v1 import chain_pb2, workload_pb2
from tests.harness.controlplane import refusal
from tests.harness.experiments import Experiment, Experiments, experiment, name, part
from tests.harness.site import (
    PARENT,
    ROUTE,
    edit_site,
    get_chain,
    site_workload,
    switch,
    update,
)


def fields(error: Any) -> list[str]:
    return [fault.field for fault in error.violations]


async def test_weights_are_not_changed_in_place(ab: Experiments) -> None:
    await ab.running()

    error = await refusal(ab.update(experiment({"default": 20, "via-files": 80})))

    assert isinstance(error, PreconditionError)
    assert (error.reason, fields(error)) == ("IMMUTABLE", ["experiment.arms"])
    assert "enchain experiments weights" in error.remedy


async def test_weights_that_do_not_sum_are_refused_with_their_sum(ab: Experiments) -> None:
    created = await refusal(ab.create(experiment({"default": 50, "via-files": 40})))
    await ab.running()
    changed = await refusal(ab.weigh({"default": 50, "via-files": 60}))
    partial = await refusal(ab.weigh({"default": 100}))

    assert (created.reason, fields(created)) == ("WEIGHTS_DO_NOT_SUM", ["experiment.arms"])
    assert "90 %" in created.message
    assert (changed.reason, fields(changed)) == ("WEIGHTS_DO_NOT_SUM", ["weights"])
    assert fields(partial) == ["weights.via-files"]


async def test_an_arm_whose_chain_is_not_there_is_refused(ab: Experiments) -> None:
    error = await refusal(ab.create(experiment({"default": 50, "nowhere": 50})))

    assert isinstance(error, NotFoundError)
    assert fields(error) == ["experiment.arms[1].chain"]
    assert "nowhere" in error.message
    assert "kind: Chain" in error.remedy


async def test_an_arm_that_lacks_a_step_is_refused_when_saved_and_when_started(ab: Experiments) -> None:
    pinned = experiment()
    pinned.arms[1].chain = (await get_chain(ab.plane, "via-files")).name
    await ab.create(pinned)
    third = workload_pb2.Step(name="check")
    third.implementations.add(engine="files").inputs["name"].string_value = "x"
    await update(ab.plane, site_workload(steps=[third]))

    started = await refusal(ab.start())
    saved = await refusal(ab.create(pinned, "second"))

    for error in (started, saved):
        assert isinstance(error, PreconditionError)
        assert (error.reason, fields(error)) == ("CHAIN_LACKS_STEP", ["experiment.arms[1].chain"])
        assert "check" in error.message


async def test_a_chain_that_nobody_serves_or_can_start_is_refused(ab: Experiments) -> None:
    await ab.create()
    for engine in ab.plane.engines_started:
        await ab.plane.unregister(engine.instance)

    error = await refusal(ab.start())

    assert isinstance(error, PreconditionError)
    assert error.reason == "NO_INSTANCE"


async def test_an_experiment_on_a_route_that_a_switch_moves_is_refused(ab: Experiments) -> None:
    await ab.create()
    moving = await switch(ab.plane)

    error = await refusal(ab.start())

    assert isinstance(error, PreconditionError)
    assert error.reason == "SWITCH_RUNNING"
    assert moving.name in error.message


async def test_a_switch_is_refused_while_an_experiment_runs_or_is_paused(ab: Experiments) -> None:
    await ab.running()
    running = await refusal(switch(ab.plane))
    await ab.pause()
    paused = await refusal(switch(ab.plane))

    assert [running.reason, paused.reason] == ["EXPERIMENT_OWNS_ROUTE"] * 2


async def test_a_pinned_route_takes_no_experiment(ab: Experiments) -> None:
    await ab.create()
    await ab.plane.chains.PinRoute(chain_pb2.PinRouteRequest(name=ROUTE, reason="audit"))

    assert (await refusal(ab.start())).reason == "ROUTE_PINNED"


async def test_an_experiment_has_its_workload_to_itself_unless_a_layer_says_otherwise(
    ab: Experiments,
) -> None:
    await ab.running()
    for other in (experiment(), experiment(layer=part(0, 500))):
        await ab.create(other, "second")
        error = await refusal(ab.start("second"))
        await ab.delete("second")

        assert isinstance(error, PreconditionError)
        assert error.reason == "EXPERIMENT_IN_THE_WAY"
        assert name() in error.message


@pytest.mark.parametrize(
    ("other", "why"),
    [
        (experiment(layer=part(500, 1000, "layers/other")), "layers/other"),
        (experiment(layer=part(500, 1000), unit="tenant"), "tenant"),
    ],
)
async def test_experiments_of_one_workload_share_one_layer_and_unit(
    ab: Experiments, other: Experiment, why: str
) -> None:
    await ab.running(experiment(layer=part(0, 500)))
    await ab.create(other, "second")

    error = await refusal(ab.start("second"))

    assert error.reason == "EXPERIMENT_IN_THE_WAY"
    assert why in error.message


async def test_acts_that_a_state_does_not_allow_are_refused(ab: Experiments) -> None:
    await ab.create()
    early = [(await refusal(call)).reason for call in (ab.pause(), ab.resume(), ab.cover(10), ab.conclude())]
    await ab.start()
    deleted = await refusal(ab.delete())
    await ab.conclude()
    late = [(await refusal(call)).reason for call in (ab.start(), ab.pause(), ab.resume())]

    assert early == ["WRONG_STATE"] * 4
    assert deleted.reason == "WRONG_STATE"
    assert late == ["WRONG_STATE"] * 3


async def test_an_etag_of_before_is_refused(ab: Experiments) -> None:
    draft = await ab.create()
    await ab.start()

    assert isinstance(await refusal(ab.pause(etag=draft.etag)), ConflictError)


async def test_winners_that_are_no_arms_are_refused(ab: Experiments) -> None:
    await ab.running()

    unknown = await refusal(ab.conclude("nobody"))
    nobody = await refusal(ab.conclude(promote=True))

    assert isinstance(unknown, InvalidArgumentError)
    assert [unknown.reason, nobody.reason] == ["UNKNOWN_ARM", "REQUIRED"]
    assert fields(nobody) == ["winner"]


async def test_chains_of_arms_and_the_workload_are_not_deleted_meanwhile(ab: Experiments) -> None:
    pinned = (await ab.running()).arms[1].chain
    await edit_site(ab.plane)

    chain = await refusal(ab.plane.chains.DeleteChain(chain_pb2.DeleteChainRequest(name=pinned)))
    workload = await refusal(
        ab.plane.workloads.DeleteWorkload(workload_pb2.DeleteWorkloadRequest(name=PARENT))
    )
    await ab.conclude()
    await ab.plane.chains.DeleteChain(chain_pb2.DeleteChainRequest(name=pinned))

    assert [chain.reason, workload.reason] == ["IN_USE", "IN_USE"]
    assert name() in chain.message
    assert name() in workload.message
