"""Control plane, routers and client answer alike, of an experiment that the control plane started."""

import pytest

from enchain.client import assign_arm
from enchain.v1 import experiment_pb2, provisioning_pb2
from tests.harness.controlplane import Plane
from tests.harness.experiments import Experiment, Experiments, experiment
from tests.harness.routers import RunningRouter, running_router
from tests.harness.waiting import eventually

KEYS = ("one", "two", "größe", "東京", "tester", *(f"site-{number}" for number in range(45)))


async def explained(router: RunningRouter, key: str) -> list[experiment_pb2.ArmAssignment]:
    """What a router's experiments say of a key of `site`."""
    request = provisioning_pb2.ExplainRouteRequest(workload="workloads/site", key=key)
    return list((await router.stub.ExplainRoute(request)).experiments)


@pytest.mark.parametrize(
    "made",
    [
        experiment({"default": 30, "via-files": 70}, coverage=60, forced={"tester": "via-files"}),
        experiment(
            layer=experiment_pb2.LayerRange(layer="layers/checkout", start=100, end=700),
            eligibility="inputs.name == 'x'",
            unit="inputs.name",
        ),
    ],
    ids=["alone", "in a layer"],
)
async def test_all_three_answer_alike(saved: Plane, made: Experiment) -> None:
    experiments = Experiments(saved)
    started = await experiments.running(made)
    async with running_router(saved.store, "a") as first, running_router(saved.store, "b") as second:
        for router in (first, second):

            async def follows(router: RunningRouter = router) -> bool:
                return bool(await explained(router, "one"))

            assert await eventually(follows)
        answers = {key: await experiments.assign(key) for key in KEYS}
        for key, answer in answers.items():
            assert assign_arm(started, key) == answer
            assert await explained(first, key) == await explained(second, key) == [answer]
        assert len({answer.reason for answer in answers.values()}) > 1
        assert {answer.arm for answer in answers.values()} == {"", "default", "via-files"}
