"""Experiments whose engines must be started first enrol nobody before they are ready, on real engines."""

import asyncio
import os
import sys
from collections.abc import Awaitable, Callable
from datetime import timedelta
from functools import partial
from pathlib import Path

import pytest

from controlplane.loops.experiments import ExperimentRounds
from controlplane.switching.health import Handshakes
from enchain.engines.script.engine import ScriptEngine
from enchain.process.clock import SystemClock
from enchain.state import keys
from enchain.state.codec import decode, encode
from enchain.state.store import Put, put
from enchain.v1 import chain_pb2, experiment_pb2
from tests.harness.gated_engines import EngineScope, GatedInstance
from tests.harness.pools import launches, ready, save_engine, states
from tests.harness.replicas import Replica, Replicas, leading
from tests.harness.sites_on_trial import NAME, Experiment
from tests.harness.trials import WITHIN, Trial, looking, requests_came
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


def look(trial: Trial) -> Awaitable[None]:
    """Look at experiments once, as a leader does."""
    return ExperimentRounds(trial.store, Handshakes(), SystemClock()).round()


def instance(number: int) -> GatedInstance:
    """An instance of the rival's engine that somebody else has started."""
    scope = EngineScope("script", "script")
    return GatedInstance(scope, f"script-{number}", capacity=2, version=ScriptEngine.version)


async def test_an_instance_that_is_registered_and_does_not_answer_is_none(trial: Trial) -> None:
    await save_engine(trial.store, SCRIPT, name="script")
    await trial.start()
    ghost, real = instance(1), instance(2)
    ghost.message.address = "127.0.0.1:1"
    await put(trial.store, [Put(keys.instance("script", "script-1"), encode(ghost.message))])

    await look(trial)
    waiting = await trial.read()
    await real.start(trial.store)
    await look(trial)
    running = await trial.read()
    await real.kill(trial.store)

    assert waiting.state == Experiment.STATE_WARMING
    assert running.state == Experiment.STATE_RUNNING


async def test_a_route_that_was_pinned_meanwhile_stays_and_the_draft_says_so(trial: Trial) -> None:
    await save_engine(trial.store, SCRIPT, name="script")
    await trial.start()
    item = await trial.store.get(keys.route("site"))
    assert item is not None
    pinned = decode(chain_pb2.Route, item.value)
    pinned.pin.reason = "audit week"
    await put(trial.store, [Put(item.key, encode(pinned))])
    real = instance(1)
    await real.start(trial.store)

    await look(trial)
    await real.kill(trial.store)

    draft = await trial.read()
    assert (draft.state, draft.warming.reason) == (Experiment.STATE_DRAFT, "ROUTE_PINNED")
    assert "audit week" in draft.warming.fault
    assert draft.history[-1].kind == "NOT_STARTED"


async def test_fewer_instances_than_an_arm_needs_are_waited_for_and_do_until_the_time_is_up(
    trial: Trial,
) -> None:
    # A quarter of 20 at once for the rival, of which an instance does 1.8: 3.
    await requests_came(trial.store, 20)
    await save_engine(trial.store, SCRIPT, name="script")
    real = instance(1)
    await real.start(trial.store)

    begun = await trial.start(warm_timeout=timedelta(days=1))
    await look(trial)
    waiting = await trial.read()
    waiting.warming.deadline.GetCurrentTime()
    key = keys.experiment("site", "ab")
    await put(trial.store, [Put(key, encode(waiting))])
    await look(trial)
    running = await trial.read()
    await real.kill(trial.store)

    assert begun.state == waiting.state == Experiment.STATE_WARMING
    assert list(begun.warming.waiting) == [f"script {ScriptEngine.version}: 1 of 3 ready"]
    assert running.state == Experiment.STATE_RUNNING


GATED = """
import os, sys
with open(sys.argv[1]) as gate:
    gate.read()
os.execvp(sys.argv[2], sys.argv[2:])
"""


async def stored(machine: Machine) -> bool:
    """It is written down that the experiment warms; perhaps nobody has acted on it yet."""
    return await machine.store.get(keys.experiment("site", "ab")) is not None


async def launching(machine: Machine) -> bool:
    """The rival's instance is started, and does not come up yet."""
    return bool(machine.programs.running())


async def registered(machine: Machine) -> bool:
    """The rival's instance is there, and the experiment is about to run, if it does not already."""
    return bool(await ready(machine.store, "script"))


@pytest.mark.parametrize(
    "moment",
    [
        pytest.param(stored, marks=pytest.mark.exhaustive),
        launching,
        pytest.param(registered, marks=pytest.mark.exhaustive),
    ],
)
async def test_the_next_leader_goes_on_with_an_experiment_that_warms(
    machine: Machine,
    trial: Trial,
    replicas: Replicas,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    moment: Callable[[Machine], Awaitable[bool]],
) -> None:
    monkeypatch.setenv("ENCHAIN_EXPERIMENTS_SECONDS", "0.2")
    gate = tmp_path / "gate"
    os.mkfifo(gate)
    await save_engine(machine.store, [sys.executable, "-c", GATED, str(gate), *SCRIPT], name="script")
    running: dict[str, Replica] = {name: await replicas.start(name) for name in ("one", "two")}
    first = await eventually(partial(leading, machine.store), within=WITHIN)
    await trial.start()
    opened = asyncio.to_thread(gate.write_text, "open")
    if moment is registered:
        await asyncio.wait_for(opened, WITHIN)
    await eventually(partial(moment, machine), within=WITHIN)

    await running.pop(first).kill()

    async def taken_over() -> bool:
        return await leading(machine.store) in running

    await eventually(taken_over, within=WITHIN)
    if moment is not registered:
        assert (await trial.read()).state == Experiment.STATE_WARMING
        await asyncio.wait_for(opened, WITHIN)
    made = await trial.until(Experiment.STATE_RUNNING)

    assert [each.kind for each in made.history] == ["CREATED", "WARMING", "STARTED"]
    assert await states(machine.store, "script") == ["READY"], "nothing was started twice"
