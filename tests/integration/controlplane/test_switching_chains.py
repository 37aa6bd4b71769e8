"""Named chains, switches, rollbacks and convergence, over gRPC and on real etcd."""

import asyncio
from typing import Any

import grpc
import pytest

from enchain.chains.errors import (
    ConflictError,
    InvalidArgumentError,
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
from tests.harness.controlplane import FILES, Plane, refusal, save_site, site_workload

PARENT = "workloads/site"
ROUTE = "workloads/site/route"
VIA = "workloads/site/chains/via-files"


@pytest.fixture
async def saved(site: Plane) -> Plane:
    """The workload `site` with the chains `default` and `via-files`, routed to `default`."""
    await save_site(site)
    await create_chain(site, "via-files", {"serve": "files"})
    return site


async def create_chain(
    plane: Plane, chain_id: str, use: dict[str, str] | None = None, *, validate_only: bool = False
) -> Any:
    return await plane.chains.CreateChain(
        chain_pb2.CreateChainRequest(
            parent=PARENT,
            chain_id=chain_id,
            chain=chain_pb2.Chain(use=use),
            validate_only=validate_only,
        )
    )


async def get_chain(plane: Plane, chain: str) -> Any:
    return await plane.chains.GetChain(chain_pb2.GetChainRequest(name=f"{PARENT}/chains/{chain}"))


async def get_route(plane: Plane) -> Any:
    return await plane.chains.GetRoute(chain_pb2.GetRouteRequest(name=ROUTE))


async def routed_to(plane: Plane) -> str:
    return str((await get_route(plane)).shares[0].chain)


async def switch(plane: Plane, chain: str = VIA, **fields: Any) -> Any:
    return await plane.chains.SwitchChain(chain_pb2.SwitchChainRequest(name=ROUTE, chain=chain, **fields))


async def rollback(plane: Plane, **fields: Any) -> Any:
    return await plane.chains.RollbackChain(chain_pb2.RollbackChainRequest(name=ROUTE, **fields))


async def delete_chain(plane: Plane, name: str, **fields: Any) -> Any:
    return await plane.chains.DeleteChain(chain_pb2.DeleteChainRequest(name=name, **fields))


# --- named chains


async def test_a_named_chain_uses_the_engines_that_it_names(saved: Plane) -> None:
    chain = await get_chain(saved, "via-files")

    assert [step.engine for step in chain.steps] == ["files", "files"]
    assert chain.use == {"serve": "files"}
    assert chain.digest.startswith("sha256:" + chain.name.rpartition("@")[2])


async def test_saving_a_chain_again_writes_nothing(saved: Plane) -> None:
    before = await saved.contents()

    again = await create_chain(saved, "via-files", {"serve": "files"})

    assert again == await get_chain(saved, "via-files")
    assert await saved.contents() == before


async def test_saving_the_default_chain_again_comes_to_the_version_that_runs_now(saved: Plane) -> None:
    await saved.start_engine("files", FILES, version="2.0")

    chain = await create_chain(saved, "default")

    assert chain.steps[0].version == "2.0"
    assert await routed_to(saved) != chain.name


async def test_a_chain_is_validated_without_being_written(saved: Plane) -> None:
    before = await saved.contents()

    answer = await create_chain(saved, "other", {"serve": "files"}, validate_only=True)

    assert answer.name.startswith("workloads/site/chains/other@")
    assert await saved.contents() == before


@pytest.mark.parametrize(
    ("chain_id", "use", "field"),
    [
        ("via-x", {"serve": "nowhere"}, "use.serve"),
        ("via-x", {"colour": "files"}, "use.colour"),
        ("default", {"serve": "files"}, "chain.use"),
        ("Wrong Id", {}, "chain_id"),
    ],
)
async def test_a_chain_that_fits_no_workload_is_refused_with_its_place(
    saved: Plane, chain_id: str, use: dict[str, str], field: str
) -> None:
    before = await saved.contents()

    error = await refusal(create_chain(saved, chain_id, use))

    assert isinstance(error, InvalidArgumentError)
    assert field in [fault.field for fault in error.violations]
    assert await saved.contents() == before


async def test_a_chain_of_no_workload_is_refused(plane: Plane) -> None:
    error = await refusal(create_chain(plane, "via-files"))

    assert isinstance(error, NotFoundError)
    assert error.reason == "WORKLOAD_NOT_FOUND"


async def test_chains_are_listed_newest_first_revision_each_or_all_in_pages(saved: Plane) -> None:
    edited = site_workload(name=PARENT)
    edited.steps[0].implementations[0].inputs["size"].string_value = "large"
    await saved.workloads.UpdateWorkload(workload_pb2.UpdateWorkloadRequest(workload=edited))

    newest = await saved.chains.ListChains(chain_pb2.ListChainsRequest(parent="workloads/-"))
    names, token = [], ""
    while True:
        page = await saved.chains.ListChains(
            chain_pb2.ListChainsRequest(parent=PARENT, all_revisions=True, page_size=3, page_token=token)
        )
        names += [chain.name for chain in page.chains]
        token = page.next_page_token
        if not token:
            break

    assert [chain.name for chain in newest.chains] == [
        (await get_chain(saved, "default")).name,
        (await get_chain(saved, "via-files")).name,
    ]
    assert len(names) == len(set(names)) == 4
    assert names == sorted(names)


# --- switching


async def test_a_switch_moves_the_route_and_leaves_a_record(saved: Plane) -> None:
    default = await routed_to(saved)

    made = await switch(saved, reason="cheaper")

    via = await get_chain(saved, "via-files")
    route = await get_route(saved)
    assert [share.chain for share in route.shares] == [via.name]
    assert route.chain_switch == made.name
    assert made.to == route
    assert getattr(made, "from").shares[0].chain == default
    assert (made.state, made.reason) == (chain_pb2.ChainSwitch.STATE_DONE, "cheaper")
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
    edited = site_workload(name=PARENT)
    edited.steps[0].implementations[0].inputs["size"].string_value = "large"
    await saved.workloads.UpdateWorkload(workload_pb2.UpdateWorkloadRequest(workload=edited))

    await switch(saved, older.name)

    assert await routed_to(saved) == older.name
    assert (await get_chain(saved, "via-files")).name != older.name


async def test_a_chain_put_by_hand_is_switched_to_like_any_other(saved: Plane) -> None:
    chain = await get_chain(saved, "via-files")
    await saved.put_chain("by-hand", "mine-1", chain)

    await switch(saved, f"{PARENT}/chains/by-hand")

    assert await routed_to(saved) == f"{PARENT}/chains/by-hand@mine-1"


@pytest.mark.parametrize("broken", ["no json", "no step"])
async def test_a_broken_chain_put_by_hand_is_not_switched_to(saved: Plane, broken: str) -> None:
    content = b"{" if broken == "no json" else encode(chain_pb2.Chain(description="empty"))
    await saved.put_raw(keys.chain("site", "by-hand", "mine-1"), content)
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


async def test_switches_at_once_without_an_etag_follow_one_another(saved: Plane) -> None:
    await saved.put_chain("fourth", "r1", await get_chain(saved, "via-files"))

    await asyncio.gather(switch(saved), switch(saved, f"{PARENT}/chains/fourth"))

    listed = await saved.chains.ListChainSwitches(chain_pb2.ListChainSwitchesRequest(parent=PARENT))
    newest, older = listed.chain_switches
    assert getattr(newest, "from") == older.to
    assert await get_route(saved) == newest.to


async def test_a_request_id_sent_again_answers_the_switch_that_it_made(saved: Plane) -> None:
    made = await switch(saved, request_id="r-1")
    await switch(saved, f"{PARENT}/chains/default")
    before = await saved.contents()

    assert await switch(saved, request_id="r-1") == made
    assert await saved.contents() == before


# --- rolling back


async def test_a_rollback_goes_back_and_again_goes_further_back(saved: Plane) -> None:
    await saved.put_chain("third", "r1", await get_chain(saved, "via-files"))
    first = await routed_to(saved)
    to_via = await switch(saved)
    to_third = await switch(saved, f"{PARENT}/chains/third")

    undo_third = await rollback(saved, reason="too slow")
    at_via = await routed_to(saved)
    undo_via = await rollback(saved)
    error = await refusal(rollback(saved))

    assert (undo_third.rollback_of, undo_via.rollback_of) == (to_third.name, to_via.name)
    assert at_via == to_via.to.shares[0].chain
    assert await routed_to(saved) == first
    assert isinstance(error, PreconditionError)
    assert error.reason == "NOTHING_TO_ROLL_BACK"


async def test_a_rollback_sent_twice_with_one_request_id_goes_back_once(saved: Plane) -> None:
    await saved.put_chain("third", "r1", await get_chain(saved, "via-files"))
    await switch(saved)
    await switch(saved, f"{PARENT}/chains/third")

    once = await rollback(saved, request_id="r-1")

    assert await rollback(saved, request_id="r-1") == once
    assert (await routed_to(saved)).startswith(VIA)


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


async def test_switches_are_listed_newest_first_in_pages(saved: Plane) -> None:
    made = [await switch(saved), await rollback(saved), await switch(saved)]

    first = await saved.chains.ListChainSwitches(
        chain_pb2.ListChainSwitchesRequest(parent=PARENT, page_size=2)
    )
    await rollback(saved)
    rest = await saved.chains.ListChainSwitches(
        chain_pb2.ListChainSwitchesRequest(parent=PARENT, page_size=2, page_token=first.next_page_token)
    )

    assert [*first.chain_switches, *rest.chain_switches] == list(reversed(made))
    assert rest.next_page_token == ""


# --- deleting chains


async def test_a_chain_that_nobody_needs_is_deleted_with_all_its_revisions(saved: Plane) -> None:
    await delete_chain(saved, VIA)

    assert isinstance(await refusal(get_chain(saved, "via-files")), NotFoundError)


async def test_one_revision_is_deleted_alone(saved: Plane) -> None:
    older = await get_chain(saved, "via-files")
    edited = site_workload(name=PARENT)
    edited.steps[0].implementations[0].inputs["size"].string_value = "large"
    await saved.workloads.UpdateWorkload(workload_pb2.UpdateWorkloadRequest(workload=edited))

    await delete_chain(saved, older.name)

    newest = await get_chain(saved, "via-files")
    assert newest.name != older.name


@pytest.mark.parametrize("user", ["route", "resource", "operation"])
@pytest.mark.parametrize("whole", [True, False])
async def test_a_chain_that_is_needed_is_not_deleted(saved: Plane, user: str, *, whole: bool) -> None:
    name = (await get_chain(saved, "via-files")).name
    if user == "route":
        await switch(saved)
    elif user == "resource":
        await saved.put_resource("r1", name)
    else:
        await saved.put_active("01J0000000000000000000000A", name)
    before = await saved.contents()

    error = await refusal(delete_chain(saved, VIA if whole else name))

    assert isinstance(error, PreconditionError)
    assert error.reason == "IN_USE"
    assert await saved.contents() == before


async def test_a_chain_is_deleted_only_as_it_was_read(saved: Plane) -> None:
    etag = (await get_chain(saved, "via-files")).etag
    error = await refusal(delete_chain(saved, VIA, etag="stale"))
    await delete_chain(saved, VIA, etag=etag, validate_only=True)

    assert isinstance(error, ConflictError)
    await delete_chain(saved, VIA, etag=etag)
    assert isinstance(await refusal(delete_chain(saved, VIA)), NotFoundError)


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
