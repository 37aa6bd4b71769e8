"""What the demonstration runs on: one workload with three chains, and two experiments with them.

The control of both is the chain `default`, by a script. `playbook` tries Ansible, whose playbook is broken
for one page in three; `press` tries an engine that does the same in less time.
"""

import asyncio
import sys
from pathlib import Path

from google.protobuf.duration_pb2 import Duration

from enchain.cli.documents import load, save
from enchain.client import Client
from enchain.v1 import engine_pb2, experiment_pb2

WORKLOAD = "workloads/page"
CONTROL = "script"
"""The arm of today's chain."""

HERE = Path(__file__).parent

PATIENCE_SECONDS = 60.0
POLL_SECONDS = 0.1

_LOWER = experiment_pb2.ExperimentMetric.BETTER_LOWER


def press() -> engine_pb2.Engine:
    """Answer the document of the engine that the control plane starts."""
    command = [sys.executable, str(HERE / "press.py"), "--capacity", "16"]
    return engine_pb2.Engine(
        name="engines/press",
        launch=engine_pb2.Launch(process=command),
        pool=engine_pb2.PoolBounds(min=1, max=1),
    )


def playbook_experiment() -> experiment_pb2.Experiment:
    """Answer the experiment that must be stopped: a ramp of three steps, guarded by default."""
    return experiment_pb2.Experiment(
        description="Does Ansible write our pages more reliably?",
        arms=_arms("playbook", "by-playbook"),
        ramp=experiment_pb2.Ramp(steps=[50, 75, 100], hold=Duration(seconds=30), operations=80),
        goal=experiment_pb2.ExperimentMetric(metric="success"),
        on_guardrail=experiment_pb2.Experiment.ON_GUARDRAIL_ROLL_BACK,
    )


def press_experiment() -> experiment_pb2.Experiment:
    """Answer the experiment that must be promoted."""
    return experiment_pb2.Experiment(
        description="Is the press as quick as they say?",
        arms=_arms("press", "by-press"),
        ramp=experiment_pb2.Ramp(steps=[40, 100], hold=Duration(seconds=5), operations=15),
        goal=experiment_pb2.ExperimentMetric(metric="time", better=_LOWER),
        metrics=[experiment_pb2.ExperimentMetric(metric="p95_time", better=_LOWER)],
        on_conclusion=experiment_pb2.Experiment.ON_CONCLUSION_PROMOTE,
    )


def _arms(name: str, chain: str) -> list[experiment_pb2.Arm]:
    return [
        experiment_pb2.Arm(name=CONTROL, chain=f"{WORKLOAD}/chains/default", weight=50),
        experiment_pb2.Arm(name=name, chain=f"{WORKLOAD}/chains/{chain}", weight=50),
    ]


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
