"""An experiment's analyses over time, kept for pictures: few enough to be stored, and evenly spread. Pure.

The leader's loop adds each of its looks; `controlplane.catalog.experiment_statistics` reads them.
"""

from enchain.chains.digests import canonical
from enchain.v1 import experiment_pb2

Looks = experiment_pb2.ExperimentLooks
Analysis = experiment_pb2.ExperimentAnalysis

LOOKS_MAX = 200

BYTES_MAX = 48 * 1024
"""Below what a value may take; with many arms fewer looks fit."""

DIGITS = 6
"""Significant digits that are kept of a number: more would not show in a picture."""


def added(looks: Looks, analysis: Analysis) -> Looks:
    """Answer looks with an analysis added; what was given stays as it is.

    The first and the newest stay. Where there are too many, the one goes whose neighbours are closest in
    time.
    """
    kept = [*looks.looks, look_of(analysis)]
    while len(kept) > LOOKS_MAX:
        del kept[_closest(kept)]
    answer = Looks(looks=kept)
    while len(kept) > 2 and len(canonical(answer)) > BYTES_MAX:  # noqa: PLR2004 - the first and the newest
        del kept[_closest(kept)]
        answer = Looks(looks=kept)
    return answer


def look_of(analysis: Analysis) -> Looks.Look:
    """Answer what is kept of an analysis: the goal of every arm but the control, shortened."""
    control = experiment_pb2.MetricAnalysis.FINDING_CONTROL
    goals = [each for each in analysis.metrics if each.role == experiment_pb2.MetricAnalysis.ROLE_GOAL]
    return Looks.Look(
        time=analysis.time,
        phase=analysis.phase,
        operations=sum(each.operations for each in goals),
        goals=[_shortened(each) for each in goals if each.finding != control],
    )


def _shortened(goal: experiment_pb2.MetricAnalysis) -> experiment_pb2.MetricAnalysis:
    return experiment_pb2.MetricAnalysis(
        arm=goal.arm,
        metric=goal.metric,
        operations=goal.operations,
        estimate=_short(goal.estimate),
        difference=_short(goal.difference),
        lower=_short(goal.lower),
        upper=_short(goal.upper),
        finding=goal.finding,
    )


def _short(value: float) -> float:
    return float(f"{value:.{DIGITS}g}")


def _closest(looks: list[Looks.Look]) -> int:
    """Which one goes: never the first nor the newest."""
    times = [look.time.ToMilliseconds() for look in looks]
    return min(range(1, len(looks) - 1), key=lambda index: (times[index + 1] - times[index - 1], index))
