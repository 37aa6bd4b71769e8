"""Switching chains, over gRPC and on real etcd."""

import asyncio

import grpc
import pytest

from enchain.chains.errors import (
    ConflictError,
    InvalidArgumentError,
    NotFoundError,
    PreconditionError,
)
from enchain.process.statuses import from_rpc_error
from enchain.state import keys
from enchain.state.codec import decode, encode
from enchain.v1 import (
    chain_pb2,
    engine_pb2,
    pool_pb2,
    presence_pb2,
)
from tests.harness.controlplane import Plane, refusal
from tests.harness.site import (
    PARENT,
    ROUTE,
    VIA,
    edit_site,
    ended,
    get_chain,
    get_route,
    routed_to,
    switch,
)
from tests.harness.waiting import eventually


async def test_a_switch_moves_the_route_and_leaves_a_record(saved: Plane) -> None:
    default = await routed_to(saved)

    made = await switch(saved, reason="cheaper")

    via = await get_chain(saved, "via-files")
    route = await get_route(saved)
    assert [share.chain for share in route.shares] == [via.name]
    assert route.chain_switch == made.name
    assert made.to == route
    assert getattr(made, "from").shares[0].chain == default
    assert (made.state, made.reason) == (chain_pb2.ChainSwitch.STATE_CONVERGING, "cheaper")
    read = await saved.chains.GetChainSwitch(chain_pb2.GetChainSwitchRequest(name=made.name))
    assert read == made


async def test_route_record_and_audit_are_one_transaction(saved: Plane) -> None:
    await switch(saved, reason="cheaper", request_id="r-9")

    items = [
        await saved.store.get(keys.route("site")),
        (await saved.store.list(keys.SWITCHES)).items[-1],
        (await saved.store.list(keys.AUDIT)).items[-1],
    ]
    assert len({item.mod_revision for item in items if item}) == 1
    assert items[2] is not None
    entry = decode(presence_pb2.AuditRecord, items[2].value)
    assert (entry.method, entry.target, entry.reason, entry.request_id) == (
        "enchain.v1.ChainService/SwitchChain",
        ROUTE,
        "cheaper",
        "r-9",
    )


async def test_a_dry_run_tells_whom_it_touches_and_moves_nothing(saved: Plane) -> None:
    default = await routed_to(saved)
    await saved.put_resource("r1", default)
    await saved.put_resource("r2", default)
    await saved.put_resource("other", "workloads/site/chains/older@abc")
    await saved.put_active("01J0000000000000000000000A", default)
    await saved.unregister(saved.engines_started[0].instance)
    before = await saved.contents()

    tried = await switch(saved, validate_only=True)

    assert (tried.impact.resources_bound, tried.impact.operations_running) == (2, 1)
    assert list(tried.impact.operations) == ["tenants/default/operations/01J0000000000000000000000A"]
    assert sorted(tried.impact.resources) == [f"tenants/default/resources/{name}" for name in ("r1", "r2")]
    assert list(tried.impact.differences) == ["serve: serving 1.0 → files 1.0"]
    assert not tried.impact.HasField("p95_after"), "nothing was measured"
    assert list(tried.impact.gaps) == [
        "configure: no instance of files 1.0",
        "serve: no instance of files 1.0",
    ]
    assert await saved.contents() == before


async def test_resources_stay_bound_and_are_counted_in_the_record(saved: Plane) -> None:
    await saved.put_resource("r1", await routed_to(saved))
    resource = await saved.store.get(keys.resource("default", "r1"))

    made = await switch(saved)

    assert made.impact.resources_bound == 1
    assert await saved.store.get(keys.resource("default", "r1")) == resource


