"""Requests under an experiment, through real routers: the same arm everywhere, and for as long as they live.

The experiments are written as the control plane writes them: document and route in one transaction.
"""

from collections import Counter

import pytest

from enchain.chains import assignment, routes
from enchain.chains.units import Attributes
from enchain.chains.values import to_value_map
from enchain.state import keys
from enchain.state.codec import decode, encode
from enchain.state.store import Put, Store, put
from enchain.v1 import experiment_pb2, operation_pb2, provisioning_pb2
from tests.harness.metering import recorded
from tests.harness.routers import (
    RunningRouter,
    Site,
    deprovision_request,
    provision_request,
    put_chain,
    refusal,
    running_router,
    shown,
    site_chain,
    under,
    until,
)
from tests.harness.stored_experiments import experiment

Experiment = experiment_pb2.Experiment
Operation = operation_pb2.Operation


async def put_experiment(site: Site, value: Experiment) -> None:
    """Write an experiment and its workload's route at once."""
    route = routes.whole(site.chain)
    if value.state in (Experiment.STATE_RUNNING, Experiment.STATE_PAUSED):
        route.experiments.append(value.name)
    name = value.name.rpartition("/")[2]
    await put(
        site.store,
        [
            Put(keys.experiment("site", name), encode(value)),
            Put(keys.route("site"), encode(route)),
        ],
    )


@pytest.fixture
async def tested(site: Site) -> Site:
    """The site with two more chains, `a` and `b`, and an experiment of both."""
    for arm in ("a", "b"):
        await put_chain(site.store, site_chain(), chain_id=arm)
    await put_experiment(site, experiment(forced={"tester": "b"}))
    return site


async def operation_of(router: RunningRouter, request: provisioning_pb2.ProvisionRequest) -> Operation:
    """Provision, and answer the operation as it ended."""
    events = await shown(router.stub.Provision(request))
    name = provisioning_pb2.GetOperationRequest(name=events[0].operation)
    return await router.stub.GetOperation(name)


async def resource_of(router: RunningRouter, name: str = "one") -> operation_pb2.Resource:
    request = provisioning_pb2.GetResourceRequest(name=f"tenants/default/resources/{name}")
    return await router.stub.GetResource(request)


Kept = tuple[str, str, str, int, str, int, str, bool]


def kept(of: Operation | operation_pb2.Resource | operation_pb2.OutboxEntry) -> Kept:
    """What is written of an assignment."""
    return (
        of.chain,
        of.arm,
        of.experiment,
        of.experiment_phase,
        of.experiment_seed,
        of.bucket,
        of.routing_key,
        of.experiment_forced,
    )


def expected(of: Experiment, key: str) -> Kept:
    """The same, as a client works it out."""
    found = assignment.explain(of, key)
    forced = found.reason == "FORCED"
    return found.chain, found.arm, found.experiment, found.phase, found.seed, found.bucket, key, forced


async def outbox(store: Store) -> dict[str, operation_pb2.OutboxEntry]:
    """Outbox entries by operation."""
    found = [
        decode(operation_pb2.OutboxEntry, item.value, key=item.key)
        for item in await under(store, keys.OUTBOX)
    ]
    return {entry.operation: entry for entry in found}


@pytest.mark.parametrize("key", ["one", "three", "four", "tester"])
async def test_operation_resource_and_outbox_keep_what_a_client_works_out(tested: Site, key: str) -> None:
    async with running_router(tested.store, "a") as first, running_router(tested.store, "b") as second:
        made = await operation_of(first, provision_request(resource=key))
        entry = (await outbox(tested.store))[made.name]
        told = await second.stub.ExplainRoute(
            provisioning_pb2.ExplainRouteRequest(workload="workloads/site", key=key)
        )

        wanted = expected(experiment(forced={"tester": "b"}), key)
        assert made.state == Operation.STATE_SUCCEEDED
        assert kept(made) == kept(await resource_of(second, key)) == kept(entry) == wanted
        assert entry.requester == "anonymous"
        assert (told.chain, told.arm, told.bucket) == (made.chain, made.arm, made.bucket)
        assert list(told.experiments) == [assignment.explain(experiment(forced={"tester": "b"}), key)]


