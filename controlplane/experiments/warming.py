"""What becomes of an experiment that waits for instances, by what is seen of them. Pure: no clock, no store.

`controlplane.loops.warming` asks at every look and commits the answer. It is level-triggered: the answer
follows from the experiment, the instances and the time alone, so any leader goes on from what is stored. It
must never let anybody be enrolled while an engine of an arm has no ready instance.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TypeAlias

from google.protobuf.duration_pb2 import Duration

from controlplane.experiments.changing import NAMED_MAX, sentence
from controlplane.switching.terms import LONGEST
from enchain.chains.errors import InvalidArgumentError, Violation
from enchain.v1.experiment_pb2 import Experiment

WARMING_TIMEOUT = "WARMING_TIMEOUT"


@dataclass(frozen=True, slots=True)
class Begin:
    """It is to run.

    Attributes:
        fewer: Its time is up: every engine of every arm is ready, with fewer instances than parts of the
            demand need.
    """

    fewer: bool = False


@dataclass(frozen=True, slots=True)
class Wait:
    """It waits for something, which is to be shown where it is news."""

    waiting: tuple[str, ...]
    news: bool


@dataclass(frozen=True, slots=True)
class GiveUp:
    """It is to be a draft again."""

    reason: str
    description: str


Step: TypeAlias = Begin | Wait | GiveUp


def decide_warming(
    experiment: Experiment, missing: Sequence[str], short: Sequence[str], now: datetime
) -> Step:
    """Answer what is to be done about an experiment that warms.

    Args:
        experiment: As it was read.
        missing: A line for each engine version of its arms that has no ready instance.
        short: The same for each that has fewer than the arms' parts of the demand need.
        now: The time, in UTC.
    """
    lacking = (*missing, *(line for line in short if line not in missing))
    if not lacking:
        return Begin()
    if now < experiment.warming.deadline.ToDatetime(UTC):
        waiting = shown(lacking)
        return Wait(waiting, news=waiting != tuple(experiment.warming.waiting))
    if missing:
        return GiveUp(WARMING_TIMEOUT, f"instances were not ready in time: {'; '.join(shown(missing))}")
    return Begin(fewer=True)


def warm_time(given: Duration) -> timedelta:
    """Read how long instances may take off a request.

    Raises:
        InvalidArgumentError: It is no time that anything may be asked to take.
    """
    time = timedelta(seconds=given.seconds, microseconds=given.nanos // 1000)
    if not timedelta() <= time <= LONGEST:
        told = f"warm_timeout is {time.total_seconds():g} s; write 0 s to {LONGEST.days} days"
        raise InvalidArgumentError(
            told, reason="OUT_OF_RANGE", violations=[Violation("warm_timeout", told, "OUT_OF_RANGE")]
        )
    return time


def shown(short: Sequence[str]) -> tuple[str, ...]:
    """Answer what people are shown of what is waited for: a few lines, none of them long."""
    more = (f"and {len(short) - NAMED_MAX} more",) if len(short) > NAMED_MAX else ()
    return (*(sentence(line) for line in short[:NAMED_MAX]), *more)
