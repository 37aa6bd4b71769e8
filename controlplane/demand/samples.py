"""The rule for samples: which are taken, which are left out and why, and what is made of those taken. Pure.

The history judges with it what is pushed; the puller judges with `value_fault` what a Prometheus answers.
What is left out is counted by reason and never mixed in. The whole rule is the table `WORDS`.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum, StrEnum

from controlplane.demand.grid import cell_of
from controlplane.demand.signals import CELL_SECONDS, RULES, Signal

FUTURE_SECONDS = 300
"""A sender's clock may be so far ahead."""

LATE_SECONDS = 2 * 3600
"""A collector may hold samples back for so long."""

SPAN_SECONDS = 900
"""Two values of a counter further apart say nothing about the time between them: it is a gap."""


class Reason(StrEnum):
    """Why a sample was left out."""

    NAN = "NAN"
    INFINITE = "INFINITE"
    NEGATIVE = "NEGATIVE"
    ABSURD = "ABSURD"
    FUTURE = "FUTURE"
    LATE = "LATE"
    DUPLICATE = "DUPLICATE"
    OUT_OF_ORDER = "OUT_OF_ORDER"
    SHRUNK = "SHRUNK"
    TOO_COARSE = "TOO_COARSE"
    NO_VALUE = "NO_VALUE"
    WRONG_KIND = "WRONG_KIND"
    WRONG_TEMPORALITY = "WRONG_TEMPORALITY"
    WRONG_UNIT = "WRONG_UNIT"
    NO_CPU_COUNT = "NO_CPU_COUNT"
    UNKNOWN_WORKLOAD = "UNKNOWN_WORKLOAD"
    TOO_MANY_SERIES = "TOO_MANY_SERIES"


WORDS: dict[Reason, str] = {
    Reason.NAN: "the value is not a number",
    Reason.INFINITE: "the value is infinite",
    Reason.NEGATIVE: "the value is below 0, which no demand can be",
    Reason.ABSURD: "the value is above what is believed of its signal",
    Reason.FUTURE: f"its time is more than {FUTURE_SECONDS // 60} minutes ahead",
    Reason.LATE: f"its time is more than {LATE_SECONDS // 3600} hours past",
    Reason.DUPLICATE: "its series has a value of that time",
    Reason.OUT_OF_ORDER: "its series has a newer value",
    Reason.SHRUNK: "a counter went back and did not begin anew; it is counted on from there",
    Reason.TOO_COARSE: f"it covers more than {SPAN_SECONDS // 60} minutes",
    Reason.NO_VALUE: "it is marked as having no value",
    Reason.WRONG_KIND: "the metric is of another kind than its name says: a gauge, a sum or a histogram",
    Reason.WRONG_TEMPORALITY: "deltas of something that is no counter cannot be added up",
    Reason.WRONG_UNIT: "the unit is none that the metric may have",
    Reason.NO_CPU_COUNT: "a utilization says nothing without the resource attribute enchain.cpus",
    Reason.UNKNOWN_WORKLOAD: "no attribute names a workload that exists; set enchain.workload",
    Reason.TOO_MANY_SERIES: "more series than are kept; send fewer attributes, or fewer resources",
}


class Kind(Enum):
    """What a value means."""

    GAUGE = "gauge"
    CUMULATIVE = "cumulative"
    DELTA = "delta"


@dataclass(frozen=True, slots=True)
class Line:
    """What samples belong together: one part of what one resource uses.

    Attributes:
        workload: The workload's id.
        signal: Which signal.
        resource: The resource, or what stands for one.
        part: Tells the parts of a resource apart that are added up, such as directions or processes.
        rank: How direct the kind of metric is.
    """

    workload: str
    signal: Signal
    resource: str
    part: str
    rank: int


@dataclass(frozen=True, slots=True)
class Point:
    """One sample.

    Attributes:
        line: Where it belongs.
        reporter: Who measured it; a counter of another reporter counts from elsewhere.
        kind: What the value means.
        start: Since when a counter counts, or what time a delta covers; seconds since the epoch, 0 unknown.
        time: Seconds since the epoch.
        value: In the signal's unit, of a counter times seconds.
    """

    line: Line
    reporter: str
    kind: Kind
    start: float
    time: float
    value: float


@dataclass(frozen=True, slots=True)
class Newest:
    """The newest sample of one line and reporter: what the next one is compared with."""

    time: float
    value: float
    start: float


