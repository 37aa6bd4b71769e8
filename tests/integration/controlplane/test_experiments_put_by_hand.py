"""What somebody put under an experiment's key by hand spoils that one, and no other."""

from datetime import datetime, timedelta

import pytest

from controlplane.catalog.pool_needs import Needs
from controlplane.loops.experiments import ExperimentRounds
from controlplane.switching.health import Handshakes
from enchain.process.clock import SystemClock
from enchain.state import keys
from tests.harness.controlplane import Plane, refusal
from tests.harness.experiments import PARENT, Experiment, Experiments, experiment

BY_HAND = {
    f"{keys.EXPERIMENTS}stray": b"{}",
    f"{keys.EXPERIMENTS}site/aa": b"no json",
    f"{keys.EXPERIMENTS}site/empty": b'{"state":"STATE_RUNNING"}',
    f"{keys.EXPERIMENTS}site/no-phase": b'{"arms":[{"chain":"x","name":"a"}],"state":"STATE_RUNNING"}',
}


@pytest.fixture
async def ab(saved: Plane) -> Experiments:
    made = Experiments(saved)
    soon = experiment()
    soon.time_limit.FromTimedelta(timedelta(seconds=1))
    await made.running(soon, "zz")
    for key, value in BY_HAND.items():
        await saved.put_raw(key, value)
    return made


async def test_a_look_at_all_goes_on_to_the_good_ones(ab: Experiments) -> None:
    class Later(SystemClock):
        def now(self) -> datetime:
            return super().now() + timedelta(hours=1)

    await ExperimentRounds(ab.plane.store, Handshakes(), Later()).round()

    ended = await ab.get("zz")
    assert ended.state == Experiment.STATE_CONCLUDED
    assert (ended.conclusion.reason, ended.conclusion.winner) == ("TIME_LIMIT", "")
    assert not (await ab.route())[0].experiments


async def test_needs_of_the_good_ones_are_seen_and_acts_on_the_bad_are_refused(ab: Experiments) -> None:
    needs = await Needs(ab.plane.store).now()
    refused = [(await refusal(ab.pause(each))).reason for each in ("empty", "no-phase")]

    assert all("site" in need.routes for need in needs.values())
    assert refused == ["EXPERIMENT_NOT_WHOLE"] * 2
    assert f"{PARENT}/experiments/zz" in list((await ab.route())[0].experiments)
