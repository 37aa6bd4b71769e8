"""The engine of twenty lines from `examples/` runs in a chain, beside a shipped engine, as its page says."""

import asyncio
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from enchain.chains.values import to_python_map
from enchain.cli.documents import save
from enchain.cli.kinds import parse
from enchain.cli.yamlfile import read
from enchain.client import Client
from tests.e2e.conftest import ROOT, House
from tests.harness.waiting import eventually

GREETING = """
kind: Workload
name: greeting
inputs: {name: string}
steps:
- name: greet
  by:
    hello: {name: "${inputs.name}"}
- name: serve
  by:
    process:
      run: [python3, -m, http.server, "${port}", --bind, 127.0.0.1]
      files: {index.html: "${steps.greet.outputs.file}"}
outputs: {file: "${steps.greet.outputs.file}", url: "${steps.serve.outputs.url}"}
"""


@pytest.fixture
async def hello(house: House, tmp_path: Path) -> AsyncIterator[Path]:
    """The example as a process of its own, registered in the running enchain."""
    ready = tmp_path / "ready.json"
    process = subprocess.Popen(  # noqa: ASYNC220 - started once, and waited for below
        [sys.executable, str(ROOT / "examples" / "hello_engine.py"),
         "--etcd", house.cluster.etcd.address, "--ready-file", str(ready),
         "--scope", str(tmp_path / "scope"), "--artifacts", str(house.cluster.layout.artifacts)],
        stdin=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        await eventually(ready.exists, within=30)
        yield tmp_path / "scope"
    finally:
        process.terminate()
        await asyncio.to_thread(process.wait)


async def test_an_engine_of_twenty_lines_runs_in_a_chain(client: Client, hello: Path) -> None:
    for document in read(Path("greeting.yaml"), GREETING):
        await save(client, parse(document), dry_run=False)

    async for _ in client.provision("greeting", {"name": "$(whoami)"}, resource_id="greeted"):
        pass
    resource = await client.get_resource("greeted")
    outputs = to_python_map(resource.outputs)
    greeting = Path(outputs["file"])
    assert greeting.is_relative_to(hello)
    assert await asyncio.to_thread(greeting.read_text) == "hello $(whoami)\n"
    assert [step.engine for step in resource.steps] == ["hello", "process"]

    async for _ in client.deprovision("greeted"):
        pass
    assert not await asyncio.to_thread(greeting.exists)
