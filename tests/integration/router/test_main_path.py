"""A request through a real router: provisioned, looked at, updated, deprovisioned, with nothing left.

Real etcd, real gRPC on every leg. What happens when somebody dies is in `test_deaths.py`.
"""

import asyncio

from enchain.chains.values import to_python_map, to_value_map
from enchain.state import keys
from enchain.state.codec import decode, encode
from enchain.v1 import operation_pb2, provisioning_pb2
from tests.harness.routers import (
    Site,
    deprovision_request,
    durable,
    provision_request,
    running_router,
    shown,
    under,
    until,
)
from tests.harness.waiting import eventually

Operation = operation_pb2.Operation


async def test_a_site_is_provisioned_through_both_engines(site: Site) -> None:
    async with running_router(site.store) as router:
        events = await shown(router.stub.Provision(provision_request()))

        assert durable(events) == [
            "admitted", "step_started", "step_ended", "step_started", "step_ended", "ended",
        ]  # fmt: skip
        first = events[0].admitted
        assert (first.chain, first.arm, list(first.steps)) == (site.chain, "default", ["configure", "serve"])
        assert events[-1].ended.state == Operation.STATE_SUCCEEDED
        assert to_python_map(events[-1].ended.outputs) == {"url": "http://files-x"}
        assert any(event.WhichOneof("kind") == "step_progress" for event in events)


async def test_nothing_of_an_ended_operation_is_left_but_its_record(site: Site) -> None:
    async with running_router(site.store) as router:
        await shown(router.stub.Provision(provision_request()))

        assert await under(site.store, keys.ACTIVE) == []
        assert await under(site.store, keys.OWNERS) == []
        assert len(await under(site.store, keys.OUTBOX)) == 1
        resource = await router.stub.GetResource(
            provisioning_pb2.GetResourceRequest(name="tenants/default/resources/one")
        )
        assert resource.state == operation_pb2.Resource.STATE_READY
        assert [(s.engine, s.scope) for s in resource.steps] == [
            ("terraform", "tf-scope"),
            ("process", "host-a"),
        ]


async def test_a_two_step_chain_costs_four_revisions(site: Site) -> None:
    async with running_router(site.store) as router:
        events = await shown(router.stub.Provision(provision_request()))
        record = await site.store.get(keys.record("default", events[0].operation.rpartition("/")[2]))

        assert record is not None
        assert record.version == 4


async def test_an_update_applies_on_top_of_what_stands(site: Site) -> None:
    async with running_router(site.store) as router:
        await shown(router.stub.Provision(provision_request()))
        request = provisioning_pb2.UpdateRequest(
            name="tenants/default/resources/one", request_id="up-1", inputs=to_value_map({"name": "y"})
        )
        events = await shown(router.stub.Update(request))

        assert events[-1].ended.state == Operation.STATE_SUCCEEDED
        assert to_python_map(events[-1].ended.outputs) == {"url": "http://files-y"}
        assert {key[2] for key in site.terraform.made} == {1, 2}
        assert len(site.terraform.standing) == 1


async def test_a_deprovision_leaves_no_resource_and_nothing_standing(site: Site) -> None:
    async with running_router(site.store) as router:
        await shown(router.stub.Provision(provision_request()))
        events = await shown(router.stub.Deprovision(deprovision_request()))

        assert events[-1].ended.state == Operation.STATE_SUCCEEDED
        started = [e.step_started.step for e in events if e.WhichOneof("kind") == "step_started"]
        assert started == ["serve", "configure"]
        assert await under(site.store, keys.RESOURCES) == []
        assert site.terraform.standing == site.process.standing == set()


async def test_a_request_id_answers_with_the_same_operation(site: Site) -> None:
    async with running_router(site.store) as router:
        first = await shown(router.stub.Provision(provision_request()))
        again = await shown(router.stub.Provision(provision_request()))

        assert [e for e in again if e.sequence] == [e for e in first if e.sequence]
        assert sum(site.terraform.made.values()) == 1


async def test_a_client_that_goes_away_stops_nothing(site: Site) -> None:
    site.terraform.gate.clear()
    async with running_router(site.store) as router:
        call = router.stub.Provision(provision_request())
        (first,) = await until(call, "admitted")
        call.cancel()
        site.terraform.gate.set()
        get = provisioning_pb2.GetOperationRequest(name=first.operation)

        async def ended() -> bool:
            return (await router.stub.GetOperation(get)).state == Operation.STATE_SUCCEEDED

        assert await eventually(ended)


