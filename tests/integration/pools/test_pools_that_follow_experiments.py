"""Pools follow what experiments send to arms, ahead of a ramp and down again, on real engines."""

from random import Random

from controlplane.loops.switching import SwitchingLoop
from controlplane.switching.health import Handshakes
from controlplane.switching.states import is_end
from enchain.chains.decision_names import arms_of
from enchain.engines.script.engine import ScriptEngine
from enchain.process.clock import SystemClock
from enchain.process.lifecycle import Tasks
from enchain.state import keys
from enchain.state.codec import decode
from enchain.state.store import Store
from enchain.v1 import chain_pb2, experiment_pb2
from tests.harness.pools import pools, ready, save_engine
from tests.harness.sites_on_trial import NAME, Experiment
from tests.harness.trials import WITHIN, Trial, looking, requests_came
from tests.harness.waiting import eventually
from tests.integration.pools.conftest import Machine

POOL = f"script@{ScriptEngine.version}"
ARMS = arms_of("workloads/site")
A_MINUTE = 20
"""Provisions, each thought to take a minute at an engine that nobody has measured: 20 at once."""

PROMOTED_MINUTE = 5
"""A quarter of these is 1.25 at once, which one instance does; all of them are 5, which take three."""


async def asked(machine: Machine) -> float:
    """Answer what the arms ask of the rival's pool."""
    return (await pools(machine.store))[POOL].demands.get(ARMS, 0.0)


async def come(machine: Machine, count: int) -> None:
    async def there() -> bool:
        told = await ready(machine.store, "script")
        assert len(told) == count, f"the arms ask for {await asked(machine)}"
        return len(machine.programs.running()) == count

    await eventually(there, within=WITHIN)


async def test_the_arms_pool_is_ahead_of_the_ramp_and_goes_with_the_experiment(
    machine: Machine, trial: Trial
) -> None:
    await save_engine(machine.store, ["enchain-engine-script"], name="script")
    await requests_came(machine.store, A_MINUTE)
    draft = await trial.read()
    draft.ramp.steps.extend([10, 40, 100])
    await trial.stub.UpdateExperiment(experiment_pb2.UpdateExperimentRequest(experiment=draft))
    machine.lead(ENCHAIN_LAUNCH_CAPACITY="2")

    async with looking(machine.store):
        await trial.start()
        running = await trial.until(Experiment.STATE_RUNNING)
        # Half of half the requests of the layer's half at 40 %, which comes next: 2 at once, places for 1.8.
        begun_with = len(await ready(machine.store, "script"))
        await come(machine, 2)
        ahead = await asked(machine)
        whole = experiment_pb2.SetCoverageRequest(name=NAME, coverage=100)
        await trial.stub.SetCoverage(whole)
        await come(machine, 3)
        most = await asked(machine)
        await trial.stub.PauseExperiment(experiment_pb2.PauseExperimentRequest(name=NAME))
        await come(machine, 1)
        paused = await asked(machine)
        await trial.stub.ConcludeExperiment(experiment_pb2.ConcludeExperimentRequest(name=NAME))
        await come(machine, 0)

    assert running.phases[0].coverage == 10
    assert begun_with == 2, "nobody was enrolled before the arm had what its part needs"
    assert (ahead, most, paused) == (2, 3, 0)


async def test_a_promoted_arm_has_what_all_requests_need_before_it_gets_them_and_keeps_it(
    machine: Machine, trial: Trial
) -> None:
    await save_engine(machine.store, ["enchain-engine-script"], name="script")
    await requests_came(machine.store, PROMOTED_MINUTE)
    machine.lead(ENCHAIN_LAUNCH_CAPACITY="2")
    switching = SwitchingLoop(Handshakes(), clock=SystemClock(), rng=Random(0), look_seconds=0.1)

    async with looking(machine.store), Tasks() as tasks:
        tasks.start("carry switches out", switching.run(machine.store))
        await trial.start()
        await trial.until(Experiment.STATE_RUNNING)
        await come(machine, 1)
        winner = experiment_pb2.ConcludeExperimentRequest(name=NAME, winner="rival", promote=True)
        ended = await trial.stub.ConcludeExperiment(winner)
        switch = await over(machine.store, ended.conclusion.chain_switch)
        await come(machine, 3)

        async def own_alone() -> bool:
            return dict((await pools(machine.store))[POOL].demands) == {"workloads/site": 3}

        await eventually(own_alone, within=WITHIN)

    assert switch.state == switch.STATE_DONE
    # Warming comes before the route is moved.
    assert switch.STATE_WARMING in [phase.state for phase in switch.phases]
    assert [(each.engine, each.count) for each in switch.impact.launched] == [("script", 2)]


async def over(store: Store, name: str) -> chain_pb2.ChainSwitch:
    """Wait until a switch has ended."""
    key = keys.chain_switch("site", name.rpartition("/")[2])

    async def check() -> list[chain_pb2.ChainSwitch]:
        item = await store.get(key)
        assert item is not None
        found = decode(chain_pb2.ChainSwitch, item.value)
        return [found] if is_end(found.state) else []

    return (await eventually(check, within=WITHIN))[0]
