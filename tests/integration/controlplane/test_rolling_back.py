"""Rollbacks, the log of switches, convergence, and what all of it leaves in the store."""

from typing import Any

from enchain.chains.errors import (
    NotFoundError,
    PreconditionError,
)
from enchain.state import keys
from enchain.state.codec import decode, encode
from enchain.v1 import (
    chain_pb2,
    engine_pb2,
    operation_pb2,
    presence_pb2,
    workload_pb2,
)
from tests.harness.controlplane import Plane, refusal
from tests.harness.site import (
    PARENT,
    VIA,
    ended,
    get_chain,
    get_route,
    rollback,
    routed_to,
    switch,
)


async def test_a_rollback_goes_back_and_again_goes_further_back(led: Plane) -> None:
    await led.put_chain("third", "r1", await get_chain(led, "via-files"))
    first = await routed_to(led)
    to_via = await ended(led, (await switch(led)).name)
    to_third = await ended(led, (await switch(led, f"{PARENT}/chains/third")).name)

    undo_third = await ended(led, (await rollback(led, reason="too slow")).name)
    at_via = await routed_to(led)
    undo_via = await ended(led, (await rollback(led)).name)
    error = await refusal(rollback(led))

    assert (undo_third.rollback_of, undo_via.rollback_of) == (to_third.name, to_via.name)
    assert at_via == to_via.to.shares[0].chain
    assert await routed_to(led) == first
    assert isinstance(error, PreconditionError)
    assert error.reason == "NOTHING_TO_ROLL_BACK"


async def test_a_rollback_sent_twice_with_one_request_id_goes_back_once(led: Plane) -> None:
    await led.put_chain("third", "r1", await get_chain(led, "via-files"))
    await ended(led, (await switch(led)).name)
    await ended(led, (await switch(led, f"{PARENT}/chains/third")).name)

    once = await ended(led, (await rollback(led, request_id="r-1")).name)

    assert await rollback(led, request_id="r-1") == once
    assert (await routed_to(led)).startswith(VIA)


async def test_a_switch_that_is_under_way_is_undone_at_once(saved: Plane) -> None:
    default = await routed_to(saved)
    made = await switch(saved)

    undone = await rollback(saved, reason="too slow")

    read = await saved.chains.GetChainSwitch(chain_pb2.GetChainSwitchRequest(name=made.name))
    assert await routed_to(saved) == default
    assert undone.rollback_of == made.name
    assert read.state == chain_pb2.ChainSwitch.STATE_ROLLED_BACK
    assert undone.name in read.rollback_reason


async def test_a_rollback_is_tried_without_moving_anything(saved: Plane) -> None:
    default = await routed_to(saved)
    await switch(saved)
    before = await saved.contents()

    tried = await rollback(saved, validate_only=True)

    assert tried.to.shares[0].chain == default
    assert await saved.contents() == before


async def test_a_route_that_was_moved_by_hand_is_not_rolled_back(saved: Plane) -> None:
    await switch(saved)
    route = await get_route(saved)
    route.shares[0].chain = (await get_chain(saved, "default")).name
    route.etag = ""
    await saved.put_raw(keys.route("site"), encode(route))

    error = await refusal(rollback(saved))

    assert error.reason == "ROUTE_MOVED"


async def test_a_rollback_to_a_chain_that_is_no_longer_served_is_refused(saved: Plane) -> None:
    await switch(saved)
    await saved.unregister(saved.engines_started[1].instance)

    error = await refusal(rollback(saved))

    assert error.reason == "NO_INSTANCE"
    assert error.metadata["gaps"] == "serve: no instance of serving 1.0"


async def test_switches_are_listed_newest_first_in_pages(led: Plane) -> None:
    made = [await ended(led, (await each(led)).name) for each in (switch, rollback, switch)]

    first = await led.chains.ListChainSwitches(chain_pb2.ListChainSwitchesRequest(parent=PARENT, page_size=2))
    await rollback(led)
    rest = await led.chains.ListChainSwitches(
        chain_pb2.ListChainSwitchesRequest(parent=PARENT, page_size=2, page_token=first.next_page_token)
    )

    assert [*first.chain_switches, *rest.chain_switches] == list(reversed(made))
    assert rest.next_page_token == ""


# --- convergence


async def convergence(plane: Plane) -> Any:
    return await plane.chains.GetConvergence(chain_pb2.GetConvergenceRequest(name=f"{PARENT}/convergence"))


async def test_routers_converge_as_they_apply_the_route(saved: Plane) -> None:
    await switch(saved)
    route = await saved.store.get(keys.route("site"))
    assert route is not None
    nobody = await convergence(saved)
    await saved.put_router("a", route.mod_revision)
    await saved.put_router("b", route.mod_revision - 1)
    one = await convergence(saved)
    await saved.put_router("b", route.mod_revision)
    both = await convergence(saved)
    await saved.put_router("b", route.mod_revision, refused=PARENT)
    refused = await convergence(saved)

    assert [each.converged for each in (nobody, one, both, refused)] == [False, False, True, False]
    assert both.route_revision == route.mod_revision
    assert [router.router for router in one.routers] == ["routers/a", "routers/b"]
    assert refused.routers[1].refusal == "some/key: BAD"


async def test_a_workload_without_a_route_has_no_convergence(plane: Plane) -> None:
    assert isinstance(await refusal(convergence(plane)), NotFoundError)


# --- everything that was written


KINDS = {
    keys.WORKLOADS: workload_pb2.Workload,
    keys.CHAINS: chain_pb2.Chain,
    keys.ROUTES: chain_pb2.Route,
    keys.ENGINES: engine_pb2.Engine,
    keys.SWITCHES: chain_pb2.ChainSwitch,
    keys.AUDIT: presence_pb2.AuditRecord,
    keys.INSTANCES: engine_pb2.EngineInstance,
    keys.RESOURCES: operation_pb2.Resource,
}


async def test_every_value_that_was_written_reencodes_byte_for_byte(saved: Plane) -> None:
    await switch(saved, reason="größer als 2^53: 9007199254740993")
    await rollback(saved)
    await saved.put_resource("r1", await routed_to(saved))
    await saved.engines.CreateEngine(
        engine_pb2.CreateEngineRequest(
            engine_id="files", engine=engine_pb2.Engine(pool=engine_pb2.PoolBounds(min=0, max=4))
        )
    )

    contents = await saved.contents()

    seen = set()
    for key, content in contents.items():
        prefix = next(prefix for prefix in KINDS if key.startswith(prefix))
        seen.add(prefix)
        assert encode(decode(KINDS[prefix], content)) == content, key
    assert seen == set(KINDS)
