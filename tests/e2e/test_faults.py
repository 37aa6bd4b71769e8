"""Faults on a running enchain: what each policy leaves behind, and what outages and orderly stops do.

What became of things is looked up on the disk, in the kernel's list of processes and in the witness that the
tools write; enchain is asked only for what it tells its users. Many faults at once: `make chaos`.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from random import Random

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from enchain.chains.errors import UnavailableError
from enchain.client import Client
from enchain.dev.plan import Planned
from enchain.process.channels import open_channel
from enchain.process.statuses import from_rpc_error
from enchain.state.server import free_ports
from enchain.v1 import operation_pb2, provisioning_pb2, provisioning_pb2_grpc, value_pb2
from tests.harness.sieges import Followed, Siege, follow
from tests.harness.waiting import eventually

pytestmark = [pytest.mark.usefixtures("mended"), pytest.mark.timeout(300)]

OUTAGE_SECONDS = 15.0
"""Longer than all leases, and than a router holds still before one ends."""

MIXED = """
kind: Workload
name: compensated
inputs: {world: string, round: string, seconds: {type: number, default: 0}, fail: {type: string, default: ""}}
timeout: 2m
on_failure: compensate
steps:
- name: first
  by:
    terraform:
      module: ./terraform
      with: {world: "${inputs.world}", round: "${inputs.round}", seconds: 0, work: "${resource.uid}/first"}
- name: second
  by:
    script:
      bundle: ./script
      with:
        world: "${inputs.world}"
        round: "${inputs.round}"
        seconds: "${inputs.seconds}"
        fail: "${inputs.fail}"
outputs: {round: "${steps.second.outputs.round}"}
---
kind: Workload
name: impatient
inputs: {world: string, round: string, seconds: {type: number, default: 0}, fail: {type: string, default: ""}}
timeout: 2m
on_failure: compensate
steps:
- name: work
  by:
    script:
      bundle: ./script
      timeout: 2s
      with: {world: "${inputs.world}", round: "${inputs.round}", seconds: "${inputs.seconds}"}
outputs: {round: "${steps.work.outputs.round}"}
---
kind: Workload
name: insured
inputs: {world: string, round: string, seconds: {type: number, default: 0}, fail: {type: string, default: ""}}
timeout: 2m
on_failure: compensate
steps:
- name: work
  by:
    script:
      bundle: ./script
      retry: {max_attempts: 1}
      fallback: terraform
      with: {world: "${inputs.world}", round: "${inputs.round}", seconds: 0, fail: "${inputs.fail}"}
    terraform:
      module: ./terraform
      with: {world: "${inputs.world}", round: "${inputs.round}", seconds: 0, work: "${resource.uid}/work"}