@dataclass(frozen=True, slots=True)
class Share:
    """What a sample adds to one cell; a cell's value is the sum of totals over the sum of weights.

    Attributes:
        cell: Beginning of the cell.
        total: The value of a gauge, or the increase of a counter.
        weight: 1 for a gauge; for a counter the seconds in which it increased.
    """

    cell: int
    total: float
    weight: float


@dataclass(frozen=True, slots=True)
class Taken:
    """What became of a sample.

    Attributes:
        newest: What the next sample of its line and reporter is compared with.
        shares: What it adds; nothing for the first value of a counter.
        reason: Why nothing of it was used; None where it was.
    """

    newest: Newest | None
    shares: tuple[Share, ...] = ()
    reason: Reason | None = None


def value_fault(signal: Signal, value: float) -> Reason | None:
    """Say what is wrong with a value in the signal's unit."""
    if fault := _number_fault(value):
        return fault
    return Reason.ABSURD if value > RULES[signal].ceiling else None


def _number_fault(value: float) -> Reason | None:
    if math.isnan(value):
        return Reason.NAN
    if math.isinf(value):
        return Reason.INFINITE
    return Reason.NEGATIVE if value < 0 else None


def taken(point: Point, newest: Newest | None, *, now: float, oldest: float) -> Taken:
    """Judge a sample by the rule, and say what it adds.

    Args:
        point: The sample.
        newest: The newest one of its line and reporter that was used.
        now: Seconds since the epoch.
        oldest: Cells before it are settled, so whatever belongs there is late.
    """
    reason = _number_fault(point.value) or _time_fault(point, newest, now=now, oldest=oldest)
    if reason is not None:
        return Taken(newest, reason=reason)
    if point.kind is Kind.GAUGE:
        return _gauge(point, newest)
    return _delta(point, newest) if point.kind is Kind.DELTA else _cumulative(point, newest)


def _time_fault(point: Point, newest: Newest | None, *, now: float, oldest: float) -> Reason | None:
    if point.time > now + FUTURE_SECONDS:
        return Reason.FUTURE
    if point.time < max(now - LATE_SECONDS, oldest):
        return Reason.LATE
    if newest is not None and point.time <= newest.time:
        return Reason.DUPLICATE if point.time == newest.time else Reason.OUT_OF_ORDER
    return None


def _gauge(point: Point, newest: Newest | None) -> Taken:
    if point.value > RULES[point.line.signal].ceiling:
        return Taken(newest, reason=Reason.ABSURD)
    share = Share(cell_of(point.time), point.value, 1.0)
    return Taken(Newest(point.time, point.value, point.start), (share,))


def _cumulative(point: Point, newest: Newest | None) -> Taken:
    """Take the increase since the value before.

    The first value only says where to count from: many exporters hand on totals that are older than they
    are, whatever start they claim. A counter that begins anew, by its start or because none is known, counts
    from 0.
    """
    following = Newest(point.time, point.value, point.start)
    if newest is None or point.time - newest.time > SPAN_SECONDS:
        return Taken(following)
    begin, increase = newest.time, point.value - newest.value
    if increase < 0:
        if point.start and point.start == newest.start:
            return Taken(following, reason=Reason.SHRUNK)
        begin, increase = max(begin, min(point.start, point.time)), point.value
    return _increase(point, newest, following, begin, increase)


def _delta(point: Point, newest: Newest | None) -> Taken:
    following = Newest(point.time, 0.0, point.start)
    before = newest.time if newest is not None else 0.0
    begin = max(point.start, before)
    if not begin:
        return Taken(following)
    if point.time - begin > SPAN_SECONDS:
        return Taken(following, reason=Reason.TOO_COARSE)
    return _increase(point, newest, following, begin, point.value)


def _increase(point: Point, newest: Newest | None, following: Newest, begin: float, increase: float) -> Taken:
    seconds = point.time - begin
    if seconds <= 0:
        return Taken(following)
    if increase / seconds > RULES[point.line.signal].ceiling:
        # What came before stays what is compared with: the counter may be well again with the next value.
        return Taken(newest, reason=Reason.ABSURD)
    return Taken(following, tuple(_spread(begin, point.time, increase)))


def _spread(begin: float, end: float, increase: float) -> Iterator[Share]:
    """Spread an increase evenly over the cells in which it came about."""
    cell = cell_of(begin)
    while cell < end:
        weight = min(end, cell + CELL_SECONDS) - max(begin, cell)
        if weight > 0:
            yield Share(cell, increase * weight / (end - begin), weight)
        cell += CELL_SECONDS
