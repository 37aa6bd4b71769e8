"""Adding calls of engines to the sums that a performance profile is reckoned from. Pure.

`reader.py` calls it, `view.py` and `drift.py` read what comes of it. Weights are powers of two, and all that
is summed is rounded to multiples of powers of two, so that sums are exact and come out the same in whatever
order and however split calls come. Where something has a cap, what is kept is decided by what there is, never
by when it came.
"""

import math
import re
from collections.abc import Iterable, Mapping, MutableMapping, Sequence
from typing import Literal

from controlplane.profiles.measured import OTHER, Measured
from controlplane.profiles.sketch import SECONDS_BITS, SECONDS_MAX, SECONDS_MIN, Sketch, on_grid
from controlplane.profiles.weighing import LEAST_WEIGHT, hour_of, week_of, weight_of
from enchain.v1 import diagnostic_pb2, learned_pb2, operation_pb2

Statistics = learned_pb2.ProfileStatistics
VerbStatistics = learned_pb2.VerbStatistics

CODES_MAX = 24
CURRENCIES_MAX = 4

HOURS_MAX = 72
"""Hours in which something ended that are kept: three days of steady work."""

SINGLE_MAX = 16
BUSY_MAX = 1024
"""Pieces of work at once: each number is kept up to the first, then two for each doubling up to the
second."""

COST_BITS = 20
CPU_BITS = 10
MEMORY_BITS = -16
NETWORK_BITS = -10
LOG_BITS = 10
"""Sums are of multiples of `2^-bits`: a millionth of money, a millisecond, 64 KiB, 1 KiB, a thousandth."""

_CURRENCY = re.compile(r"[A-Z]{3}")
_SUMS = (
    "weight",
    "succeeded",
    "attempts",
    "used_weight",
    "cpu_seconds",
    "peak_memory_bytes",
    "network_bytes",
)
_VERBS: Mapping[operation_pb2.Verb.ValueType, Literal["provision", "update", "deprovision"]] = {
    operation_pb2.VERB_PROVISION: "provision",
    operation_pb2.VERB_UPDATE: "update",
    operation_pb2.VERB_DEPROVISION: "deprovision",
}


def fold(statistics: Statistics, calls: Sequence[Measured]) -> Statistics:
    """Answer statistics of one subject with calls added; what was given stays as it is."""
    folded = Statistics()
    folded.CopyFrom(statistics)
    if not calls:
        return folded
    _age(folded, max(week_of(call.at) for call in calls))
    _tell_times(folded, calls)
    for verb, name in _VERBS.items():
        concerned = [call for call in calls if call.verb == verb]
        if concerned:
            _add(getattr(folded, name), concerned, folded.week)
    return folded


def busyness(in_flight: int) -> int:
    """The number under which so many pieces of work at once are kept."""
    if in_flight <= SINGLE_MAX:
        return in_flight
    doubling = 1 << (min(in_flight, BUSY_MAX).bit_length() - 1)
    return (
        doubling + doubling // 2
        if doubling < BUSY_MAX and in_flight >= doubling + doubling // 2
        else doubling
    )


def _age(statistics: Statistics, week: int) -> None:
    """Let a newer week be the newest: all that is there weighs less."""
    if week <= statistics.week:
        return
    halvings, statistics.week = week - statistics.week, week
    for name in _VERBS.values():
        if statistics.HasField(name):
            _fade(getattr(statistics, name), halvings)


def _fade(sums: VerbStatistics, halvings: int) -> None:
    factor = 0.5**halvings
    for name in _SUMS:
        setattr(sums, name, getattr(sums, name) * factor)
    for code in list(sums.failures):
        sums.failures[code] *= factor
        if sums.failures[code] < LEAST_WEIGHT:
            del sums.failures[code]
    for cost in sums.costs.values():
        cost.weight *= factor
        cost.amount *= factor
    for level in sums.concurrency:
        level.weight *= factor
        level.seconds *= factor
    sketch = Sketch.of(sums.durations)
    sketch.fade(halvings, LEAST_WEIGHT)
    sums.durations.CopyFrom(sketch.message())


def _tell_times(statistics: Statistics, calls: Iterable[Measured]) -> None:
    times = [call.at for call in calls]
    if statistics.HasField("first_time"):
        times += [statistics.first_time.seconds, statistics.last_time.seconds]
    statistics.first_time.FromSeconds(min(times))
    statistics.last_time.FromSeconds(max(times))