outputs: {round: "${steps.work.outputs.round}"}
"""


@pytest.fixture(scope="session")
def mixed(siege: Siege) -> Siege:
    """The enchain to break, with the workloads of this file."""
    with asyncio.Runner() as runner:
        runner.run(siege.save(MIXED))
    return siege


async def uid_of(client: Client, operation: str) -> str:
    return (await client.get_operation(operation)).resource_uid


def lines(siege: Siege, uid: str) -> list[str]:
    """What the witness saw of a resource, in order; removals may be repeated and are told once."""
    told: list[str] = []
    for line in siege.seen.lines:
        if line.work.startswith(uid) and line.phase == "end":
            step = line.work.partition("/")[2]
            text = f"{line.verb} {step}"
            if not (line.verb == "destroy" and text in told):
                told.append(text)
    return told


# --- failure policies


async def test_compensate_leaves_nothing_and_undoes_in_reverse(mixed: Siege) -> None:
    async with mixed.client() as client:
        told = await follow(
            client.provision("compensated", mixed.inputs("c", fail="partial"), resource_id="c")
        )
        uid = await uid_of(client, told.operation)
        left = [resource.name async for resource in client.list_resources(workload="compensated")]

    assert told.state == "STATE_FAILED"
    assert lines(mixed, uid) == ["apply first", "apply second", "destroy second", "destroy first"]
    assert mixed.works(uid) == set()
    assert left == []


async def test_hold_keeps_all_until_a_retry_goes_on_from_the_step(mixed: Siege) -> None:
    async with mixed.client() as client:
        told = await follow(client.provision("held", mixed.inputs("h", fail="until"), resource_id="h"))
        held = await client.get_operation(told.operation)
        uid = held.resource_uid
        stood = mixed.works(uid)
        (mixed.world / "healed" / uid).touch()
        await client.retry_operation(told.operation, from_step="second")
        again = await follow(client.watch(told.operation, after_sequence=held.last_sequence))
        resource = await client.get_resource("h")

    assert (told.state, again.state) == ("STATE_HELD", "STATE_SUCCEEDED")
    assert stood == {"first", "second"}
    assert lines(mixed, uid) == ["apply first", "apply second", "apply second"]
    assert mixed.seen.repeated == []
    assert [step.generation for step in resource.steps] == [1, 2]


async def test_what_is_held_can_be_deprovisioned(mixed: Siege) -> None:
    async with mixed.client() as client:
        told = await follow(client.provision("held", mixed.inputs("d", fail="until"), resource_id="d"))
        uid = await uid_of(client, told.operation)
        gone = await follow(client.deprovision("d"))

    assert (told.state, gone.state) == ("STATE_HELD", "STATE_SUCCEEDED")
    assert mixed.works(uid) == set()


async def test_a_cancel_stops_the_tool_and_leaves_nothing(mixed: Siege) -> None:
    told = Followed()
    async with mixed.client() as client:
        provision = client.provision("compensated", mixed.inputs("x", seconds=600), resource_id="x")
        async with asyncio.TaskGroup() as group:
            group.create_task(follow(provision, told), name="follow")
            await eventually(lambda: len(told.events) > 0, within=30)
            uid = await uid_of(client, told.operation)
            await mixed.until_begun(f"{uid}/second")
            await client.cancel_operation(told.operation, reason="nobody wants it")

    assert told.state == "STATE_CANCELLED"
    assert mixed.works(uid) == set()
    assert mixed.tools() == []
    assert "apply second" not in lines(mixed, uid)


async def test_a_deadline_stops_the_tool_and_leaves_nothing(mixed: Siege) -> None:
    async with mixed.client() as client:
        told = await follow(
            client.provision("impatient", mixed.inputs("late", seconds=600), resource_id="late")
        )
        operation = await client.get_operation(told.operation)

    assert told.state == "STATE_FAILED"
    assert operation.diagnostics[0].code == "DEADLINE_EXCEEDED"
    assert mixed.works(operation.resource_uid) == set()
    assert mixed.tools() == []


async def test_a_fallback_takes_over_only_what_was_proven_absent(mixed: Siege) -> None:
    async with mixed.client() as client:
        taken = await follow(client.provision("insured", mixed.inputs("i", fail="clean"), resource_id="i"))
        resource = await client.get_resource("i")
        spoilt = await follow(client.provision("insured", mixed.inputs("j", fail="partial"), resource_id="j"))
        uid = await uid_of(client, spoilt.operation)

    assert (taken.state, spoilt.state) == ("STATE_SUCCEEDED", "STATE_FAILED")
    assert [step.engine for step in resource.steps] == ["terraform"]
    assert lines(mixed, resource.uid) == ["apply work"]
    assert mixed.works(resource.uid) == {"work"}
    # What failed partly may have left something: no other engine came near it.
    assert lines(mixed, uid) == ["apply work", "destroy work"]
    assert mixed.works(uid) == set()


# --- etcd is away


async def test_nothing_is_lost_while_etcd_is_away(siege: Siege) -> None:
    names = [f"outage-{number}" for number in range(4)]
    told = {name: Followed() for name in names}
    async with siege.client() as client, another_router(siege) as third, asyncio.TaskGroup() as group:
        for name in names:
            provision = client.provision("quick", siege.inputs(name, seconds=2), resource_id=name)
            group.create_task(follow(provision, told[name]), name=f"follow {name}")
        await eventually(lambda: all(each.events for each in told.values()), within=30)
        works = {name: f"{await uid_of(client, told[name].operation)}/work" for name in names}
        for work in works.values():
            await siege.until_begun(work)

        await siege.cluster.etcd.stop()
        try:
            over = asyncio.get_running_loop().time() + OUTAGE_SECONDS
            child = siege.cluster.launch(third)
            for work in works.values():
                await siege.until_made(work, "1")
            refused = await refusal(siege)
            waiting = await eventually(lambda: health(third.arguments[1]), within=30)
            await eventually(lambda: asyncio.get_running_loop().time() > over, within=2 * OUTAGE_SECONDS)
            shown = [each.state for each in told.values()]
            reattached = sum(each.reattached for each in told.values())
        finally:
            await siege.cluster.etcd.start()
        await eventually(child.ready_file.exists, within=60)
        await eventually(lambda: serves(third.arguments[1]), within=30)

    assert isinstance(refused, UnavailableError)
    assert refused.retry_after is not None
    assert waiting == health_pb2.HealthCheckResponse.NOT_SERVING
    assert shown == [""] * len(names)
    assert reattached == 0
    assert [each.state for each in told.values()] == ["STATE_SUCCEEDED"] * len(names)
    assert {siege.seen.begun[work, "1"] for work in works.values()} == {1}


@asynccontextmanager
async def another_router(siege: Siege) -> AsyncIterator[Planned]:
    """Answer a router more, for the test to launch; it is ended at the end."""
    (port,) = free_ports(1, Random())
    layout = siege.cluster.layout
    own = ("--listen", f"127.0.0.1:{port}", "--plan-key-file", str(layout.plan_key))
    try:
        yield Planned(
            "other", "router", "dataplane.main", (*own, "--lease-seconds", str(layout.lease_seconds))
        )
    finally:
        if "other" in siege.cluster.children:
            siege.cluster.terminate("other")
            await siege.until_gone("other")
            del siege.cluster.children["other"]


async def refusal(siege: Siege) -> Exception:
    """Ask a router for something new; answer what it says."""
    request = provisioning_pb2.ProvisionRequest(
        parent="tenants/default",
        workload="workloads/quick",
        request_id="while-etcd-is-away",
        inputs={name: value_pb2.Value(string_value="x") for name in ("world", "round")},
    )
    async with open_channel(siege.cluster.routers[0], local_pool=True) as channel:
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            async for _ in provisioning_pb2_grpc.ProvisioningServiceStub(channel).Provision(request):
                pass
    return from_rpc_error(caught.value)


async def health(address: str) -> int:
    """Ask a process whether it serves; 0 where it does not answer."""
    async with open_channel(address, local_pool=True) as channel:
        try:
            stub = health_pb2_grpc.HealthStub(channel)
            return int((await stub.Check(health_pb2.HealthCheckRequest(), timeout=2)).status)
        except grpc.aio.AioRpcError:
            return 0


async def serves(address: str) -> bool:
    status = await health(address)
    return status == int(health_pb2.HealthCheckResponse.SERVING)


# --- orderly stops


async def test_a_router_that_is_stopped_under_load_fails_no_call_and_repeats_no_step(siege: Siege) -> None:
    names = [f"stopped-{number}" for number in range(6)]
    told = {name: Followed() for name in names}
    async with siege.client() as client, siege.client(1) as other, asyncio.TaskGroup() as group:
        for number, name in enumerate(names):
            asked = (client, other)[number % 2]
            provision = asked.provision("pair", siege.inputs(name, seconds=1.5), resource_id=name)
            group.create_task(follow(provision, told[name]), name=f"follow {name}")
        await eventually(lambda: all(each.events for each in told.values()), within=30)
        uids = [await uid_of(other, told[name].operation) for name in names]
        await siege.until_begun(f"{uids[0]}/first")
        siege.cluster.terminate("router-1")
        while siege.cluster.children["router-1"].process.poll() is None:
            # A call that comes while it stops is served, or goes on at the other one.
            await client.get_operation(told[names[0]].operation)
    code = await siege.until_gone("router-1")
    await siege.cluster.restart("router-1")

    assert code == 0
    assert [each.state for each in told.values()] == ["STATE_SUCCEEDED"] * len(names)
    assert sum(each.reattached for each in told.values()) > 0
    assert siege.seen.repeated == []
    for uid in uids:
        assert [siege.seen.made[f"{uid}/{step}", "1"] for step in ("first", "second")] == [1, 1]


async def test_an_engine_instance_that_is_stopped_ends_its_terraform_run_and_tells_the_result(
    siege: Siege,
) -> None:
    told = Followed()
    async with siege.client() as client, asyncio.TaskGroup() as group:
        provision = client.provision("terraformed", siege.inputs("drained", seconds=3), resource_id="drained")
        group.create_task(follow(provision, told), name="follow")
        await eventually(lambda: len(told.events) > 0, within=30)
        uid = await uid_of(client, told.operation)
        await siege.until_begun(f"{uid}/work")
        siege.cluster.terminate("terraform-1")
    code = await siege.until_gone("terraform-1")
    await siege.cluster.restart("terraform-1")

    attempts = [event.step_started.attempt for event in told.events if event.HasField("step_started")]
    assert code == 0
    assert told.state == "STATE_SUCCEEDED"
    assert attempts == [1]
    assert siege.seen.made[f"{uid}/work", "drained"] == 1


# --- processes that are gone


async def test_an_adopter_goes_on_with_a_tool_that_survives_router_and_instance(siege: Siege) -> None:
    told = Followed()
    async with siege.client(1) as client, asyncio.TaskGroup() as group:
        provision = client.provision("quick", siege.inputs("orphan", seconds=8), resource_id="orphan")
        group.create_task(follow(provision, told), name="follow")
        await eventually(lambda: any(event.HasField("step_started") for event in told.events), within=30)
        started = next(event.step_started for event in told.events if event.HasField("step_started"))
        instance = started.instance.rpartition("/")[2]
        uid = await uid_of(client, told.operation)
        await siege.until_begun(f"{uid}/work")
        siege.cluster.kill("router-2")
        siege.cluster.kill(instance)
        await siege.cluster.restart(instance)
    await siege.cluster.restart("router-2")

    kinds = [event.WhichOneof("kind") for event in told.events]
    assert told.state == "STATE_SUCCEEDED"
    assert "adopted" in kinds
    assert told.reattached > 0
    assert siege.seen.begun[f"{uid}/work", "1"] == siege.seen.made[f"{uid}/work", "1"] == 1
    assert operation_pb2.Operation.State.Name(told.events[-1].ended.state) == "STATE_SUCCEEDED"
