"""Control plane, routers and client answer alike, of an experiment that the control plane started."""

import pytest

from enchain.chains.units import attributes_message
from enchain.chains.values import to_value_map
from enchain.client import Attributes, assign_arm
from enchain.v1 import experiment_pb2, provisioning_pb2
from tests.harness.controlplane import Plane
from tests.harness.experiments import Experiment, Experiments, experiment
from tests.harness.routers import RunningRouter, running_router
from tests.harness.waiting import eventually

KEYS = ("one", "two", "größe", "東京", "tester", *(f"site-{number}" for number in range(45)))


RICH = Attributes("one", "acme", "mona", ["qa"], "eu", "z", "a", "h", to_value_map({"name": "x"}))
POOR = Attributes("one")


async def told(
    router: RunningRouter, key: str, attributes: Attributes | None = None
) -> provisioning_pb2.ExplainRouteResponse:
    """What a router says of a key of `site`."""
    request = provisioning_pb2.ExplainRouteRequest(workload="workloads/site", key=key)
    if attributes is not None:
        request.attributes.CopyFrom(attributes_message(attributes))
    answer: provisioning_pb2.ExplainRouteResponse = await router.stub.ExplainRoute(request)
    return answer


async def explained(router: RunningRouter, key: str) -> list[experiment_pb2.ArmAssignment]:
    """What a router's experiments say of it."""
    return list((await told(router, key)).experiments)


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


ELIGIBLE = (
    "tenant == 'acme' && requester == 'mona' && 'qa' in groups && region + zone + account + host == 'euzah'"
)


async def test_all_three_agree_on_who_is_eligible_and_on_what_was_not_asked(saved: Plane) -> None:
    experiments = Experiments(saved)
    started = await experiments.running(experiment(eligibility=f"{ELIGIBLE} && inputs.name == 'x'"))
    async with running_router(saved.store) as router:

        async def follows() -> bool:
            return bool(await explained(router, "one"))

        assert await eventually(follows)
        for attributes, reason in ((RICH, "ENROLLED"), (POOR, "NOT_ELIGIBLE")):
            asked = await told(router, "one", attributes)
            answer = await experiments.assign("one", attributes=attributes_message(attributes))

            assert answer == assign_arm(started, "one", attributes) == asked.experiments[0]
            assert (answer.reason, answer.eligibility_not_asked) == (reason, False)
            assert answer.description in asked.reason
        assert "is not true of it" in answer.description
        unasked = await told(router, "one")

    assert list(unasked.experiments) == [await experiments.assign("one")] == [assign_arm(started, "one")]
    assert unasked.experiments[0].eligibility_not_asked
    assert unasked.reason.endswith("; whether the request is eligible was not asked")