async def test_update_and_deprovision_follow_the_resource_after_the_experiment_is_over(tested: Site) -> None:
    async with running_router(tested.store) as router:
        made = await operation_of(router, provision_request(resource="one"))
        await put_experiment(tested, experiment(state=Experiment.STATE_CONCLUDED, seed="other"))
        update = provisioning_pb2.UpdateRequest(
            name=made.resource, request_id="up-1", inputs=to_value_map({"name": "y"})
        )
        await shown(router.stub.Update(update))
        await shown(router.stub.Deprovision(deprovision_request()))

        entries = (await outbox(tested.store)).values()
        assert Counter(entry.verb for entry in entries) == {1: 1, 2: 1, 3: 1}
        assert {kept(entry) for entry in entries} == {kept(made)}
        assert made.experiment == "workloads/site/experiments/x"


async def test_whoever_goes_on_with_an_operation_changes_nothing(tested: Site) -> None:
    tested.terraform.gate.clear()
    async with running_router(tested.store, "a") as first, running_router(tested.store, "b") as second:
        seen = await until(first.stub.Provision(provision_request()), "step_progress")
        await first.kill()
        for owner in await under(tested.store, keys.OWNERS):
            await tested.store.revoke(owner.lease)
        await put_experiment(tested, experiment(seed="other", weights={"a": 100, "b": 0}))
        watched = second.stub.WatchOperation(provisioning_pb2.WatchOperationRequest(name=seen[0].operation))
        await until(watched, "adopted")
        tested.terraform.gate.set()
        await shown(watched)

        assert kept(await resource_of(second)) == expected(experiment(), "one")


async def test_no_request_is_admitted_by_an_experiment_as_it_was(tested: Site) -> None:
    running, paused = experiment(), experiment(state=Experiment.STATE_PAUSED)
    async with running_router(tested.store, "a") as first, running_router(tested.store, "b") as second:
        for number in range(10):
            await put_experiment(tested, paused if number % 2 else running)
            router = second if number % 3 else first
            made = await operation_of(router, provision_request(f"req-{number}", f"n-{number}"))
            assert made.experiment == ("" if number % 2 else running.name)


async def test_a_plan_and_its_provision_go_the_same_way(tested: Site) -> None:
    await put_experiment(tested, experiment(eligibility="region == 'eu' && inputs.name == 'x'"))
    async with running_router(tested.store) as router:
        for region in ("eu", "us"):
            plan = provisioning_pb2.PlanRequest(
                parent="tenants/default", workload="workloads/site", inputs=to_value_map({"name": "x"})
            )
            plan.locality.region = region
            planned = await router.stub.Plan(plan)
            request = provision_request(f"req-{region}", resource="", name="x")
            request.locality.region, request.plan_token = region, planned.plan_token
            made = await operation_of(router, request)

            assert (made.chain, made.arm, made.bucket) == (planned.chain, planned.arm, planned.bucket)
            assert bool(made.experiment) == (region == "eu")


async def test_a_plan_that_an_experiment_overtook_is_stale(tested: Site) -> None:
    async with running_router(tested.store) as router:
        plan = provisioning_pb2.PlanRequest(
            parent="tenants/default",
            workload="workloads/site",
            resource_id="one",
            inputs=to_value_map({"name": "x"}),
        )
        planned = await router.stub.Plan(plan)
        await put_experiment(tested, experiment(state=Experiment.STATE_PAUSED))
        request = provision_request(name="x")
        request.plan_token = planned.plan_token

        assert (await refusal(router.stub.Provision(request))).reason == "PLAN_STALE"


async def test_a_request_without_the_unit_goes_by_the_route_and_is_counted(tested: Site) -> None:
    await put_experiment(tested, experiment(unit="inputs.size"))
    labels = {"workload": "workloads/site", "reason": "NO_UNIT"}
    before = recorded("enchain.experiments.requests", **labels)
    async with running_router(tested.store) as router:
        made = await operation_of(router, provision_request(name="x"))
        sized = await operation_of(router, provision_request("req-2", "two", name="x", size="large"))

        assert (made.chain, made.arm, made.experiment) == (tested.chain, "default", "")
        assert made.routing_key == "one"
        assert kept(sized) == expected(experiment(), "large")
        assert recorded("enchain.experiments.requests", **labels) == before + 1


async def test_a_faulty_experiment_leaves_the_workload_as_it_was(tested: Site) -> None:
    async with running_router(tested.store) as router:
        broken = experiment(seed="other")
        broken.arms[0].chain = "workloads/site/chains/a@gone"
        await put_experiment(tested, broken)
        made = await operation_of(router, provision_request())

        assert kept(made) == expected(experiment(), "one")


def test_a_client_that_knows_the_request_gets_the_routers_reason() -> None:
    asked = Attributes("one", region="us")

    found = assignment.explain(experiment(eligibility="region == 'eu'"), "one", asked)

    assert (found.reason, found.arm) == ("NOT_ELIGIBLE", "")
