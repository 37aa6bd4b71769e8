"""What the demonstration runs on: one workload with three chains, and two experiments with them.

The control of both is the chain `default`, by a script. `playbook` tries Ansible, whose playbook is broken
for one page in three; `press` tries an engine that does the same in less time.
"""

import asyncio
import sys
from pathlib import Path

from enchain.cli.documents import load, save
from enchain.cli.kinds import Parsed
from enchain.client import Client
from enchain.v1 import engine_pb2

WORKLOAD = "workloads/page"
HERE = Path(__file__).parent

PATIENCE_SECONDS = 60.0
POLL_SECONDS = 0.1


def press() -> engine_pb2.Engine:
    """Answer the document of the engine that the control plane starts."""
    command = [sys.executable, str(HERE / "press.py"), "--capacity", "16"]
    return engine_pb2.Engine(
        name="engines/press",
        launch=engine_pb2.Launch(process=command),
        pool=engine_pb2.PoolBounds(min=1, max=1),
    )


def experiment(identifier: str) -> Parsed:
    """Answer the document of an experiment: `playbook`, which must be stopped, or `press`, to be promoted."""
    found = load([HERE / "experiments.yaml"])
    return next(each for each in found if each.name == f"{WORKLOAD}/experiments/{identifier}")


async def furnish(client: Client) -> list[str]:
    """Save the engine, wait for its instance, save workload and chains; answer a line for each."""
    request = engine_pb2.CreateEngineRequest(engine_id="press", engine=press())
    await client.engines.CreateEngine(request)
    await _until_ready(client, "press")
    saved = [await save(client, item, dry_run=False) for item in load([HERE / "workload.yaml"])]
    return [f"{each.what} {each.kind} {each.name}" for each in saved]


async def _until_ready(client: Client, engine: str) -> None:
    request = engine_pb2.ListEngineInstancesRequest(parent=f"engines/{engine}")
    async with asyncio.timeout(PATIENCE_SECONDS):
        while True:
            found = await client.engines.ListEngineInstances(request)
            if any(each.state == engine_pb2.EngineInstance.STATE_READY for each in found.engine_instances):
                return
            await asyncio.sleep(POLL_SECONDS)
