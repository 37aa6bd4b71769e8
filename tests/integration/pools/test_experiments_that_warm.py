"""Experiments whose engines must be started first enrol nobody before they are ready, on real engines."""

import asyncio
import os
import sys
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, replace
from datetime import timedelta
from functools import partial
from pathlib import Path
from random import Random
from typing import Any

import pytest

from controlplane.loops.experiments import ExperimentsLoop
from controlplane.switching.health import Handshakes
from enchain.chains.names import ChainName
from enchain.engines.script.engine import ScriptEngine
from enchain.process.clock import SystemClock
from enchain.process.lifecycle import Tasks
from enchain.state import keys
from enchain.state.codec import decode
from enchain.state.store import Store
from enchain.v1 import chain_pb2, experiment_pb2
from tests.harness.gated_engines import EngineScope, GatedInstance
from tests.harness.pools import launches, save_engine, states
from tests.harness.replicas import Replica, Replicas, leading
from tests.harness.routers import put_chain, site_chain
from tests.harness.sites_on_trial import NAME, Experiment, experiment_service, put_workload, two_arms
from tests.harness.waiting import eventually
from tests.integration.pools.conftest import Machine

SCRIPT = ["enchain-engine-script"]
WITHIN = 60


@dataclass
class Trial:
    """A site whose control is served, and a rival whose engine nobody has started.

    Attributes:
        store: Where all lies.
        stub: A client of experiments.
        rival: Its chain.
    """

    store: Store
    stub: Any
    rival: str

    async def start(self, **fields: Any) -> Experiment:
        """Start the experiment."""
        answer: Experiment = await self.stub.StartExperiment(
            experiment_pb2.StartExperimentRequest(name=NAME, **fields)
        )
        return answer

    async def read(self) -> Experiment:
        """Read the experiment."""
        answer: Experiment = await self.stub.GetExperiment(experiment_pb2.GetExperimentRequest(name=NAME))
        return answer

    async def until(self, state: Experiment.State.ValueType) -> Experiment:
        """Wait until the experiment is in a state."""

        async def check() -> list[Experiment]:
            found = await self.read()
            return [found] if found.state == state else []

        return (await eventually(check, within=WITHIN))[0]

    async def routed(self) -> list[str]:
        """Answer the experiments that the route names."""
        item = await self.store.get(keys.route("site"))
        assert item is not None
        return list(decode(chain_pb2.Route, item.value).experiments)

    async def owners(self) -> list[str]:
        """Answer who has a part of the layer."""
        item = await self.store.get(keys.layer("checkout"))
        assert item is not None
        return [each.experiment for each in decode(experiment_pb2.Layer, item.value).reservations]


@pytest.fixture
async def trial(machine: Machine, tmp_path: Path) -> AsyncIterator[Trial]:
    store = machine.store
    async with AsyncExitStack() as stack:
        for engine in ("terraform", "process"):
            instance = GatedInstance(EngineScope(engine, engine), f"{engine}-1")
            await instance.start(store)
            stack.push_async_callback(instance.kill, store)
        rival = site_chain(engine="script")
        rival.steps[0].version = ScriptEngine.version
        name = await put_chain(store, rival, chain_id="other")
        old = await put_chain(store, site_chain())
        await put_workload(store)
        stub = await stack.enter_async_context(experiment_service(store, tmp_path))
        layer = experiment_pb2.LayerRange(layer="layers/checkout", start=0, end=500)
        made = two_arms([old, str(replace(ChainName.parse(name), revision=""))], layer=layer)
        await stub.CreateExperiment(
            experiment_pb2.CreateExperimentRequest(
                parent="workloads/site", experiment_id="ab", experiment=made
            )
        )
        yield Trial(store, stub, name)


@asynccontextmanager
async def looking(store: Store) -> AsyncIterator[None]:
    """Look at experiments, as a leader does."""
    loop = ExperimentsLoop(Handshakes(), clock=SystemClock(), rng=Random(0), look_seconds=0.2)
    async with Tasks() as tasks:
        tasks.start("look at experiments", loop.run(store))
        yield


