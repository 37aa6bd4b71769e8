"""What `enchain experiments show` prints and draws."""

from pathlib import Path

import pytest

from enchain.chains.errors import InvalidArgumentError
from enchain.cli import experiment_words as words
from enchain.cli.charts.intervals import save_intervals
from enchain.v1 import experiment_pb2

Analysis = experiment_pb2.ExperimentAnalysis
Metric = experiment_pb2.MetricAnalysis
PNG = b"\x89PNG"


def analysis(*, looks: int = 0) -> Analysis:
    """An experiment of two arms whose goal is decided."""
    made = Analysis(
        experiment="workloads/site/experiments/faster",
        phase=2,
        verdict=Analysis.VERDICT_BETTER,
        arm="quick",
        advice="Promote quick: it takes 12 % less time.",
    )
    made.time.FromSeconds(1_800_000_000)
    made.metrics.add(
        arm="control", metric="time", role=Metric.ROLE_GOAL, operations=4000, estimate=12.34,
        finding=Metric.FINDING_CONTROL, p_value=1,
    )  # fmt: skip
    made.metrics.add(
        arm="quick", metric="time", role=Metric.ROLE_GOAL, operations=4100, estimate=10.86, difference=-0.12,
        lower=-0.2, upper=-0.04, finding=Metric.FINDING_BETTER, p_value=0.0001,
    )  # fmt: skip
    made.metrics.add(
        arm="quick", metric="success", role=Metric.ROLE_GUARDRAIL, operations=4100, estimate=0.981,
        difference=0.0021, lower=-0.003, upper=float("inf"), finding=Metric.FINDING_OPEN, p_value=0.4,
    )  # fmt: skip
    made.metrics.add(arm="quick", metric="cost", role=Metric.ROLE_METRIC, finding=Metric.FINDING_TOO_FEW)
    for number in range(looks):
        look = made.looks.add(phase=2)
        look.time.FromSeconds(1_800_000_000 - 600 * (looks - number))
        look.goals.add(arm="quick", metric="time", difference=-0.1, lower=-1.0 / (number + 1), upper=0.2)
    return made


def test_each_arm_and_metric_has_a_row_and_only_arms_beside_the_control_are_compared() -> None:
    assert words.metric_rows(analysis()) == [
        ["control", "time", "goal", "4000", "12.3 s", "-", "-", "-", "control"],
        ["quick", "time", "goal", "4100", "10.9 s", "-12.0%", "-20.0% .. -4.0%", "0.0001", "better"],
        ["quick", "success", "guardrail", "4100", "98.10%", "+0.21 pt", "-0.30 pt .. +inf", "0.4", "open"],
        ["quick", "cost", "metric", "0", "-", "-", "-", "-", "too few"],
    ]


def test_it_says_of_what_and_what_to_do() -> None:
    assert words.title(analysis()) == "site/faster, phase 2, at 2027-01-15 08:00:00Z"
    assert words.conclusion(analysis()) == "better (quick): Promote quick: it takes 12 % less time."
    undecided = experiment_pb2.ExperimentAnalysis(
        verdict=experiment_pb2.ExperimentAnalysis.VERDICT_CONTINUE, advice="Go on: too little has ended."
    )
    assert words.conclusion(undecided) == "Go on: too little has ended."


def test_shares_are_told_and_an_alarm_cannot_be_overlooked() -> None:
    made = analysis()
    made.sample_ratio.p_value = 0.52
    made.sample_ratio.arms.add(arm="quick", units=52, expected=0.5, observed=0.52)

    assert words.share_rows(made) == [["quick", "52", "50.00%", "52.00%"]]
    assert words.share_line(made) == "sample ratio: as configured (p 0.52)"
    made.sample_ratio.alarm = True
    assert "NOT as configured" in words.share_line(made)


@pytest.mark.parametrize(
    ("seconds", "text"), [(0, ""), (30, "1 minutes"), (9000, "2.5 hours"), (200_000, "2.3 days")]
)
def test_how_long_it_goes_on(seconds: int, text: str) -> None:
    made = analysis()
    made.remaining_operations, made.remaining_time.seconds = 1200, seconds

    expected = "about 1200 more operations per arm" + (f", {text} at the present rate" if text else "")
    assert words.length_line(made) == expected


def test_predictions_are_held_against_what_was_measured() -> None:
    made = analysis()
    made.predictions.add(arm="quick", metric="p95_time", predicted=30, observed=41, lower=38, upper=44)

    assert words.prediction_rows(made) == [["quick", "p95_time", "30 s", "41 s", "38 s .. 44 s", "no"]]


@pytest.mark.parametrize("looks", [0, 1, 40])
def test_intervals_are_drawn_however_many_looks_there_were(tmp_path: Path, looks: int) -> None:
    file = tmp_path / "intervals.png"

    save_intervals(analysis(looks=looks), file)

    assert file.read_bytes().startswith(PNG)


def test_a_draft_without_any_metric_is_drawn_too(tmp_path: Path) -> None:
    made = Analysis(experiment="workloads/site/experiments/faster", advice="Start it.")
    save_intervals(made, tmp_path / "empty.png")

    with pytest.raises(InvalidArgumentError, match="cannot be written"):
        save_intervals(made, tmp_path / "nowhere" / "empty.png")


@pytest.mark.parametrize(
    ("metric", "amount", "text"),
    [
        ("success", -0.00001, "0.00 pt"),
        ("success", 0.00001, "0.00 pt"),
        ("success", -0.0001, "-0.01 pt"),
        ("success", 0.0123, "+1.23 pt"),
        ("time", -0.0001, "0.0%"),
        ("time", -0.0, "0.0%"),
        ("time", 0.12, "+12.0%"),
        ("time", -11, "-inf"),
        ("time", float("inf"), "+inf"),
    ],
)
def test_a_difference_has_a_sign_unless_it_is_written_as_0(metric: str, amount: float, text: str) -> None:
    assert words.difference(metric, amount) == text


def test_what_was_known_is_told_where_it_says_more() -> None:
    ramped = experiment_pb2.ExperimentChange(description="the ramp goes on", evidence="Go on.")
    ended = experiment_pb2.ExperimentChange(description="Switch to quick.")

    assert words.why(ramped) == "the ramp goes on (known then: Go on.)"
    assert words.why(ended) == "Switch to quick."