def _add(sums: VerbStatistics, calls: Sequence[Measured], newest: int) -> None:
    """Add calls of one verb."""
    sketch = Sketch.of(sums.durations)
    levels = {level.in_flight: (level.weight, level.seconds) for level in sums.concurrency}
    sums.count += len(calls)
    for call in calls:
        weight = weight_of(week_of(call.at), newest)
        if not weight:
            continue
        sums.weight += weight
        sums.attempts += max(call.step.attempts, 1) * weight
        if not call.succeeded:
            sums.failures[call.code] += weight
        else:
            sums.succeeded += weight
            if call.seconds is not None:
                sketch.add(call.seconds, weight)
                _add_level(levels, call.step.in_flight, call.seconds, weight)
        if call.step.HasField("usage") and not _undone(call):
            _add_usage(sums, call.step.usage, weight)
    sums.durations.CopyFrom(sketch.message())
    _put_levels(sums, levels)
    _cap_failures(sums.failures)
    _put_hours(sums, calls)
    for currency in sorted(sums.costs)[CURRENCIES_MAX:]:
        del sums.costs[currency]


def _undone(call: Measured) -> bool:
    """What was undone also used up what undoing it took."""
    return call.succeeded and call.seconds is None


def _add_usage(sums: VerbStatistics, usage: diagnostic_pb2.Usage, weight: float) -> None:
    network = usage.network_received_bytes + usage.network_sent_bytes
    sums.used_weight += weight
    sums.cpu_seconds += on_grid(_positive(usage.cpu_seconds), CPU_BITS) * weight
    sums.peak_memory_bytes += on_grid(_positive(usage.peak_memory_bytes), MEMORY_BITS) * weight
    sums.network_bytes += on_grid(_positive(network), NETWORK_BITS) * weight
    currency = usage.cost.currency_code
    if usage.HasField("cost") and _CURRENCY.fullmatch(currency):
        amount = on_grid(_positive(usage.cost.units + usage.cost.nanos / 1e9), COST_BITS)
        sums.costs[currency].weight += weight
        sums.costs[currency].amount += amount * weight


def _positive(value: float) -> float:
    return value if 0 < value < math.inf else 0.0


def _add_level(levels: dict[int, tuple[float, float]], in_flight: int, seconds: float, weight: float) -> None:
    if in_flight <= 0:
        return
    level = busyness(in_flight)
    total, spent = levels.get(level, (0.0, 0.0))
    length = on_grid(min(max(seconds, 0.0), SECONDS_MAX), SECONDS_BITS)
    levels[level] = (total + weight, spent + length * weight)


def _put_levels(sums: VerbStatistics, levels: dict[int, tuple[float, float]]) -> None:
    del sums.concurrency[:]
    for level in sorted(levels):
        weight, seconds = levels[level]
        if level == busyness(level) and weight >= LEAST_WEIGHT:
            sums.concurrency.add(in_flight=level, weight=weight, seconds=seconds)


def _cap_failures(failures: MutableMapping[str, float]) -> None:
    """Keep the first codes by name: which came first must not matter."""
    for code in sorted(code for code in failures if code != OTHER)[CODES_MAX:]:
        failures[OTHER] = failures.get(OTHER, 0.0) + failures.pop(code)


def _put_hours(sums: VerbStatistics, calls: Iterable[Measured]) -> None:
    """Add to the hours, of which only the newest are kept; age does not matter to them."""
    hours = {kept.hour: [kept.count, kept.failed, kept.timed, kept.log_seconds] for kept in sums.hours}
    for call in calls:
        told = hours.setdefault(hour_of(call.at), [0, 0, 0, 0.0])
        told[0] += 1
        told[1] += not call.succeeded
        if call.succeeded and call.seconds is not None:
            told[2] += 1
            told[3] += on_grid(math.log(min(max(call.seconds, SECONDS_MIN), SECONDS_MAX)), LOG_BITS)
    del sums.hours[:]
    for hour in sorted(hours, reverse=True)[:HOURS_MAX]:
        count, failed, timed, log_seconds = hours[hour]
        sums.hours.add(
            hour=hour, count=int(count), failed=int(failed), timed=int(timed), log_seconds=log_seconds
        )
