"""Every chain that could be taken, sized and costed. Pure.

Choosing compares what it answers, and explaining words it. It must prefer none.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np

from controlplane.planning.arrays import Rows, arrays_of
from controlplane.planning.changing import switching
from controlplane.planning.completion import done_by, time_at
from controlplane.planning.costs import expected
from controlplane.planning.durations import Z95, sums_below
from controlplane.planning.entries import Entries, Queues, queues, reached, waits_of
from controlplane.planning.moments import Moments, moments_of
from controlplane.planning.problem import Cost, Option, PoolTarget, Problem
from controlplane.planning.queueing import FloatArray, IntArray
from controlplane.planning.rows import Row, rows_of, width
from controlplane.planning.rules import CELLS, SLOW_SHARE
from controlplane.planning.sizing import Sized, sized
from controlplane.planning.sums import across
from controlplane.planning.views import View

_Z999 = 3.09
"""The normal score that one of a thousand exceeds."""


@dataclass(frozen=True, slots=True)
class Sizing:
    """How the size of one pool came about, for what must be decided now.

    Attributes:
        size: Instances.
        worked: What the work alone needs.
        least: What is kept anyway.
        honoured: At most by the engine's bounds.
        economic: Instances were added that save more waiting than they cost.
        promised: Instances were added to keep the promised time.
        short: A bound keeps it below what the work needs.
    """

    size: int
    worked: int
    least: int
    honoured: int
    economic: bool
    promised: bool
    short: bool


@dataclass(frozen=True, slots=True)
class Judged:
    """An option and what it rests on.

    Attributes:
        option: Without reasons yet.
        row: What was reckoned with.
        sizings: Of its pools, in their order.
        kept_now: The service level is kept within the lead time.
        succeeds: It succeeds as often as promised.
        fastest_seconds: P95 where nothing ever waits.
        planned_rate: Provisions an hour that must be decided for now.
        forecast_rate: The same as the forecast alone has it.
    """

    option: Option
    row: Row
    sizings: tuple[Sizing, ...]
    kept_now: bool
    succeeds: bool
    fastest_seconds: float
    planned_rate: float
    forecast_rate: float


def judged(problems: Sequence[Problem], view: View) -> list[list[Judged]]:
    """Answer the options of each problem, in the order of its candidates."""
    found: list[list[Judged]] = [[] for _ in problems]
    listed = rows_of(problems, view)
    if listed:
        for one in _judged(arrays_of(listed)):
            found[one.row.at].append(one)
    return found


def _judged(rows: Rows) -> list[Judged]:
    moments = moments_of(rows)
    sizes = sized(rows, moments.entries)
    money = expected(rows, moments, sizes.sizes)
    now = moments.now()
    p95 = _p95(rows, moments.entries.pick(now), sizes.sizes[now])
    alone = _p95(rows, _idle(moments.entries.pick(now)), sizes.sizes[now])
    pools = [
        tuple(_target(rows, moments, sizes.sizes, i, p) for p in range(len(row.pools)))
        for i, row in enumerate(rows.rows)
    ]
    change = switching(rows.rows, pools, alone.tolist())
    reckoned = [
        _Reckoned(money.of(i, change[i]), float(money.missed[i]), pools[i], float(p95[i]), float(alone[i]))
        for i in range(len(rows.rows))
    ]
    return [_one(rows, moments, sizes, found, i) for i, found in enumerate(reckoned)]


class _Reckoned(NamedTuple):
    """What was worked out of one row."""

    cost: Cost
    missed: float
    pools: tuple[PoolTarget, ...]
    p95: float
    alone: float


def _idle(entries: Entries) -> Entries:
    return replace(entries, rate=np.zeros_like(entries.rate), other=np.zeros_like(entries.other))


def _p95(rows: Rows, entries: Entries, sizes: IntArray) -> FloatArray:
    """Answer what 95 % of provisions stay below: on the promise's own grid where they keep it."""
    found = queues(rows, entries, sizes)
    every = np.arange(len(entries.row))
    promised = np.where(rows.promised[entries.row] > 0, rows.promised[entries.row], 1.0)
    fast = time_at(reached(rows, entries, found, every), promised, 1 - SLOW_SHARE)
    fast[rows.promised[entries.row] <= 0] = np.inf
    wide = np.flatnonzero(~np.isfinite(fast))
    if len(wide):
        fast[wide] = _p95_beyond(rows, entries, found, wide)
    fast[found.carried < 1] = np.inf
    return fast


