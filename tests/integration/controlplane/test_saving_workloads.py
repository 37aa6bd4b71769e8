"""Saving, reading and deleting workloads, over gRPC and on real etcd."""

import asyncio

import grpc

from enchain.chains.errors import (
    AlreadyExistsError,
    ConflictError,
    InvalidArgumentError,
    NotFoundError,
    PreconditionError,
    UnavailableError,
)
from enchain.state import keys
from enchain.state.codec import decode
from enchain.v1 import chain_pb2, presence_pb2, workload_pb2
from tests.harness.controlplane import FILES, Plane, refusal
from tests.harness.site import (
    create_chain,
    edit_site,
    get_chain,
    get_route,
    implementation,
    save_site,
    site_workload,
    update,
)


async def test_the_first_save_makes_the_default_chain_and_a_route_to_it(site: Plane) -> None:
    saved = await save_site(site)

    chain = await get_chain(site)
    route = await get_route(site)
    assert saved.name == "workloads/site"
    assert saved.etag
    assert [(step.engine, step.version) for step in chain.steps] == [("files", "1.0"), ("serving", "1.0")]
    assert chain.steps[0].schema == FILES
    assert chain.workload_etag == saved.etag
    assert [(share.chain, share.start, share.end) for share in route.shares] == [(chain.name, 0, 10_000)]


async def test_everything_of_a_save_is_one_transaction(site: Plane) -> None:
    await save_site(site)

    written = [item for item in (await site.store.list(keys.ROOT)).items if "/live/" not in item.key]
    assert len(written) == 4
    assert len({item.mod_revision for item in written}) == 1


async def test_what_is_read_is_what_was_answered(site: Plane) -> None:
    saved = await save_site(site)

    read = await site.workloads.GetWorkload(workload_pb2.GetWorkloadRequest(name="workloads/site"))

    assert read == saved


async def test_saving_the_same_again_writes_nothing_and_answers_what_stands(site: Plane) -> None:
    saved = await save_site(site)
    before = await site.contents()

    again = await update(site, site_workload(), allow_missing=True)
    created_again = await save_site(site)

    assert again == saved
    assert created_again == saved
    assert await site.contents() == before


async def test_saving_the_same_again_needs_no_engine(site: Plane) -> None:
    saved = await save_site(site)
    for engine in site.engines_started:
        await site.unregister(engine.instance)

    assert await update(site, site_workload()) == saved


async def test_creating_another_one_of_the_same_name_is_refused(site: Plane) -> None:
    await save_site(site)

    error = await refusal(save_site(site, description="another"))

    assert isinstance(error, AlreadyExistsError)
    assert error.reason == "WORKLOAD_EXISTS"


async def test_editing_derives_every_chain_again_and_moves_no_route(site: Plane) -> None:
    await save_site(site)
    via_files = await create_chain(site, "via-files", {"serve": "files"})
    default, route = await get_chain(site), await get_route(site)

    saved = await edit_site(site)

    assert await get_route(site) == route
    new_default, new_via = await get_chain(site), await get_chain(site, "via-files")
    assert new_default.name != default.name
    assert new_via.name != via_files.name
    assert new_via.use == {"serve": "files"}
    assert new_via.workload_etag == saved.etag
    revisions = await site.chains.ListChains(
        chain_pb2.ListChainsRequest(parent="workloads/site", all_revisions=True)
    )
    assert len(revisions.chains) == 4


async def test_going_back_to_earlier_content_makes_the_earlier_revision_the_newest(site: Plane) -> None:
    await save_site(site)
    first = await get_chain(site)
    await edit_site(site)

    back = site_workload()
    saved = await update(site, back)

    newest = await get_chain(site)
    assert newest.name == first.name
    assert newest.create_time == first.create_time
    assert newest.workload_etag == saved.etag


async def test_a_change_that_changes_no_chain_writes_no_revision(site: Plane) -> None:
    await save_site(site)
    chain = await get_chain(site)

    saved = await update(site, workload_pb2.Workload(description="new words"), "description")

    assert saved.description == "new words"
    assert [step.name for step in saved.steps] == ["configure", "serve"]
    assert await get_chain(site) == chain


