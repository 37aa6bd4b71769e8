"""Deleting workloads, over gRPC and on real etcd."""

from typing import Any

import grpc
import pytest

from enchain.chains.errors import ConflictError, EnchainError, NotFoundError, PreconditionError
from enchain.process.statuses import from_rpc_error
from enchain.state import keys
from enchain.v1 import workload_pb2
from tests.harness.controlplane import Plane
from tests.harness.site import create_chain, get_chain, get_route, save_site, site_workload, update


async def delete(plane: Plane, **fields: Any) -> EnchainError | None:
    try:
        await plane.workloads.DeleteWorkload(
            workload_pb2.DeleteWorkloadRequest(name="workloads/site", **fields)
        )
    except grpc.aio.AioRpcError as error:
        return from_rpc_error(error)
    return None


async def test_deleting_a_workload_takes_chains_and_route_with_it(site: Plane) -> None:
    saved = await save_site(site)
    await create_chain(site, "via-files", {"serve": "files"})

    assert await delete(site, etag=saved.etag) is None

    left = [key for key in await site.contents() if "/live/" not in key and "/audit/" not in key]
    assert left == []


@pytest.mark.parametrize("kind", ["resource", "operation"])
async def test_a_workload_that_is_in_use_is_not_deleted(site: Plane, kind: str) -> None:
    await save_site(site)
    chain = (await get_chain(site)).name
    if kind == "resource":
        await site.put_resource("r1", chain)
    else:
        await site.put_active("01J0000000000000000000000A", chain)
    before = await site.contents()

    error = await delete(site)

    assert isinstance(error, PreconditionError)
    assert error.reason == "IN_USE"
    assert await site.contents() == before


async def test_resources_of_other_workloads_are_no_hindrance(site: Plane) -> None:
    await save_site(site)
    await site.put_resource("r1", "workloads/sites/chains/default@abc", workload="workloads/sites")

    assert await delete(site) is None


async def test_a_deletion_with_a_stale_etag_or_only_tried_deletes_nothing(site: Plane) -> None:
    await save_site(site)
    before = await site.contents()

    error = await delete(site, etag="stale")
    assert await delete(site, validate_only=True) is None

    assert isinstance(error, ConflictError)
    assert await site.contents() == before


async def test_deleting_what_does_not_exist_is_an_error(site: Plane) -> None:
    assert isinstance(await delete(site), NotFoundError)


async def test_a_workload_without_a_route_is_deleted_or_saved_to_the_end(site: Plane) -> None:
    await save_site(site)
    await site.delete_key(keys.route("site"))

    await update(site, site_workload())
    assert (await get_route(site)).shares[0].chain == (await get_chain(site)).name

    await site.delete_key(keys.route("site"))
    assert await delete(site) is None