async def test_nobody_is_enrolled_before_the_engine_of_an_arm_is_ready(
    machine: Machine, trial: Trial
) -> None:
    await save_engine(machine.store, SCRIPT, name="script")

    begun = await trial.start()
    key = experiment_pb2.AssignArmRequest(name=NAME, key="somebody")
    assigned = await trial.stub.AssignArm(key)
    told = await trial.stub.GetAnalysis(experiment_pb2.GetAnalysisRequest(name=NAME))

    assert begun.state == Experiment.STATE_WARMING
    assert list(begun.warming.waiting) == [f"script {ScriptEngine.version}: 0 of 1 ready"]
    assert (assigned.arm, assigned.reason) == ("", "NOT_RUNNING")
    assert "warming until" in told.advice
    assert "script" in told.advice
    assert begun.arms[1].chain == trial.rival, "what is warmed for is what will run"
    assert (await trial.routed(), await trial.owners()) == ([NAME], [NAME])
    assert (await trial.start()) == begun, "starting it again changes nothing"
    assert not await launches(machine.store, "script"), "nobody leads yet"

    machine.lead()
    async with looking(machine.store):
        running = await trial.until(Experiment.STATE_RUNNING)

    assert await states(machine.store, "script") == ["READY"]
    assert [each.kind for each in running.history] == ["CREATED", "WARMING", "STARTED"]
    assert not running.HasField("warming")
    assert running.phases[0].start_time.ToDatetime() > begun.warming.start_time.ToDatetime()
    assert running.phases[0].seed == begun.phases[0].seed


async def test_an_engine_that_cannot_start_is_told_and_the_draft_may_be_started_again(
    machine: Machine, trial: Trial
) -> None:
    await save_engine(machine.store, ["enchain-no-such-engine"], name="script")
    written = await trial.read()
    machine.lead()

    async with looking(machine.store):
        begun = await trial.start(warm_timeout=timedelta(seconds=3))
        draft = await trial.until(Experiment.STATE_DRAFT)
        told = await trial.stub.GetAnalysis(experiment_pb2.GetAnalysisRequest(name=NAME))
        left = await trial.routed(), await trial.owners()
        await save_engine(machine.store, SCRIPT, name="script")
        await trial.start()
        running = await trial.until(Experiment.STATE_RUNNING)

    assert begun.state == Experiment.STATE_WARMING
    assert draft.warming.reason == "WARMING_TIMEOUT"
    assert (
        f"script {ScriptEngine.version}: 0 of 1 ready (COMMAND_NOT_FOUND: there is no" in draft.warming.fault
    )
    assert draft.warming.fault in told.advice
    assert list(draft.arms) == list(written.arms), "pinned to nothing again"
    assert left == ([], []), "others may have route and layer"
    kinds = ["CREATED", "WARMING", "NOT_STARTED", "WARMING", "STARTED"]
    assert [each.kind for each in running.history] == kinds


GATED = """
import os, sys
with open(sys.argv[1]) as gate:
    gate.read()
os.execvp(sys.argv[2], sys.argv[2:])
"""


async def test_the_next_leader_goes_on_with_an_experiment_that_warms(
    machine: Machine,
    trial: Trial,
    replicas: Replicas,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("ENCHAIN_EXPERIMENTS_SECONDS", "0.2")
    gate = tmp_path / "gate"
    os.mkfifo(gate)
    await save_engine(machine.store, [sys.executable, "-c", GATED, str(gate), *SCRIPT], name="script")
    running: dict[str, Replica] = {name: await replicas.start(name) for name in ("one", "two")}
    first = await eventually(partial(leading, machine.store), within=WITHIN)
    await trial.start()
    await eventually(machine.programs.running, within=WITHIN)

    await running.pop(first).kill()

    async def taken_over() -> bool:
        return await leading(machine.store) in running

    await eventually(taken_over, within=WITHIN)
    assert (await trial.read()).state == Experiment.STATE_WARMING
    await asyncio.wait_for(asyncio.to_thread(gate.write_text, "open"), WITHIN)
    made = await trial.until(Experiment.STATE_RUNNING)

    assert [each.kind for each in made.history] == ["CREATED", "WARMING", "STARTED"]
    assert await states(machine.store, "script") == ["READY"], "nothing was started twice"