def _p95_beyond(rows: Rows, entries: Entries, found: Queues, part: IntArray) -> FloatArray:
    row = entries.row[part]
    waited = (found.own_seconds + found.other_seconds) * (found.chance > 0)
    until = 5.0 * across(waited[part] * rows.calls[row])
    counts = (rows.visits[row] >= 0).sum(axis=1).astype(np.float64)
    slowest = np.exp(rows.shapes[row][..., 1] + (_Z999 - Z95) * rows.shapes[row][..., 3])
    until += across(np.where(rows.visits[row] >= 0, slowest, 0.0))
    service = sums_below(rows.shapes[row], counts, until, CELLS)
    done = done_by(service, waits_of(rows, row, found, part), until)
    return time_at(done, until, 1 - SLOW_SHARE)


def _one(rows: Rows, moments: Moments, sizes: Sized, found: _Reckoned, i: int) -> Judged:
    row = rows.rows[i]
    start, parts = int(moments.starts[i]), int(moments.parts[i])
    now = start + parts
    ahead = int(moments.ahead[i])
    kept = sizes.kept[start : start + parts + 1]
    succeeds = row.success >= row.problem.promise.success - 1e-12
    option = Option(
        chain=row.candidate.chain,
        cost=found.cost,
        quantile=float(moments.quantiles[i]),
        lead_seconds=row.lead_seconds,
        p95_seconds=found.p95,
        miss_probability=found.missed,
        success=row.success,
        pools=found.pools,
        samples=row.samples,
        feasible=bool(kept.all()) and succeeds,
    )
    return Judged(
        option=option,
        row=row,
        sizings=tuple(_sizing(rows, sizes, i, p, now) for p in range(len(row.pools))),
        kept_now=bool(kept[:ahead].all() and kept[parts]) and succeeds,
        succeeds=succeeds,
        fastest_seconds=found.alone,
        planned_rate=float(moments.entries.rate[now]),
        forecast_rate=float(moments.forecast[i]),
    )


def _target(rows: Rows, moments: Moments, sizes: IntArray, i: int, p: int) -> PoolTarget:
    row = rows.rows[i]
    pool = row.pools[p]
    start, parts = int(moments.starts[i]), int(moments.parts[i])
    now, held = start + parts, start + parts + 1
    rates = moments.rates[i]
    by_step = np.repeat(sizes[start : start + parts, p], width(row.problem.demand))[: len(rates)]
    target = int(max(sizes[now, p], min(pool.target, sizes[held, p], rows.most[i, p])))
    mine = float(rows.load[i, p] * moments.entries.rate[now])
    whole = mine + float(moments.entries.other[now, p])
    return PoolTarget(
        engine=pool.engine,
        now=pool.ready,
        target=target,
        targets=tuple(by_step.tolist()),
        load=tuple((rows.load[i, p] * rates).tolist()),
        share=target * (mine / whole if whole > 0 else 1.0),
    )


def _sizing(rows: Rows, sizes: Sized, i: int, p: int, now: int) -> Sizing:
    return Sizing(
        size=int(sizes.sizes[now, p]),
        worked=int(sizes.worked[now, p]),
        least=int(rows.least[i, p]),
        honoured=int(rows.honoured[i, p]),
        economic=bool(sizes.economic[now, p]),
        promised=bool(sizes.promised[now, p]),
        short=bool(sizes.short[now, p]),
    )
