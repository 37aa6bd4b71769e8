"""What is wrong with a workload or a list request is refused with its place, and nothing is written."""

from typing import Any

import grpc
import pytest

from enchain.v1 import chain_pb2, workload_pb2
from tests.harness.controlplane import Plane, refusal
from tests.harness.site import create_chain, save_site, site_workload


def missing_step() -> workload_pb2.Workload:
    workload = site_workload()
    del workload.steps[1].implementations[:]
    return workload


def later_step() -> workload_pb2.Workload:
    workload = site_workload()
    workload.steps[0].implementations[0].inputs["name"].string_value = "${steps.serve.outputs.url}"
    return workload


def unknown_version() -> workload_pb2.Workload:
    workload = site_workload()
    workload.steps[0].implementations[0].version = "9.9"
    return workload


def unknown_engine() -> workload_pb2.Workload:
    workload = site_workload()
    workload.steps[0].implementations[0].engine = "nowhere"
    return workload


def unknown_input() -> workload_pb2.Workload:
    workload = site_workload()
    workload.steps[0].implementations[0].inputs["colour"].string_value = "red"
    return workload


def unknown_output() -> workload_pb2.Workload:
    workload = site_workload()
    workload.outputs["more"].string_value = "${steps.serve.outputs.colour}"
    return workload


def unknown_artifact() -> workload_pb2.Workload:
    workload = site_workload()
    workload.steps[0].implementations[0].artifacts["module"].digest = "sha256:" + "0" * 64
    return workload


def too_large() -> workload_pb2.Workload:
    workload = site_workload()
    workload.steps[0].implementations[0].inputs["name"].string_value = "x" * 70_000
    return workload


REFUSED = [
    (missing_step, "INVALID_ARGUMENT", "MISSING_IMPLEMENTATION", "steps[1].implementations"),
    (later_step, "INVALID_ARGUMENT", None, "steps[0].implementations[0].inputs.name"),
    (unknown_version, "FAILED_PRECONDITION", "NO_ENGINE_INSTANCE", "steps[0].implementations[0]"),
    (unknown_engine, "FAILED_PRECONDITION", "NO_ENGINE_INSTANCE", "steps[0].implementations[0]"),
    (unknown_input, "INVALID_ARGUMENT", None, "steps[0].implementations[0].inputs.colour"),
    (unknown_output, "INVALID_ARGUMENT", None, "outputs.more"),
    (
        unknown_artifact,
        "NOT_FOUND",
        "ARTIFACT_NOT_FOUND",
        "steps[0].implementations[0].artifacts.module",
    ),
    (too_large, "RESOURCE_EXHAUSTED", "VALUE_TOO_LARGE", None),
]


@pytest.mark.parametrize(("make", "code", "reason", "field"), REFUSED)
async def test_what_is_wrong_is_refused_with_its_place_and_nothing_is_written(
    site: Plane, make: Any, code: str, reason: str | None, field: str | None
) -> None:
    before = await site.contents()

    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await site.workloads.CreateWorkload(
            workload_pb2.CreateWorkloadRequest(workload_id="site", workload=make())
        )

    assert caught.value.code().name == code
    error = await refusal(
        site.workloads.CreateWorkload(workload_pb2.CreateWorkloadRequest(workload_id="site", workload=make()))
    )
    assert reason in (None, error.reason)
    assert field is None or field in [fault.field for fault in error.violations]
    assert await site.contents() == before


async def test_workloads_come_in_pages_that_stay_whole_while_others_come_and_go(site: Plane) -> None:
    names = [f"w{i}" for i in range(5)]
    for name in names:
        await site.workloads.CreateWorkload(
            workload_pb2.CreateWorkloadRequest(workload_id=name, workload=site_workload())
        )
    first = await site.workloads.ListWorkloads(workload_pb2.ListWorkloadsRequest(page_size=2))
    await site.workloads.DeleteWorkload(workload_pb2.DeleteWorkloadRequest(name="workloads/w0"))
    await site.workloads.CreateWorkload(
        workload_pb2.CreateWorkloadRequest(workload_id="a-new", workload=site_workload())
    )

    rest = await site.workloads.ListWorkloads(
        workload_pb2.ListWorkloadsRequest(page_size=9, page_token=first.next_page_token)
    )

    assert [each.name for each in first.workloads] == ["workloads/w0", "workloads/w1"]
    assert [each.name for each in rest.workloads] == ["workloads/w2", "workloads/w3", "workloads/w4"]
    assert rest.next_page_token == ""


async def test_a_page_token_of_another_list_is_refused(site: Plane) -> None:
    await save_site(site)
    await create_chain(site, "via-files", {"serve": "files"})
    chains = await site.chains.ListChains(chain_pb2.ListChainsRequest(parent="workloads/site", page_size=1))

    error = await refusal(
        site.workloads.ListWorkloads(workload_pb2.ListWorkloadsRequest(page_token=chains.next_page_token))
    )

    assert chains.next_page_token
    assert [fault.field for fault in error.violations] == ["page_token"]
