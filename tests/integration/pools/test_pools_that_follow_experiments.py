"""Pools follow what experiments send to arms, ahead of a ramp and down again, on real engines."""

from enchain.chains.decision_names import arms_of
from enchain.engines.script.engine import ScriptEngine
from enchain.v1 import experiment_pb2
from tests.harness.pools import pools, ready, save_engine
from tests.harness.sites_on_trial import NAME, Experiment
from tests.harness.trials import WITHIN, Trial, looking, requests_came
from tests.harness.waiting import eventually
from tests.integration.pools.conftest import Machine

POOL = f"script@{ScriptEngine.version}"
ARMS = arms_of("workloads/site")
A_MINUTE = 20
"""Provisions, each thought to take a minute at an engine that nobody has measured: 20 at once."""


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
