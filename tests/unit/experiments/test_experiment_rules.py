"""What an experiment must be: every fault by its field, and what it is where nothing is said."""

from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controlplane.catalog.experiment_edits import decide_edit, drafted
from controlplane.catalog.experiment_layers import released, reserved
from controlplane.catalog.experiment_rules import check, completed
from controlplane.experiments.changing import Why, started
from enchain.chains.errors import InvalidArgumentError, PreconditionError
from enchain.v1.experiment_pb2 import (
    Arm,
    Experiment,
    ExperimentMetric,
    Layer,
    LayerRange,
    Ramp,
)

START = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)


def document(**fields: object) -> Experiment:
    """The shortest one."""
    made = Experiment(
        name="workloads/site/experiments/ab",
        arms=[Arm(name=name, chain=f"workloads/site/chains/{name}", weight=50) for name in ("old", "new")],
        goal=ExperimentMetric(metric="cost"),
    )
    made.MergeFrom(Experiment(**fields))  # type: ignore[arg-type]  # fields of the message
    return made


def refused(made: Experiment) -> set[tuple[str, str]]:
    try:
        check(completed(made), "site")
    except InvalidArgumentError as error:
        return {(fault.field, fault.reason) for fault in error.violations}
    return set()


def test_the_shortest_one_is_right() -> None:
    assert refused(document()) == set()


def test_completing_twice_is_completing_once() -> None:
    once = completed(document(ramp=Ramp(steps=[1, 5])))

    assert completed(once) == once
    assert once.coverage == 5


def _weights(made: Experiment) -> None:
    made.arms[0].weight = 40


def _twins(made: Experiment) -> None:
    made.arms[1].name = "old"


def _stranger(made: Experiment) -> None:
    made.arms[1].chain = "workloads/other/chains/new"


def _no_goal(made: Experiment) -> None:
    made.ClearField("goal")


def _direction(made: Experiment) -> None:
    made.goal.better = ExperimentMetric.BETTER_HIGHER


def _one_arm(made: Experiment) -> None:
    del made.arms[1]
    made.arms[0].weight = 100


@pytest.mark.parametrize(
    ("spoil", "field", "reason"),
    [
        (_weights, "experiment.arms", "WEIGHTS_DO_NOT_SUM"),
        (_twins, "experiment.arms[1].name", "DOUBLED"),
        (_stranger, "experiment.arms[1].chain", "OTHER_WORKLOAD"),
        (_no_goal, "experiment.goal.metric", "REQUIRED"),
        (_direction, "experiment.goal.better", "CONTRADICTION"),
        (_one_arm, "experiment.arms", "WRONG_NUMBER"),
    ],
)
def test_faults_of_arms_and_goal(spoil: Callable[[Experiment], None], field: str, reason: str) -> None:
    made = document()
    spoil(made)

    assert (field, reason) in refused(made)


@pytest.mark.parametrize(
    ("fields", "field", "reason"),
    [
        ({"unit": "colour"}, "experiment.unit", "UNKNOWN_UNIT"),
        ({"unit": "inputs.No Name"}, "experiment.unit", "INVALID_ID"),
        ({"coverage": 101}, "experiment.coverage", "OUT_OF_RANGE"),
        ({"coverage": float("nan")}, "experiment.coverage", "OUT_OF_RANGE"),
        ({"ramp": Ramp(steps=[5, 1])}, "experiment.ramp.steps[1]", "NOT_ASCENDING"),
        ({"ramp": Ramp(steps=[1, 5]), "coverage": 50}, "experiment.ramp.steps", "CONTRADICTION"),
        ({"layer": LayerRange(layer="layers/a", start=5, end=5)}, "experiment.layer", "INVALID_RANGE"),
        ({"layer": LayerRange(layer="a", start=0, end=5)}, "experiment.layer.layer", "INVALID_NAME"),
        ({"forced": {"k": "nobody"}}, "experiment.forced.k", "UNKNOWN_ARM"),
        ({"metrics": [ExperimentMetric(metric="mood")]}, "experiment.metrics[0].metric", "UNKNOWN_METRIC"),
        ({"metrics": [ExperimentMetric(metric="outputs.x")]}, "experiment.metrics[0].better", "REQUIRED"),
        (
            {"guardrails": [ExperimentMetric(metric="cost", tolerance=2)]},
            "experiment.guardrails[0].tolerance",
            "OUT_OF_RANGE",
        ),
        ({"significance": 0.9}, "experiment.significance", "OUT_OF_RANGE"),
        ({"recommendation": "x"}, "experiment.recommendation", "INVALID_NAME"),
    ],
)
def test_faults_of_everything_else(fields: dict[str, object], field: str, reason: str) -> None:
    assert (field, reason) in refused(document(**fields))


def running() -> Experiment:
    draft = drafted(completed(document()), "01ARZ3NDEKTSV4RRFFQ69G5FAV", Why(START))
    return started(draft, [f"{arm.chain}@r1" for arm in draft.arms], Why(START))


@pytest.mark.parametrize("field", ["unit", "eligibility", "goal", "significance", "layer", "coverage"])
def test_what_an_assignment_or_its_analysis_rests_on_stays_while_it_runs(field: str) -> None:
    changes: dict[str, object] = {
        "unit": "tenant",
        "eligibility": "true",
        "goal": ExperimentMetric(metric="time"),
        "significance": 0.01,
        "layer": LayerRange(layer="layers/a", start=0, end=5),
        "coverage": 20,
    }
    edit = decide_edit(running(), completed(document(**{field: changes[field]})))

    assert edit.refused == (field,)
    with pytest.raises(PreconditionError, match=field):
        edit.refuse(running())


def test_tolerances_may_change_while_it_runs_and_guardrails_may_not() -> None:
    success = ExperimentMetric(metric="success", tolerance=0.02)
    other = ExperimentMetric(metric="cost", tolerance=0.02)

    assert decide_edit(running(), completed(document(guardrails=[success]))).refused == ()
    assert decide_edit(running(), completed(document(guardrails=[other]))).refused == ("guardrails",)


def test_only_the_description_of_what_is_concluded_may_change() -> None:
    over = running()
    over.state = Experiment.STATE_CONCLUDED

    assert decide_edit(over, completed(document(description="done"))).refused == ()
    assert decide_edit(over, completed(document(forced={"k": "old"}))).refused == ("forced",)


@given(
    st.lists(
        st.tuples(st.integers(0, 5), st.integers(0, 999), st.integers(1, 1000), st.booleans()), max_size=40
    )
)
def test_reservations_of_a_layer_never_overlap(asked: list[tuple[int, int, int, bool]]) -> None:
    layer = Layer()
    for number, start, length, frees in asked:
        name = f"workloads/site/experiments/e{number}"
        if frees:
            layer = released(layer, name)
            continue
        part = LayerRange(layer="layers/a", start=start, end=min(start + length, 1000))
        with suppress(PreconditionError):
            layer = reserved(layer, Experiment(name=name, layer=part))

    parts = sorted((each.start, each.end) for each in layer.reservations)
    assert all(one[1] <= two[0] for one, two in pairwise(parts))
    assert len({each.experiment for each in layer.reservations}) == len(parts)
