"""What is done about an experiment, by what is known of it: ramp, guardrail, promotion, time limit."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controlplane.experiments.changing import Why, first_phase, ramped, started
from controlplane.experiments.deciding import (
    NOTHING,
    Climb,
    End,
    Look,
    Pause,
    decide,
)
from enchain.v1.experiment_pb2 import Arm, Experiment, ExperimentAnalysis, MetricAnalysis, Ramp

START = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
Verdict = ExperimentAnalysis
GUARD = MetricAnalysis.ROLE_GUARDRAIL


def experiment(*steps: float, **fields: object) -> Experiment:
    """One that has just started, with a ramp of 10 minutes and 50 operations where steps are given."""
    made = Experiment(
        name="workloads/site/experiments/ab",
        arms=[Arm(name="old", weight=50), Arm(name="new", weight=50)],
        coverage=steps[-1] if steps else 100,
        state=Experiment.STATE_DRAFT,
        **fields,  # type: ignore[arg-type]  # fields of the message
    )
    made.time_limit.FromTimedelta(timedelta(days=14))
    if steps:
        made.ramp.CopyFrom(Ramp(steps=steps, operations=50))
        made.ramp.hold.FromTimedelta(timedelta(minutes=10))
    made.phases.append(first_phase(made, "seed"))
    return started(made, ["c@1", "d@1"], Why(START))


def look(
    made: Experiment,
    verdict: ExperimentAnalysis.Verdict.ValueType = Verdict.VERDICT_CONTINUE,
    *,
    arm: str = "",
    minutes: float = 0,
    operations: int = 0,
    worse: bool = False,
) -> Look:
    analysis = ExperimentAnalysis(verdict=verdict, arm=arm, advice="as advised")
    finding = MetricAnalysis.FINDING_WORSE if worse else MetricAnalysis.FINDING_OPEN
    analysis.metrics.add(arm="new", metric="success", role=GUARD, finding=finding)
    counts = {"old": operations + 7, "new": operations}
    return Look(made, analysis, counts, START + timedelta(minutes=minutes))


def test_nothing_known_is_nothing_done() -> None:
    assert decide(look(experiment())) is NOTHING


@pytest.mark.parametrize(
    ("choice", "action"),
    [
        (Experiment.ON_GUARDRAIL_UNSPECIFIED, End("GUARDRAIL", "as advised", "old")),
        (Experiment.ON_GUARDRAIL_ROLL_BACK, End("GUARDRAIL", "as advised", "old")),
        (Experiment.ON_GUARDRAIL_PAUSE, Pause("as advised")),
        (Experiment.ON_GUARDRAIL_ASK, NOTHING),
    ],
)
def test_a_harmful_arm_is_dealt_with_as_the_experiment_says(
    choice: Experiment.OnGuardrail.ValueType, action: object
) -> None:
    made = experiment(on_guardrail=choice)

    assert decide(look(made, Verdict.VERDICT_HARMFUL, arm="new")) == action


def test_wrong_shares_end_it_without_a_winner() -> None:
    assert decide(look(experiment(), Verdict.VERDICT_INVALID)) == End("SAMPLE_RATIO", "as advised")


@pytest.mark.parametrize("winner", ["new", "old"])
def test_the_better_arm_is_promoted_where_that_was_agreed_upon(winner: str) -> None:
    agreed = experiment(on_conclusion=Experiment.ON_CONCLUSION_PROMOTE)

    assert decide(look(agreed, Verdict.VERDICT_BETTER, arm=winner)) == End(
        "GOAL", "as advised", winner, promote=True
    )
    assert decide(look(experiment(), Verdict.VERDICT_BETTER, arm=winner)) is NOTHING, "else a person decides"


def test_equal_arms_end_it_without_a_winner_where_promotion_was_agreed_upon() -> None:
    agreed = experiment(on_conclusion=Experiment.ON_CONCLUSION_PROMOTE)

    assert decide(look(agreed, Verdict.VERDICT_EQUAL)) == End("GOAL", "as advised")


def test_the_time_limit_ends_it_running_or_paused() -> None:
    made = experiment()
    paused = experiment()
    paused.state = Experiment.STATE_PAUSED
    last_minute = 14 * 24 * 60 - 1

    for each in (made, paused):
        assert decide(look(each, minutes=last_minute)) is NOTHING
        ended = decide(look(each, minutes=last_minute + 1))
        assert isinstance(ended, End)
        assert (ended.reason, ended.winner) == ("TIME_LIMIT", "")


def test_harm_goes_before_everything_else() -> None:
    made = experiment(1, 5, on_conclusion=Experiment.ON_CONCLUSION_PROMOTE)
    late = look(made, Verdict.VERDICT_HARMFUL, arm="new", minutes=10**6, operations=10**6)

    assert decide(late) == End("GUARDRAIL", "as advised", "old")


def test_nothing_but_time_ends_what_is_paused_or_over() -> None:
    made = experiment(1, 5, on_conclusion=Experiment.ON_CONCLUSION_PROMOTE)
    made.state = Experiment.STATE_PAUSED

    assert decide(look(made, Verdict.VERDICT_BETTER, arm="new", minutes=60, operations=500)) is NOTHING
    made.state = Experiment.STATE_CONCLUDED
    assert decide(look(made, Verdict.VERDICT_HARMFUL, arm="new", minutes=10**6)) is NOTHING


@pytest.mark.parametrize(
    ("minutes", "operations", "worse", "climbs"),
    [
        (10, 50, False, True),
        (9.9, 50, False, False),
        (10, 49, False, False),
        (10, 50, True, False),
    ],
)
def test_the_ramp_needs_time_operations_and_no_guardrail_against_it(
    minutes: float, operations: int, *, worse: bool, climbs: bool
) -> None:
    made = experiment(1, 5, 20)

    action = decide(look(made, minutes=minutes, operations=operations, worse=worse))

    assert (isinstance(action, Climb) and action.step == 1) is climbs
    assert climbs or action is NOTHING


def test_each_step_of_a_ramp_needs_operations_of_its_own() -> None:
    second = ramped(experiment(1, 5, 20), 1, Why(START + timedelta(minutes=10)))

    assert decide(look(second, minutes=20, operations=99)) is NOTHING
    assert isinstance(decide(look(second, minutes=20, operations=100)), Climb)
    assert decide(look(second, minutes=19, operations=100)) is NOTHING


@given(
    st.lists(st.floats(0.01, 100), min_size=1, max_size=8, unique=True).map(sorted),
    st.lists(st.tuples(st.floats(0, 60), st.integers(0, 200)), max_size=40),
)
def test_a_ramp_never_goes_down_and_never_beyond_its_end(
    steps: list[float], ticks: list[tuple[float, int]]
) -> None:
    made, minutes, operations, seen = experiment(*steps), 0.0, 0, []
    for passed, ended in ticks:
        minutes, operations = minutes + passed, operations + ended
        action = decide(look(made, minutes=minutes, operations=operations))
        if isinstance(action, Climb):
            made = ramped(made, action.step, Why(START + timedelta(minutes=minutes)))
        seen.append(made.phases[-1].coverage)

    assert seen == sorted(seen)
    assert set(seen) <= set(steps)
    assert len(made.phases) == 1, "raising the coverage begins no phase"