async def test_what_can_be_started_is_started_before_the_route_is_moved(led: Plane) -> None:
    default = await routed_to(led)
    launch = engine_pb2.Engine(launch=engine_pb2.Launch(process=["serve-files"]))
    await led.engines.CreateEngine(engine_pb2.CreateEngineRequest(engine_id="files", engine=launch))
    files = led.engines_started[0].instance
    await led.unregister(files)

    tried = await switch(led, validate_only=True)
    made = await switch(led)
    held = await eventually(lambda: holds_of(led, "files"))
    during = await routed_to(led)
    await led.register(files)
    done = await ended(led, made.name)

    assert made.state == chain_pb2.ChainSwitch.STATE_VALIDATING
    assert [(each.engine, each.version, each.count) for each in tried.impact.launched] == [
        ("files", "1.0", 1)
    ]
    assert held == {made.name: 1}
    assert during == default
    assert done.state == chain_pb2.ChainSwitch.STATE_DONE
    assert await routed_to(led) == done.to.shares[0].chain
    assert await holds_of(led, "files") == {}


async def holds_of(plane: Plane, engine: str) -> dict[str, int]:
    """Answer what switches ask of an engine's pool."""
    item = await plane.store.get(keys.pool(engine, "1.0"))
    return dict(decode(pool_pb2.Pool, item.value).holds) if item is not None else {}


@pytest.mark.parametrize("gone", ["unregistered", "draining", "other version"])
async def test_a_step_that_no_instance_could_do_stops_the_switch(saved: Plane, gone: str) -> None:
    instance = engine_pb2.EngineInstance()
    instance.CopyFrom(saved.engines_started[0].instance)
    if gone == "unregistered":
        await saved.unregister(instance)
    else:
        if gone == "draining":
            instance.state = engine_pb2.EngineInstance.STATE_DRAINING
        else:
            instance.version = "9.9"
        await saved.register(instance)
    before = await saved.contents()

    error = await refusal(switch(saved))

    assert isinstance(error, PreconditionError)
    assert error.reason == "NO_INSTANCE"
    assert error.metadata["gaps"] == ("configure: no instance of files 1.0; serve: no instance of files 1.0")
    assert await saved.contents() == before


async def test_switching_to_the_chain_in_force_answers_the_switch_that_put_it_there(saved: Plane) -> None:
    made = await switch(saved)
    before = await saved.contents()

    assert await switch(saved) == made
    assert await saved.contents() == before


async def test_where_no_switch_put_the_chain_in_force_the_answer_has_no_name(saved: Plane) -> None:
    answer = await switch(saved, f"{PARENT}/chains/default")

    assert answer.name == ""
    assert answer.state == chain_pb2.ChainSwitch.STATE_DONE
    assert answer.to == await get_route(saved)


async def test_a_named_revision_is_switched_to_even_where_a_newer_one_exists(saved: Plane) -> None:
    older = await get_chain(saved, "via-files")
    await edit_site(saved)

    await switch(saved, older.name)

    assert await routed_to(saved) == older.name
    assert (await get_chain(saved, "via-files")).name != older.name


async def test_a_chain_put_by_hand_is_switched_to_like_any_other(saved: Plane) -> None:
    chain = await get_chain(saved, "via-files")
    await saved.put_chain("by-hand", "mine-1", chain)

    await switch(saved, f"{PARENT}/chains/by-hand")

    assert await routed_to(saved) == f"{PARENT}/chains/by-hand@mine-1"


@pytest.mark.parametrize("broken", ["no json", "no step", "other name"])
async def test_a_broken_chain_put_by_hand_is_not_switched_to(saved: Plane, broken: str) -> None:
    content = {
        "no json": b"{",
        "no step": encode(chain_pb2.Chain(description="empty")),
        "other name": encode(await get_chain(saved, "via-files")),
    }
    await saved.put_raw(keys.chain("site", "by-hand", "mine-1"), content[broken])
    before = await saved.contents()

    error = await refusal(switch(saved, f"{PARENT}/chains/by-hand"))

    assert isinstance(error, PreconditionError)
    assert error.reason == "INVALID_CHAIN"
    assert await saved.contents() == before


