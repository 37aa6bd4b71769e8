"""Whether an engine has become slower, faster, less or more reliable of late: a sequential test. Pure.

`view.py` calls it with the hourly sums of a profile. Each hour that a change could have begun in gives an
e-value against there having been none (`evidence.py`); their mean over all hours that are kept is one too, so
that looking at any moment, and at all of these hours, raises no more false alarms than looking once (a
mixture over change points, as in Shin, Ramdas and Rinaldo: E-detectors, The New England Journal of Statistics
in Data Science 2023).

Hours differ more than chance among operations explains: by load, by the time of day, by what is asked for. So
durations are compared by means of blocks of hours, whose own scatter is the measure; what they say is
tempered by how much a block resembles the one before it, and what failures say by how much more their number
varied before than chance would have it: the logarithm of the e-value is divided by what such hours add to the
variance of a mean. A change counts only against at least a day before it, and only where it is large enough
to matter.
"""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate
from operator import mul

from controlplane.profiles.evidence import Sample, Trials, against_one_mean, against_one_share
from controlplane.profiles.statistics import HOURS_MAX
from controlplane.profiles.weighing import HOUR_SECONDS
from enchain.v1 import learned_pb2, profile_pb2

ALARM = 1000.0
"""The e-value from which on a change is no chance."""

HOURS_BEFORE_MIN = 24
"""What a change is measured against spans so many hours at least: a whole day, with its busy and quiet
hours."""

BLOCK_MIN = 8
"""Durations of one block: so many at least, of one hour or several in a row."""

BLOCKS_BEFORE_MIN = 4
BLOCKS_AFTER_MIN = 3
"""A single hour that was out of the ordinary is no change of what durations are."""

LIKENESS_MAX = 0.95
"""The most that a block is believed to resemble the one before it, of 1."""

FACTOR_MIN = 1.1
"""Durations that changed by less do not matter."""

FAILED_HOURS_AFTER_MIN = 2
FAILED_FACTOR_MIN = 1.5
FAILED_CHANGE_MIN = 0.005
"""Shares of failures that changed by a smaller factor, or by less, do not matter."""

Hours = Sequence[learned_pb2.HourSum]


@dataclass(frozen=True, slots=True)
class Change:
    """A change that is no chance.

    Attributes:
        reason: `SLOWER`, `FASTER`, `FAILS_MORE` or `FAILS_LESS`.
        hour: The hour in which it most likely began, from 1970 on.
        before: What was before: seconds, or the share that failed.
        after: What has been since.
    """

    reason: str
    hour: int
    before: float
    after: float


_GRAVITY = ("FAILS_MORE", "SLOWER", "FAILS_LESS", "FASTER")
_VERBS = ("provision", "update", "deprovision")


def drift_of(statistics: learned_pb2.ProfileStatistics) -> profile_pb2.ProfileDrift | None:
    """Answer the gravest change of late, of whichever verb; None where there is none."""
    found = [
        (_GRAVITY.index(change.reason), place, verb, change)
        for place, verb in enumerate(_VERBS)
        for change in changes(getattr(statistics, verb).hours)
    ]
    if not found:
        return None
    _, _, verb, change = min(found, key=lambda each: each[:2])
    drift = profile_pb2.ProfileDrift(reason=change.reason, description=_told(verb, change))
    drift.time.FromSeconds(change.hour * HOUR_SECONDS)
    return drift


def changes(hours: Hours) -> Iterator[Change]:
    """Yield what has changed in the hours of one verb, in whatever order they are given."""
    ascending = sorted(hours, key=lambda told: told.hour)
    for judge in (_durations_changed, _failures_changed):
        change = judge(ascending)
        if change is not None:
            yield change


def _durations_changed(hours: Hours) -> Change | None:
    blocks = list(_blocks(hours))
    means = [mean for _, _, mean in blocks]
    sums = list(accumulate((Sample(1, mean, mean * mean) for mean in means), _with, initial=Sample()))
    begins = [
        place
        for place in range(BLOCKS_BEFORE_MIN, len(blocks) - BLOCKS_AFTER_MIN + 1)
        if blocks[place - 1][1] - blocks[0][0] + 1 >= HOURS_BEFORE_MIN
    ]

    def weighed(place: int) -> float:
        before, after = sums[place], sums[-1] - sums[place]
        return against_one_mean(before, after) / _resemblance(means, place, before, after)

    begin = _likeliest(begins, weighed)
    if begin is None:
        return None
    before, after = math.exp(sums[begin].mean), math.exp((sums[-1] - sums[begin]).mean)
    if max(after / before, before / after) < FACTOR_MIN:
        return None
    return Change("SLOWER" if after > before else "FASTER", blocks[begin][0], before, after)


