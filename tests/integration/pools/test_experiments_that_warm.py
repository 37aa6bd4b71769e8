"""Experiments whose engines must be started first enrol nobody before they are ready, on real engines."""

import asyncio
import os
import sys
from datetime import timedelta
from functools import partial
from pathlib import Path

import pytest

from enchain.engines.script.engine import ScriptEngine
from enchain.v1 import experiment_pb2
from tests.harness.pools import launches, save_engine, states
from tests.harness.replicas import Replica, Replicas, leading
from tests.harness.sites_on_trial import NAME, Experiment
from tests.harness.trials import WITHIN, Trial, looking
from tests.harness.waiting import eventually
from tests.integration.pools.conftest import Machine

SCRIPT = ["enchain-engine-script"]


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