async def test_a_broken_chain_put_by_hand_hinders_nobody_else(saved: Plane) -> None:
    await saved.put_raw(keys.chain("site", "by-hand", "mine-1"), b"{")

    await switch(saved)
    listed = await saved.chains.ListChains(chain_pb2.ListChainsRequest(parent=PARENT))

    assert [chain.name.partition("@")[0] for chain in listed.chains] == [f"{PARENT}/chains/default", VIA]


@pytest.mark.parametrize(
    ("chain", "kind", "place"),
    [
        (f"{PARENT}/chains/nowhere", NotFoundError, None),
        (f"{VIA}@000000000000", NotFoundError, None),
        ("workloads/other/chains/default", InvalidArgumentError, "chain"),
        ("via-files", InvalidArgumentError, "chain"),
        ("", InvalidArgumentError, "chain"),
    ],
)
async def test_a_chain_that_is_none_of_the_workload_is_refused(
    saved: Plane, chain: str, kind: type, place: str | None
) -> None:
    before = await saved.contents()

    error = await refusal(switch(saved, chain))

    assert isinstance(error, kind)
    assert [fault.field for fault in error.violations] == ([place] if place else [])
    assert await saved.contents() == before


async def test_a_workload_that_does_not_exist_has_no_route_to_move(plane: Plane) -> None:
    error = await refusal(switch(plane))

    assert isinstance(error, NotFoundError)
    assert error.reason == "ROUTE_NOT_FOUND"


async def test_a_stale_etag_of_the_route_is_refused(saved: Plane) -> None:
    stale = (await get_route(saved)).etag
    await switch(saved, etag=stale)
    before = await saved.contents()

    error = await refusal(switch(saved, f"{PARENT}/chains/default", etag=stale))

    assert isinstance(error, ConflictError)
    assert error.reason == "ETAG_MISMATCH"
    assert await saved.contents() == before


async def test_of_switches_at_once_with_one_etag_one_wins(saved: Plane) -> None:
    await saved.put_chain("fourth", "r1", await get_chain(saved, "via-files"))
    etag = (await get_route(saved)).etag

    outcomes = await asyncio.gather(
        switch(saved, etag=etag),
        switch(saved, f"{PARENT}/chains/fourth", etag=etag),
        return_exceptions=True,
    )

    won = [outcome for outcome in outcomes if not isinstance(outcome, BaseException)]
    lost = [outcome for outcome in outcomes if isinstance(outcome, grpc.aio.AioRpcError)]
    assert [each.code() for each in lost] == [grpc.StatusCode.ABORTED]
    assert await get_route(saved) == won[0].to
    assert len((await saved.store.list(keys.SWITCHES)).items) == 1


async def test_of_switches_at_once_without_an_etag_one_is_told_of_the_other(saved: Plane) -> None:
    await saved.put_chain("fourth", "r1", await get_chain(saved, "via-files"))

    outcomes = await asyncio.gather(
        switch(saved), switch(saved, f"{PARENT}/chains/fourth"), return_exceptions=True
    )

    (won,) = [outcome for outcome in outcomes if not isinstance(outcome, BaseException)]
    (lost,) = [outcome for outcome in outcomes if isinstance(outcome, grpc.aio.AioRpcError)]
    error = from_rpc_error(lost)
    assert (error.reason, error.metadata["switch"]) == ("SWITCH_RUNNING", won.name)
    assert await get_route(saved) == won.to


async def test_switches_follow_one_another(led: Plane) -> None:
    first = await ended(led, (await switch(led)).name)

    second = await ended(led, (await switch(led, f"{PARENT}/chains/default")).name)

    listed = await led.chains.ListChainSwitches(chain_pb2.ListChainSwitchesRequest(parent=PARENT))
    assert list(listed.chain_switches) == [second, first]
    assert getattr(second, "from") == first.to
    assert await get_route(led) == second.to


async def test_a_request_id_sent_again_answers_the_switch_that_it_made(led: Plane) -> None:
    made = await ended(led, (await switch(led, request_id="r-1")).name)
    await ended(led, (await switch(led, f"{PARENT}/chains/default")).name)
    before = await led.contents()

    assert await switch(led, request_id="r-1") == made
    assert await led.contents() == before
