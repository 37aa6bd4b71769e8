"""Which part of a workload's requests experiments send to which chain."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controlplane.experiments.portions import coverage_ahead, portions
from enchain.v1.experiment_pb2 import Arm, Experiment, LayerRange, Phase, Ramp

OLD, NEW = "workloads/site/chains/old@r1", "workloads/site/chains/new@r1"


def running(coverage: float = 100.0, **fields: object) -> Experiment:
    made = Experiment(
        state=Experiment.STATE_RUNNING,
        arms=[Arm(name="old", chain=OLD, weight=75), Arm(name="new", chain=NEW, weight=25)],
        phases=[Phase(number=1, coverage=coverage)],
    )
    made.MergeFrom(Experiment(**fields))  # type: ignore[arg-type]  # any field of it
    return made


def test_an_arm_gets_its_weight_of_what_is_covered() -> None:
    assert portions([running(40)]) == pytest.approx({OLD: 0.3, NEW: 0.1})


def test_a_part_of_a_layer_is_a_part_of_the_requests_and_experiments_add_up() -> None:
    first = running(layer=LayerRange(layer="layers/a", start=0, end=200))
    second = running(50, layer=LayerRange(layer="layers/a", start=200, end=1000))

    assert portions([first, second]) == pytest.approx({OLD: 0.15 + 0.3, NEW: 0.05 + 0.1})


@pytest.mark.parametrize(
    "state", [Experiment.STATE_DRAFT, Experiment.STATE_PAUSED, Experiment.STATE_CONCLUDED]
)
def test_who_enrols_nobody_sends_nothing(state: Experiment.State.ValueType) -> None:
    made = running()
    made.state = state

    assert portions([made]) == {}


@pytest.mark.parametrize(("step", "ahead"), [(0, 5), (1, 20), (2, 100), (3, 100)])
def test_instances_are_there_for_the_next_step_of_a_ramp(step: int, ahead: float) -> None:
    steps = [1.0, 5.0, 20.0, 100.0]
    made = running(steps[step], ramp=Ramp(steps=steps))
    made.phases[0].ramp_step = step

    assert coverage_ahead(made) == ahead


@given(
    coverages=st.lists(st.floats(0, 1000, allow_nan=False), min_size=1, max_size=5),
    end=st.integers(-10, 2000),
)
def test_there_is_never_more_than_the_whole(coverages: list[float], end: int) -> None:
    layer = LayerRange(layer="layers/a", start=0, end=end)
    found = portions([running(coverage, layer=layer) for coverage in coverages])

    assert all(share > 0 for share in found.values())
    assert sum(found.values()) <= 1 + 1e-9
