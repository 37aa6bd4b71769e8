"""Routers and engine instances that die in the middle: tools go on, nothing is done twice or lost.

Death is cancelling a router's task: nothing is handed over and its lease expires. Real SIGKILLs are for
`tests/e2e`.
"""

import asyncio

from enchain.state import keys
from enchain.v1 import operation_pb2, provisioning_pb2
from tests.harness.gated_engines import EngineScope, GatedInstance
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
PROVISION = operation_pb2.VERB_PROVISION


def watch(operation: str, after: int = 0) -> provisioning_pb2.WatchOperationRequest:
    return provisioning_pb2.WatchOperationRequest(name=operation, after_sequence=after)


def applied(scope: EngineScope) -> int:
    """How often something was really made."""
    return sum(count for key, count in scope.made.items() if key[1] == PROVISION)


async def expire(site: Site) -> None:
    """Let the leases of dead routers expire at once."""
    for owner in await under(site.store, keys.OWNERS):
        await site.store.revoke(owner.lease)


async def test_another_router_goes_on_when_one_dies_in_the_middle_of_a_step(site: Site) -> None:
    site.terraform.gate.clear()
    async with running_router(site.store, "a") as first, running_router(site.store, "b") as second:
        seen = await until(first.stub.Provision(provision_request()), "step_progress")
        await first.kill()
        stream = second.stub.WatchOperation(watch(seen[0].operation, seen[-2].sequence))
        adopted = await until(stream, "adopted")
        site.terraform.gate.set()
        rest = await shown(stream)

        assert adopted[-1].adopted.router == "routers/b"
        assert rest[-1].ended.state == Operation.STATE_SUCCEEDED
        assert applied(site.terraform) == applied(site.process) == 1
        numbers = [e.sequence for e in (*seen, *adopted, *rest) if e.sequence]
        assert numbers == sorted(set(numbers))


async def test_a_router_that_stops_hands_over_and_tells_its_watchers(site: Site) -> None:
    site.terraform.gate.clear()
    async with running_router(site.store, "a") as first, running_router(site.store, "b") as second:
        stream = first.stub.Provision(provision_request())
        seen = await until(stream, "step_progress")
        await first.end()
        told = await shown(stream)
        site.terraform.gate.set()
        events = await shown(second.stub.WatchOperation(watch(seen[0].operation)))

        assert told[-1].WhichOneof("kind") == "reattach"
        assert events[-1].ended.state == Operation.STATE_SUCCEEDED
        assert applied(site.terraform) == 1


async def test_progress_is_relayed_from_the_router_that_runs_the_operation(site: Site) -> None:
    site.process.gate.clear()
    async with running_router(site.store, "a") as first, running_router(site.store, "b") as second:
        stream = first.stub.Provision(provision_request())
        seen = await until(stream, "admitted")
        here = asyncio.create_task(shown(stream))
        there: list[operation_pb2.OperationEvent] = []

        async def read() -> None:
            async for event in second.stub.WatchOperation(watch(seen[0].operation)):
                there.append(event)  # noqa: PERF401 - others look at it meanwhile

        async def relayed() -> bool:
            await site.process.say("still at it")
            return any(event.step_progress.message == "still at it" for event in there)

        reading = asyncio.create_task(read())
        await eventually(relayed)
        site.process.gate.set()
        await reading

        assert durable(there) == durable([*seen, *await here])
        assert there[-1].ended.state == Operation.STATE_SUCCEEDED


async def test_another_instance_of_the_scope_continues_a_step(site: Site) -> None:
    site.terraform.gate.clear()
    async with running_router(site.store) as router:
        stream = router.stub.Provision(provision_request())
        seen = await until(stream, "step_progress")
        started = next(e.step_started for e in seen if e.WhichOneof("kind") == "step_started")
        holder = next(i for i in site.instances if i.message.name == started.instance)
        await holder.kill(site.store)
        site.terraform.gate.set()
        events = await shown(stream)

        assert events[-1].ended.state == Operation.STATE_SUCCEEDED
        assert applied(site.terraform) == 1


async def test_a_scope_that_is_gone_is_held_at_the_deadline_and_never_repeated(site: Site) -> None:
    other = EngineScope("terraform", "other-scope")
    elsewhere = GatedInstance(other, "elsewhere", capacity=1)
    site.terraform.gate.clear()
    async with running_router(site.store) as router:
        request = provision_request()
        request.timeout.FromSeconds(3)
        stream = router.stub.Provision(request)
        await until(stream, "step_progress")
        await elsewhere.start(site.store)
        for instance in site.instances:
            if instance.scope is site.terraform:
                await instance.kill(site.store)
        events = await shown(stream)

        assert events[-1].state_changed.state == Operation.STATE_HELD
        assert sum(other.made.values()) == 0
        active = await under(site.store, keys.ACTIVE)
        assert b'"held":true' in active[0].value
        await elsewhere.kill(site.store)
        await other.close()


