"""Engines that do not keep the protocol: two results, none, or a flood of log. None of it harms anybody."""

from collections.abc import AsyncIterator

import pytest

from enchain.state.store import Store
from enchain.v1 import operation_pb2, provisioning_pb2
from tests.harness.gated_engines import EngineScope, Fault, GatedInstance
from tests.harness.routers import provision_request, put_chain, running_router, shown, site_chain

Operation = operation_pb2.Operation


@pytest.fixture
async def process(store: Store) -> AsyncIterator[EngineScope]:
    """The second engine, which behaves."""
    scope = EngineScope("process", "host-a")
    instance = GatedInstance(scope, "process-1")
    await instance.start(store)
    yield scope
    await instance.kill(store)
    await scope.close()


async def run(
    store: Store, fault: Fault, seconds: int = 30
) -> tuple[Operation, list[operation_pb2.OperationEvent]]:
    """Provision on an engine with a fault."""
    await put_chain(store, site_chain())
    scope = EngineScope("terraform", "tf-scope")
    instance = GatedInstance(scope, "faulty", fault=fault)
    await instance.start(store)
    async with running_router(store) as router:
        request = provision_request()
        request.timeout.FromSeconds(30)
        events = await shown(router.stub.Provision(request))
        get = provisioning_pb2.GetOperationRequest(name=events[0].operation)
        operation = await router.stub.GetOperation(get)
    assert sum(scope.made.values()) == 1
    await instance.kill(store)
    await scope.close()
    return operation, events


async def test_two_results_are_no_result_and_the_engine_is_asked(store: Store, process: EngineScope) -> None:
    operation, events = await run(store, Fault.TWO_RESULTS)

    assert operation.state == Operation.STATE_SUCCEEDED
    assert events[-1].WhichOneof("kind") == "ended"


async def test_a_stream_without_a_result_makes_the_engine_be_asked(
    store: Store, process: EngineScope
) -> None:
    operation, _ = await run(store, Fault.NO_RESULT)

    assert operation.state == Operation.STATE_SUCCEEDED


async def test_a_flood_of_log_is_cut_and_counted_and_the_result_arrives(
    store: Store, process: EngineScope
) -> None:
    operation, events = await run(store, Fault.FLOOD)
    lines = [event.step_log for event in events if event.WhichOneof("kind") == "step_log"]

    assert operation.state == Operation.STATE_SUCCEEDED
    assert 0 < len(lines) < 1000


async def test_an_engine_that_is_full_is_asked_again_until_it_has_a_place(
    store: Store, process: EngineScope
) -> None:
    """Another router took its places; this one does not know of that."""
    await put_chain(store, site_chain())
    scope = EngineScope("terraform", "tf-scope", busy=3)
    instance = GatedInstance(scope, "full")
    await instance.start(store)
    async with running_router(store) as router:
        events = await shown(router.stub.Provision(provision_request()))
    await instance.kill(store)
    await scope.close()

    assert events[-1].ended.state == Operation.STATE_SUCCEEDED
    assert scope.busy == 0
    assert sum(scope.made.values()) == 1