async def test_a_chain_put_by_hand_is_not_derived_again(site: Plane) -> None:
    await save_site(site)
    by_hand = await get_chain(site)
    by_hand.ClearField("workload_etag")
    await site.put_chain("by-hand", "r1", by_hand)
    before = await site.store.get(keys.chain("site", "by-hand", "r1"))

    await update(site, site_workload(description="changed"))

    assert (await site.store.list(keys.revisions_of("site", "by-hand"))).items == (before,)


async def test_a_stale_etag_is_refused_and_the_current_one_is_not(site: Plane) -> None:
    first = await save_site(site)
    second = await update(site, workload_pb2.Workload(description="two", etag=first.etag), "description")
    before = await site.contents()

    error = await refusal(
        update(site, workload_pb2.Workload(description="three", etag=first.etag), "description")
    )

    assert isinstance(error, ConflictError)
    assert error.reason == "ETAG_MISMATCH"
    assert error.metadata["etag"] == second.etag
    assert await site.contents() == before


async def test_of_two_writers_with_one_etag_one_wins_and_the_other_is_told(site: Plane) -> None:
    saved = await save_site(site)

    outcomes = await asyncio.gather(
        *(
            update(site, workload_pb2.Workload(description=words, etag=saved.etag), "description")
            for words in ("one", "two")
        ),
        return_exceptions=True,
    )

    errors = [outcome for outcome in outcomes if isinstance(outcome, grpc.aio.AioRpcError)]
    assert len(errors) == 1
    assert errors[0].code() is grpc.StatusCode.ABORTED


async def test_writers_without_an_etag_all_get_through_one_after_the_other(site: Plane) -> None:
    await save_site(site)

    await asyncio.gather(
        update(site, workload_pb2.Workload(description="words"), "description"),
        update(site, workload_pb2.Workload(slo=workload_pb2.ServiceLevel(success=0.9)), "slo"),
    )

    read = await site.workloads.GetWorkload(workload_pb2.GetWorkloadRequest(name="workloads/site"))
    assert (read.description, read.slo.success) == ("words", 0.9)


async def test_what_does_not_exist_is_updated_only_where_that_is_allowed(site: Plane) -> None:
    error = await refusal(update(site, site_workload()))
    saved = await update(site, site_workload(), allow_missing=True)

    assert isinstance(error, NotFoundError)
    assert error.reason == "WORKLOAD_NOT_FOUND"
    assert saved.name == "workloads/site"


async def test_validating_answers_what_would_be_saved_and_writes_nothing(site: Plane) -> None:
    before = await site.contents()

    answer = await site.workloads.CreateWorkload(
        workload_pb2.CreateWorkloadRequest(
            workload_id="site", workload=site_workload(), validate_only=True, request_id="r-1"
        )
    )

    assert answer.name == "workloads/site"
    assert await site.contents() == before


async def test_an_engine_without_an_instance_comes_with_the_remedy(plane: Plane) -> None:
    await plane.start_engine("files", FILES)

    error = await refusal(save_site(plane))

    assert isinstance(error, PreconditionError)
    assert error.remedy == "Start an instance of engine serving, then apply again."


async def test_an_engine_that_refuses_is_quoted_with_the_place(site: Plane) -> None:
    site.engines_started[0].refusal = InvalidArgumentError("the module has no main file", reason="BAD_MODULE")

    error = await refusal(save_site(site))

    assert isinstance(error, InvalidArgumentError)
    assert error.reason == "BAD_MODULE"
    assert [fault.field for fault in error.violations] == ["steps[0].implementations[0]"]


async def test_another_instance_is_asked_where_one_is_out_of_order(site: Plane) -> None:
    site.engines_started[0].refusal = UnavailableError("out of order")
    second = await site.start_engine("files", FILES, name="z-second")

    await save_site(site)

    assert len(site.engines_started[0].asked) == 1
    assert len(second.asked) == 1


