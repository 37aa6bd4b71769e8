"""Named chains: saved, listed and deleted, over gRPC and on real etcd."""

from typing import Any

import pytest

from enchain.chains.errors import (
    ConflictError,
    InvalidArgumentError,
    NotFoundError,
    PreconditionError,
)
from enchain.v1 import (
    chain_pb2,
)
from tests.harness.controlplane import FILES, Plane, refusal
from tests.harness.site import (
    PARENT,
    VIA,
    create_chain,
    edit_site,
    get_chain,
    routed_to,
    switch,
)


async def delete_chain(plane: Plane, name: str, **fields: Any) -> Any:
    return await plane.chains.DeleteChain(chain_pb2.DeleteChainRequest(name=name, **fields))


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
    await edit_site(saved)

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


# --- deleting chains


async def test_a_chain_that_nobody_needs_is_deleted_with_all_its_revisions(saved: Plane) -> None:
    await delete_chain(saved, VIA)

    assert isinstance(await refusal(get_chain(saved, "via-files")), NotFoundError)


async def test_one_revision_is_deleted_alone(saved: Plane) -> None:
    older = await get_chain(saved, "via-files")
    await edit_site(saved)

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