async def test_a_held_operation_goes_on_when_a_person_retries_it(site: Site) -> None:
    site.terraform.gate.clear()
    async with running_router(site.store) as router:
        request = provision_request()
        request.timeout.FromSeconds(2)
        stream = router.stub.Provision(request)
        seen = await until(stream, "step_progress")
        scope = [i for i in site.instances if i.scope is site.terraform]
        for instance in scope:
            await instance.kill(site.store)
        held = await shown(stream)
        assert held[-1].state_changed.state == Operation.STATE_HELD

        again = GatedInstance(site.terraform, "terraform-3")
        await again.start(site.store)
        site.terraform.gate.set()
        name = seen[0].operation
        retried = await router.stub.RetryOperation(provisioning_pb2.RetryOperationRequest(name=name))
        events = await shown(router.stub.WatchOperation(watch(name, retried.last_sequence)))

        assert events[-1].ended.state == Operation.STATE_SUCCEEDED
        assert applied(site.terraform) == 1
        await again.kill(site.store)


async def test_what_a_held_operation_left_can_be_deprovisioned(site: Site) -> None:
    site.process.gate.clear()
    async with running_router(site.store) as router:
        request = provision_request()
        request.timeout.FromSeconds(2)
        stream = router.stub.Provision(request)
        await until(stream, "step_progress")
        for instance in site.instances:
            if instance.scope is site.process:
                await instance.kill(site.store)
        held = await shown(stream)
        assert held[-1].state_changed.state == Operation.STATE_HELD

        again = GatedInstance(site.process, "process-3")
        await again.start(site.store)
        site.process.gate.set()
        events = await shown(router.stub.Deprovision(deprovision_request()))

        assert events[-1].ended.state == Operation.STATE_SUCCEEDED
        assert await under(site.store, keys.RESOURCES) == []
        assert await under(site.store, keys.ACTIVE) == []
        assert site.terraform.standing == set()
        old = await router.stub.GetOperation(provisioning_pb2.GetOperationRequest(name=held[0].operation))
        assert old.state == Operation.STATE_FAILED
        await again.kill(site.store)


async def test_a_cancel_reaches_the_owner_from_any_router(site: Site) -> None:
    site.terraform.gate.clear()
    async with running_router(site.store, "a") as first, running_router(site.store, "b") as second:
        stream = first.stub.Provision(provision_request())
        seen = await until(stream, "step_progress")
        await second.stub.CancelOperation(
            provisioning_pb2.CancelOperationRequest(name=seen[0].operation, reason="no longer wanted")
        )
        await eventually(lambda: site.terraform.cancelled)
        await until(stream, "state_changed")
        site.terraform.gate.set()
        events = await shown(stream)

        assert events[-1].ended.state == Operation.STATE_CANCELLED
        assert site.terraform.standing == set()
        assert await under(site.store, keys.RESOURCES) == []
        assert await under(site.store, keys.SIGNALS) == []


async def test_a_step_waits_for_a_place_and_goes_on_when_one_comes_free(site: Site) -> None:
    site.terraform.gate.clear()
    for instance in site.instances:
        if instance.scope is site.terraform:
            await instance.kill(site.store)
    async with running_router(site.store) as router:
        stream = router.stub.Provision(provision_request())
        seen = await until(stream, "step_progress")
        assert "waits for a free instance" in seen[-1].step_progress.message

        late = GatedInstance(site.terraform, "late", capacity=1)
        await late.start(site.store)
        site.terraform.gate.set()
        events = await shown(stream)

        assert events[-1].ended.state == Operation.STATE_SUCCEEDED
        await late.kill(site.store)


async def test_an_operation_without_an_owner_is_found_at_start(site: Site) -> None:
    site.terraform.gate.clear()
    async with running_router(site.store, "a") as first:
        seen = await until(first.stub.Provision(provision_request()), "step_progress")
        await first.kill()
    name = seen[0].operation

    await expire(site)
    site.terraform.gate.set()
    async with running_router(site.store, "b") as second:
        events = await shown(second.stub.WatchOperation(watch(name)))

    assert events[-1].ended.state == Operation.STATE_SUCCEEDED
    assert applied(site.terraform) == 1


async def test_a_router_that_lost_its_lease_gets_another_and_takes_its_operations_up_again(
    site: Site,
) -> None:
    site.terraform.gate.clear()
    async with running_router(site.store) as router:
        stream = router.stub.Provision(provision_request())
        seen = await until(stream, "step_progress")
        (owner,) = await under(site.store, keys.OWNERS)
        await site.store.revoke(owner.lease)
        told = await shown(stream)
        site.terraform.gate.set()
        events = await shown(router.stub.WatchOperation(watch(seen[0].operation)))

        async def announced_again() -> bool:
            presence = await site.store.get(keys.router("a"))
            return presence is not None and presence.lease != owner.lease

        assert told[-1].WhichOneof("kind") == "reattach"
        assert "adopted" in durable(events)
        assert events[-1].ended.state == Operation.STATE_SUCCEEDED
        assert applied(site.terraform) == 1
        assert await eventually(announced_again)


async def test_an_operation_that_its_routers_die_of_is_held_at_the_third(site: Site) -> None:
    """Each adopter dies before the engine has answered it."""
    site.terraform.gate.clear()
    async with running_router(site.store, "a") as first:
        seen = await until(first.stub.Provision(provision_request()), "step_progress")
        for instance in site.instances:
            await instance.kill(site.store)
        name = seen[0].operation
        await first.kill()
    last = 0
    for router in "bcd":
        await expire(site)
        async with running_router(site.store, router) as adopter:
            stream = adopter.stub.WatchOperation(watch(name, last))
            last = (await until(stream, "adopted"))[-1].sequence
            if router != "d":
                await adopter.kill()
            else:
                rest = await shown(stream)

    assert rest[-1].state_changed.state == Operation.STATE_HELD
