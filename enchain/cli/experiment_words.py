"""Analyses of experiments in words and columns, for people.

`enchain experiments show` calls it. Pure: it decides nothing, and prints nothing itself.
"""

from datetime import UTC

from google.protobuf.duration_pb2 import Duration

from enchain.cli.charts.units import number
from enchain.v1 import experiment_pb2

Analysis = experiment_pb2.ExperimentAnalysis
Metric = experiment_pb2.MetricAnalysis

SHARES = frozenset({"success", "compensation"})
"""Metrics in 0..1, which are written as percentages; differences of them are in points."""

TIMES = frozenset({"time", "p95_time"})

_FINDINGS = {
    Metric.FINDING_CONTROL: "control",
    Metric.FINDING_OPEN: "open",
    Metric.FINDING_BETTER: "better",
    Metric.FINDING_WORSE: "worse",
    Metric.FINDING_EQUAL: "equal",
    Metric.FINDING_TOO_FEW: "too few",
}
_ROLES = {Metric.ROLE_GOAL: "goal", Metric.ROLE_METRIC: "metric", Metric.ROLE_GUARDRAIL: "guardrail"}
_VERDICTS = {  # but "go on", which the advice says by itself
    Analysis.VERDICT_BETTER: "better",
    Analysis.VERDICT_EQUAL: "equal",
    Analysis.VERDICT_HARMFUL: "harmful",
    Analysis.VERDICT_INVALID: "invalid",
}
_DAY, _HOUR, _MINUTE = 86_400, 3600, 60
WIDEST = 10.0
"""Intervals that go further than ten times the control, or whole, say nothing."""

METRIC_HEADINGS = ("arm", "metric", "role", "n", "estimate", "difference", "interval", "p", "verdict")
SHARE_HEADINGS = ("arm", "units", "expected", "observed")
PREDICTION_HEADINGS = ("arm", "metric", "predicted", "measured", "interval", "held")


def title(analysis: Analysis) -> str:
    """Say of what, and when."""
    parts = analysis.experiment.split("/")
    name = f"{parts[1]}/{parts[-1]}" if len(parts) > 1 else analysis.experiment
    at = analysis.time.ToDatetime(UTC).strftime("%Y-%m-%d %H:%M:%SZ")
    return f"{name}, phase {analysis.phase}, at {at}"


def conclusion(analysis: Analysis) -> str:
    """Say what to do, in one plain sentence, and the verdict behind it."""
    word = _VERDICTS.get(analysis.verdict, "")
    about = f" ({analysis.arm})" if analysis.arm else ""
    return f"{word}{about}: {analysis.advice}" if word else analysis.advice


def metric_rows(analysis: Analysis) -> list[list[str]]:
    """Answer a row for each arm and metric."""
    return [
        [
            each.arm,
            each.metric,
            _ROLES.get(each.role, ""),
            str(each.operations),
            value(each.metric, each.estimate) if each.operations else "-",
            *_compared(each),
            _FINDINGS.get(each.finding, ""),
        ]
        for each in analysis.metrics
    ]


def _compared(each: Metric) -> list[str]:
    """Difference, interval and p, which the control has not."""
    if each.finding in (Metric.FINDING_CONTROL, Metric.FINDING_TOO_FEW):
        return ["-", "-", "-"]
    interval = f"{difference(each.metric, each.lower)} .. {difference(each.metric, each.upper)}"
    return [difference(each.metric, each.difference), interval, f"{each.p_value:.3g}"]


def share_rows(analysis: Analysis) -> list[list[str]]:
    """Answer a row for each arm: whether it got the share that it should have."""
    return [
        [each.arm, str(each.units), f"{each.expected:.2%}", f"{each.observed:.2%}"]
        for each in analysis.sample_ratio.arms
    ]


def share_line(analysis: Analysis) -> str:
    """Say whether the shares can be believed."""
    p = f"p {analysis.sample_ratio.p_value:.3g}"
    if analysis.sample_ratio.alarm:
        return f"sample ratio: NOT as configured ({p}); trust nothing until the reason is found"
    return f"sample ratio: as configured ({p})"


def prediction_rows(analysis: Analysis) -> list[list[str]]:
    """Answer a row for each prediction of the recommendation that led here."""
    return [
        [
            each.arm,
            each.metric,
            value(each.metric, each.predicted),
            value(each.metric, each.observed),
            f"{value(each.metric, each.lower)} .. {value(each.metric, each.upper)}",
            "yes" if each.held else "no",
        ]
        for each in analysis.predictions
    ]


def length_line(analysis: Analysis) -> str:
    """Say how long it will go on; empty where that is over or unknown."""
    answer = []
    if analysis.remaining_operations > 0:
        still = f"about {analysis.remaining_operations} more operations per arm"
        until = span(analysis.remaining_time)
        answer.append(still + (f", {until} at the present rate" if until else ""))
    if analysis.detectable_effect > 0:
        answer.append(f"by the time limit a difference of {analysis.detectable_effect:.1%} would be seen")
    return "; ".join(answer)


def span(duration: Duration) -> str:
    """Write how long: `2.5 days`, `3.0 hours`, `12 minutes`; empty for none."""
    seconds = duration.seconds
    if seconds >= _DAY:
        return f"{seconds / _DAY:.1f} days"
    if seconds >= _HOUR:
        return f"{seconds / _HOUR:.1f} hours"
    return f"{max(round(seconds / _MINUTE), 1)} minutes" if seconds > 0 else ""


def value(metric: str, amount: float) -> str:
    """Write a value in the metric's unit."""
    if metric in SHARES:
        return f"{amount:z.2%}"
    return f"{number(amount)} s" if metric in TIMES else number(amount)


def difference(metric: str, amount: float) -> str:
    """Write a difference to the control: points for shares, else percent. What rounds to 0 has no sign."""
    if abs(amount) > WIDEST:
        return "-inf" if amount < 0 else "+inf"
    digits, unit = (2, " pt") if metric in SHARES else (1, "%")
    rounded = round(amount * 100, digits)
    return f"{rounded:{'+' if rounded else 'z'}.{digits}f}{unit}"


def why(change: experiment_pb2.ExperimentChange) -> str:
    """Say why something was changed, and what was known then where that says more."""
    known = f" (known then: {change.evidence})" if change.evidence else ""
    return f"{change.description}{known}"
