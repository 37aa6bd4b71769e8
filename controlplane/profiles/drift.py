"""Whether an engine has become slower, faster, less or more reliable of late: a sequential test. Pure.

`view.py` calls it with the hourly sums of a profile. Each hour that a change could have begun in gives an
e-value against there having been none (`evidence.py`); their mean over all hours that are kept is one too, so
that looking at any moment while they are kept, and at all of them, raises no more false alarms than looking
once (a mixture over change points, as in Shin, Ramdas and Rinaldo: E-detectors, The New England Journal of
Statistics in Data Science 2023).

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
from itertools import accumulate, pairwise

from controlplane.profiles.evidence import (
    SPREAD_MIN,
    Sample,
    Trials,
    against_one_mean,
    against_one_share,
)
from controlplane.profiles.statistics import HOURS_MAX
from controlplane.profiles.weighing import HOUR_SECONDS
from enchain.v1 import learned_pb2, profile_pb2

ALARM = 1000.0
"""The e-value from which on a change is no chance."""

HOURS_BEFORE_MIN = 24
"""What a change is measured against spans so many hours at least: a day, with its busy and its quiet
hours."""

BLOCK_MIN = 8
"""Durations of one block: so many at least, of one hour or several in a row."""

BLOCKS_BEFORE_MIN = 4
BLOCKS_AFTER_MIN = 3
"""A single hour that was out of the ordinary is no change of what durations are."""

FADING = 0.8
"""How much of a block's resemblance to the one before it is taken to reach to the one before that."""

LIKENESS_MAX = 0.95
"""The most that blocks are taken to resemble the ones before them."""

_CLEAR = math.log(1.1)
"""What lies so far from everything that was in a whole day before is no matter of resemblance."""

FACTOR_MIN = 1.2
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

    def evidence(place: int) -> float:
        return against_one_mean(sums[place], sums[-1] - sums[place])

    def excess(place: int) -> float:
        return 1.0 if _clear(means[:place], means[place:]) else _resemblance(means[:place], sums[place].mean)

    begin = _likeliest(begins, evidence, excess)
    if begin is None:
        return None
    before, after = math.exp(sums[begin].mean), math.exp((sums[-1] - sums[begin]).mean)
    if max(after / before, before / after) < FACTOR_MIN:
        return None
    return Change("SLOWER" if after > before else "FASTER", blocks[begin][0], before, after)


def _clear(before: Sequence[float], after: Sequence[float]) -> bool:
    """Whether all that is after lies clear of all that was before, on one side of it."""
    return min(after) > max(before) + _CLEAR or max(after) < min(before) - _CLEAR


def _resemblance(means: Sequence[float], mean: float) -> float:
    """By what factor the variance of a mean grows because blocks resemble those before them; 1 at least.

    By how much each resembles the one before it, and as though that faded by `FADING` from block to block. Of
    so few blocks a resemblance is seen too small (Kendall: Note on bias in the estimation of autocorrelation,
    Biometrika 1954), and by chance smaller still; it is taken to be larger by both, the latter by one
    standard error.
    """
    count, rest = len(means), [each - mean for each in means]
    scatter = sum(each * each for each in rest) + count * SPREAD_MIN**2
    seen = sum(one * other for one, other in pairwise(rest)) / scatter
    likeness = seen + (1 + 4 * seen) / count
    likeness += math.sqrt(max(1 - likeness * likeness, 0.0) / count)
    return 1 + 2 * min(max(likeness, 0.0), LIKENESS_MAX) / (1 - FADING)


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

    def evidence(place: int) -> float:
        return against_one_share(sums[place], sums[-1] - sums[place])

    def excess(place: int) -> float:
        return _excess(sums[place], squares[place], place)

    begin = _likeliest(begins, evidence, excess)
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


def _likeliest(
    begins: Sequence[int], evidence: Callable[[int], float], excess: Callable[[int], float]
) -> int | None:
    """The place at which a change most likely began; None where there may as well have been none.

    Args:
        begins: Where it may have.
        evidence: The logarithm of the e-value against none, by place.
        excess: What to divide that by, 1 or more; asked only where there is something to divide.
    """
    found = [evidence(place) for place in begins]
    if not found or _mean(found) < ALARM:
        return None
    found = [each / excess(place) if each > 0 else each for each, place in zip(found, begins, strict=True)]
    return begins[found.index(max(found))] if _mean(found) >= ALARM else None


def _mean(found: Sequence[float]) -> float:
    """The mean e-value. Hours that have not come yet are places too, and say nothing so far: theirs are 1."""
    silent = max(HOURS_MAX - len(found), 0)
    return (math.fsum(math.exp(min(each, 700.0)) for each in found) + silent) / (silent + len(found))


def _with(sums: Sample, more: Sample) -> Sample:
    return Sample(sums.count + more.count, sums.total + more.total, sums.squares + more.squares)


def _with_trials(sums: Trials, more: Trials) -> Trials:
    return Trials(sums.count + more.count, sums.failed + more.failed)


def _told(verb: str, change: Change) -> str:
    if change.reason in {"SLOWER", "FASTER"}:
        return f"{verb}: typically {change.after:.3g} s since then, {change.before:.3g} s in the days before"
    return f"{verb}: {change.after:.1%} fail since then, {change.before:.1%} did in the days before"