async def test_a_save_fails_where_no_instance_answers(site: Plane) -> None:
    site.engines_started[0].refusal = UnavailableError("out of order")

    error = await refusal(save_site(site))

    assert isinstance(error, UnavailableError)
    assert error.reason == "ENGINE_UNAVAILABLE"
    assert error.retry_after


async def test_the_newest_version_that_runs_is_taken_where_none_is_wanted(site: Plane) -> None:
    await site.start_engine("files", FILES, version="1.10")
    await site.start_engine("files", FILES, version="1.9")

    await save_site(site)

    assert (await get_chain(site)).steps[0].version == "1.10"


async def test_a_named_chain_that_no_longer_fits_stops_the_save(site: Plane) -> None:
    await save_site(site)
    await create_chain(site, "via-files", {"serve": "files"})
    edited = site_workload()
    del edited.steps[1].implementations[1]
    before = await site.contents()

    error = await refusal(update(site, edited))

    assert isinstance(error, PreconditionError)
    assert error.reason == "CHAIN_DOES_NOT_FIT"
    assert "via-files" in error.remedy
    assert await site.contents() == before


async def test_every_change_leaves_an_audit_record_without_what_people_typed(site: Plane) -> None:
    secret = site_workload()
    secret.steps[0].implementations[0].inputs["name"].string_value = "hunter2"
    await site.workloads.CreateWorkload(
        workload_pb2.CreateWorkloadRequest(workload_id="site", workload=secret, request_id="r-7")
    )

    [item] = (await site.store.list(keys.AUDIT)).items
    entry = decode(presence_pb2.AuditRecord, item.value)
    assert (entry.method, entry.target, entry.request_id) == (
        "enchain.v1.WorkloadService/CreateWorkload",
        "workloads/site",
        "r-7",
    )
    assert entry.actor.subject == "anonymous"
    assert not entry.HasField("before")
    assert entry.after["name"] == "workloads/site"
    assert b"hunter2" not in item.value


async def test_a_request_id_that_is_none_is_refused(site: Plane) -> None:
    error = await refusal(
        site.workloads.CreateWorkload(
            workload_pb2.CreateWorkloadRequest(
                workload_id="site", workload=site_workload(), request_id="x" * 129
            )
        )
    )

    assert [fault.field for fault in error.violations] == ["request_id"]


async def test_engines_are_asked_with_steps_and_artifacts(site: Plane) -> None:
    await save_site(site)

    assert [list(request.steps) for request in site.engines_started[0].asked] == [["configure"]]
    assert [list(request.steps) for request in site.engines_started[1].asked] == [["serve"]]


async def test_an_implementation_may_do_both_steps(site: Plane) -> None:
    workload = site_workload()
    both = implementation("files", {"name": "${inputs.name}"})
    both.covers.extend(["configure", "serve"])
    del workload.steps[0].implementations[:]
    workload.steps[0].implementations.append(both)
    await site.workloads.CreateWorkload(
        workload_pb2.CreateWorkloadRequest(workload_id="site", workload=workload)
    )

    chain = await get_chain(site)
    assert [list(step.steps) for step in chain.steps] == [["configure", "serve"]]


async def test_a_name_by_which_the_workload_is_sent_must_be_its_own(site: Plane) -> None:
    error = await refusal(save_site(site, name="workloads/other"))

    assert [fault.field for fault in error.violations] == ["workload.name"]


async def test_editing_the_profile_alone_asks_no_engine_and_derives_nothing(saved: Plane) -> None:
    for engine in saved.engines_started:
        await saved.unregister(engine.instance)
    before = await saved.contents()

    edited = site_workload(slo=workload_pb2.ServiceLevel(success=0.95))
    changed = await update(saved, edited)

    assert changed.slo.success == 0.95
    after = await saved.contents()
    different = {key for key in after if after[key] != before.get(key) and "/audit/" not in key}
    assert different == {keys.workload("site")}
