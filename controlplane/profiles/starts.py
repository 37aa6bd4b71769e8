"""How long instances of an engine version take from their launch until they are ready. Pure.

Whoever launches instances folds each start into the statistics under `learned/starts/<engine>/<version>`, in
the transaction that notes the start; `view.py` shows them as `cold_start` of the profiles of that version. As
all statistics here, the order in which starts are folded does not matter.
"""

from datetime import datetime

from controlplane.profiles.sketch import Sketch
from controlplane.profiles.weighing import LEAST_WEIGHT, week_of, weight_of
from enchain.v1 import learned_pb2

StartStatistics = learned_pb2.StartStatistics


def empty(engine: str, version: str) -> StartStatistics:
    """Statistics of an engine version of which no instance was launched yet."""
    return StartStatistics(engine=engine, version=version)


def fold(statistics: StartStatistics, seconds: float, at: datetime) -> StartStatistics:
    """Answer statistics with one start added; what was given stays as it is.

    Args:
        statistics: As they stand, or `empty(…)`.
        seconds: From the launch until the instance was ready.
        at: When it was ready.
    """
    folded = StartStatistics()
    folded.CopyFrom(statistics)
    sketch, week = Sketch.of(statistics.durations), week_of(at.timestamp())
    if week > statistics.week:
        sketch.fade(week - statistics.week, LEAST_WEIGHT)
        folded.week = week
    weight = weight_of(week, folded.week)
    if weight:
        sketch.add(seconds, weight)
    folded.count += 1
    folded.durations.CopyFrom(sketch.message())
    return folded