def _resemblance(means: Sequence[float], place: int, before: Sample, after: Sample) -> float:
    """By what factor the variance of a mean grows because blocks resemble the ones before them; 1 at least.

    It is that of an autoregression of first order, around the means before and after `place`.
    """
    rest = [mean - before.mean for mean in means[:place]] + [mean - after.mean for mean in means[place:]]
    scatter = sum(map(mul, rest, rest))
    together = sum(map(mul, rest, rest[1:])) - rest[place - 1] * rest[place]
    likeness = min(max(together / scatter, 0.0), LIKENESS_MAX) if scatter > 0 else 0.0
    return (1 + likeness) / (1 - likeness)


def _blocks(hours: Hours) -> Iterator[tuple[int, int, float]]:
    """Yield first hour, last hour and mean logarithm of each block; the newest may still be growing."""
    first, timed, total = 0, 0, 0.0
    for told in hours:
        if told.timed <= 0:
            continue
        first = first if timed else told.hour
        timed, total = timed + told.timed, total + told.log_seconds
        if timed >= BLOCK_MIN:
            yield first, told.hour, total / timed
            timed, total = 0, 0.0


def _failures_changed(hours: Hours) -> Change | None:
    told = [hour for hour in hours if 0 <= hour.failed <= hour.count and hour.count > 0]
    trials = [Trials(hour.count, hour.failed) for hour in told]
    sums = list(accumulate(trials, _with_trials, initial=Trials()))
    begins = [
        place for place in range(1, len(told)) if told[place - 1].hour - told[0].hour + 1 >= HOURS_BEFORE_MIN
    ]

    squares = list(accumulate((each.failed**2 / each.count for each in trials), initial=0.0))

    def weighed(place: int) -> float:
        evidence = against_one_share(sums[place], sums[-1] - sums[place])
        return evidence / _excess(sums[place], squares[place], place)

    begin = _likeliest(begins, weighed)
    if begin is None:
        return None
    before, after = sums[begin].share, (sums[-1] - sums[begin]).share
    small = max(after / before, before / after) < FAILED_FACTOR_MIN
    if small or abs(after - before) < FAILED_CHANGE_MIN:
        return None
    return Change("FAILS_MORE" if after > before else "FAILS_LESS", told[begin].hour, before, after)


def _excess(whole: Trials, squares: float, hours: int) -> float:
    """By what factor failures vary more between hours than chance would have it; 1 at least (Pearson's).

    Args:
        whole: All trials.
        squares: The sum over the hours of the square of what failed, by what was tried.
        hours: How many there are.
    """
    share = whole.failed / whole.count
    if hours <= 1 or not 0 < share < 1:
        return 1.0
    return max((squares - whole.failed * share) / (share * (1 - share)) / (hours - 1), 1.0)


def _likeliest(begins: Sequence[int], evidence: Callable[[int], float]) -> int | None:
    """The place at which a change most likely began; None where there may as well have been none."""
    if not begins:
        return None
    found = [evidence(place) for place in begins]
    # Hours that have not come yet are places too, and say nothing so far: their e-values are 1.
    silent = max(HOURS_MAX - len(found), 0)
    most = max(found)
    mean = (math.fsum(math.exp(min(each, 700.0)) for each in found) + silent) / (silent + len(found))
    return begins[found.index(most)] if mean >= ALARM else None


def _with(sums: Sample, more: Sample) -> Sample:
    return Sample(sums.count + more.count, sums.total + more.total, sums.squares + more.squares)


def _with_trials(sums: Trials, more: Trials) -> Trials:
    return Trials(sums.count + more.count, sums.failed + more.failed)


def _told(verb: str, change: Change) -> str:
    if change.reason in {"SLOWER", "FASTER"}:
        return f"{verb}: typically {change.after:.3g} s since then, {change.before:.3g} s in the days before"
    return f"{verb}: {change.after:.1%} fail since then, {change.before:.1%} did in the days before"