async def test_plans_of_a_chain_say_what_is_not_known_yet(site: Site) -> None:
    async with running_router(site.store) as router:
        request = provisioning_pb2.PlanRequest(
            parent="tenants/default", workload="workloads/site", inputs=to_value_map({"name": "x"})
        )
        answer = await router.stub.Plan(request)

        planned, deferred = answer.steps
        assert planned.outcome == provisioning_pb2.StepPlan.OUTCOME_PLANNED
        assert deferred.outcome == provisioning_pb2.StepPlan.OUTCOME_DEFERRED
        assert list(deferred.unknown) == ["steps.configure.outputs.files"]
        assert site.terraform.standing == set()

        provision = provision_request(resource="")
        provision.plan_token = answer.plan_token
        events = await shown(router.stub.Provision(provision))
        assert events[-1].ended.state == Operation.STATE_SUCCEEDED


async def test_lists_page_and_filter(site: Site) -> None:
    async with running_router(site.store) as router:
        for number in range(3):
            await shown(router.stub.Provision(provision_request(f"req-{number}", f"site-{number}")))
        page = await router.stub.ListOperations(
            provisioning_pb2.ListOperationsRequest(parent="tenants/default", page_size=2)
        )
        rest = await router.stub.ListOperations(
            provisioning_pb2.ListOperationsRequest(
                parent="tenants/default", page_size=2, page_token=page.next_page_token
            )
        )
        resources = await router.stub.ListResources(
            provisioning_pb2.ListResourcesRequest(parent="tenants/default", page_size=10)
        )

        assert [o.resource.rpartition("-")[2] for o in (*page.operations, *rest.operations)] == [
            "2",
            "1",
            "0",
        ]
        assert rest.next_page_token == ""
        assert [r.name.rpartition("/")[2] for r in resources.resources] == ["site-0", "site-1", "site-2"]


async def test_a_route_explains_itself(site: Site) -> None:
    async with running_router(site.store) as router:
        answer = await router.stub.ExplainRoute(
            provisioning_pb2.ExplainRouteRequest(workload="workloads/site", key="k")
        )

        assert answer.chain == site.chain
        assert (answer.share_start, answer.share_end) == (0, 10_000)
        assert "bucket" in answer.reason


async def test_many_sites_at_once_through_two_routers_share_the_places_and_leave_nothing(site: Site) -> None:
    async with running_router(site.store, "a") as first, running_router(site.store, "b") as second:
        routers = (first, second)
        made = await asyncio.gather(
            *(
                shown(routers[n % 2].stub.Provision(provision_request(f"req-{n}", f"site-{n}")))
                for n in range(24)
            )
        )
        assert {events[-1].ended.state for events in made} == {Operation.STATE_SUCCEEDED}
        assert len(site.terraform.standing) == len(site.process.standing) == 24
        gone = await asyncio.gather(
            *(
                shown(routers[(n + 1) % 2].stub.Deprovision(deprovision_request(f"gone-{n}", f"site-{n}")))
                for n in range(24)
            )
        )

        assert {events[-1].ended.state for events in gone} == {Operation.STATE_SUCCEEDED}
        assert site.terraform.standing == site.process.standing == set()
        for prefix in (keys.RESOURCES, keys.ACTIVE, keys.OWNERS, keys.SIGNALS):
            assert await under(site.store, prefix) == []


async def test_every_value_that_a_router_writes_reads_like_a_report(site: Site) -> None:
    """It parses as JSON, and encoding it again changes no byte."""
    async with running_router(site.store) as router:
        await shown(router.stub.Provision(provision_request()))
        kinds = {
            keys.RECORDS: Operation,
            keys.OUTBOX: operation_pb2.OutboxEntry,
            keys.RESOURCES: operation_pb2.Resource,
            keys.REQUESTS: operation_pb2.RequestClaim,
        }
        seen = 0
        for prefix, kind in kinds.items():
            for item in await under(site.store, prefix):
                assert encode(decode(kind, item.value)) == item.value
                seen += 1
        assert seen == 4
