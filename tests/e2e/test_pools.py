"""A whole enchain that starts with no engine at all: a document with a command is enough."""

import contextlib
from pathlib import Path

import pytest

from enchain.chains.errors import PreconditionError
from enchain.cli.documents import save
from enchain.cli.kinds import parse
from enchain.cli.yamlfile import read
from enchain.client import Client
from enchain.dev.cluster import Cluster
from enchain.dev.plan import Layout
from enchain.process.detached import Detached
from enchain.v1 import chain_pb2, operation_pb2, pool_pb2
from tests.harness.waiting import eventually

WITHIN = 60

ENGINE = """
{kind: Engine, name: process, launch: {process: [enchain-engine-process]}, pool: {min: 1, max: 3}}
"""

WORKLOAD = """
kind: Workload
name: page
inputs: {name: string}
steps:
- name: serve
  by:
    process:
      run: [python3, -m, http.server, "${port}", --bind, 127.0.0.1]
      files: {index.html: "${inputs.name}"}
outputs: {url: "${steps.serve.outputs.url}"}
"""


TWO_WAYS = """
{kind: Engine, name: process, launch: {process: [enchain-engine-process]}, pool: {min: 0, max: 3}}
---
kind: Workload
name: page
inputs: {name: string}
steps:
- name: serve
  by:
    process:
      run: [python3, -m, http.server, "${port}", --bind, 127.0.0.1]
      files: {index.html: "${inputs.name}"}
    terraform: {module: ./nothing}
---
{kind: Chain, workload: page, name: by-terraform, use: {serve: terraform}}
"""


async def apply(client: Client, text: str, file: Path = Path("documents.yaml")) -> None:
    for document in read(file, text):
        await save(client, parse(document), dry_run=False)


async def pool(client: Client) -> pool_pb2.Pool:
    return await client.pools.GetPool(pool_pb2.GetPoolRequest(name="engines/process/pools/-"))


async def test_a_document_with_a_command_is_all_that_an_engine_needs(tmp_path: Path) -> None:
    layout = Layout(
        tmp_path / "data", "127.0.0.1:0", routers=["127.0.0.1:0"], terraform=0, process=0, lease_seconds=5
    )
    programs = Detached(layout.launches)
    async with (
        Cluster(layout) as cluster,
        Client(control=cluster.control, routers=cluster.routers, patience_seconds=30) as client,
    ):
        await apply(client, ENGINE)

        async def one_is_ready() -> bool:
            return (await pool(client)).ready == 1

        with contextlib.suppress(AssertionError):
            await eventually(one_is_ready, within=WITHIN)
        told = await pool(client)
        assert (told.ready, told.wanted_reason) == (1, "the engine's pool.min is 1"), told.problem

        await apply(client, WORKLOAD)
        async for _ in client.provision("page", {"name": "hello"}, resource_id="hello"):
            pass
        assert (await client.get_resource("hello")).state == operation_pb2.Resource.STATE_READY
        told = await pool(client)
        assert (told.floor, told.floor_reason) == (1, "routes of page lead to it")
        async for _ in client.deprovision("hello"):
            pass

        with pytest.raises(PreconditionError):  # who may not have the folder ends nothing in it
            await Cluster(layout).__aenter__()
        assert len(programs.running()) == 1

    assert programs.running() == {}, "instances without their etcd are left behind"


async def test_what_only_resources_need_goes_to_none_and_is_started_on_demand(tmp_path: Path) -> None:
    layout = Layout(
        tmp_path / "data", "127.0.0.1:0", routers=["127.0.0.1:0"], terraform=1, process=0, lease_seconds=5
    )
    (tmp_path / "nothing").mkdir()
    (tmp_path / "nothing" / "main.tf").write_text('resource "terraform_data" "nothing" {}\n')
    async with (
        Cluster(layout) as cluster,
        Client(control=cluster.control, routers=cluster.routers, patience_seconds=30) as client,
    ):
        await apply(client, TWO_WAYS.split("---", maxsplit=1)[0])
        await scale(client, 1)
        await eventually(lambda: _ready(client, 1), within=WITHIN)
        await apply(client, TWO_WAYS, tmp_path / "documents.yaml")
        async for _ in client.provision("page", {"name": "hello"}, resource_id="hello"):
            pass
        await scale(client, 0)
        assert (await pool(client)).wanted == 1, "the route leads to it"

        await switch(client, "by-terraform")
        await eventually(lambda: _ready(client, 0), within=WITHIN)
        async for _ in client.deprovision("hello"):
            pass

        assert [each.name async for each in client.list_resources()] == []
        await eventually(lambda: _ready(client, 0), within=WITHIN)


async def scale(client: Client, count: int) -> None:
    wanted = pool_pb2.Pool(name="engines/process/pools/-", target=count)
    await client.pools.UpdatePool(pool_pb2.UpdatePoolRequest(pool=wanted))


async def switch(client: Client, chain: str) -> None:
    await client.chains.SwitchChain(
        chain_pb2.SwitchChainRequest(name="workloads/page/route", chain=f"workloads/page/chains/{chain}")
    )


async def _ready(client: Client, count: int) -> bool:
    told = await pool(client)
    return told.ready == count and not told.draining
