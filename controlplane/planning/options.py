"""Every chain that could be taken, sized and costed. Pure.

Choosing compares what it answers, and explaining words it. It must prefer none.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from controlplane.planning.arrays import Rows, arrays_of
from controlplane.planning.changing import switching
from controlplane.planning.completion import done_by, time_at
from controlplane.planning.costs import expected
from controlplane.planning.durations import sums_below
from controlplane.planning.entries import Entries, Queues, queues, reached, waits_of
from controlplane.planning.moments import Moments, moments_of
from controlplane.planning.problem import Cost, Option, PoolTarget, Problem
from controlplane.planning.queueing import FloatArray, IntArray
from controlplane.planning.rows import Row, rows_of, width
from controlplane.planning.rules import CELLS, SLOW_SHARE
from controlplane.planning.sizing import Sized, sized
from controlplane.planning.sums import across
from controlplane.planning.unhindered import Memory
from controlplane.planning.views import View


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


def judged(problems: Sequence[Problem], view: View, memory: Memory | None = None) -> list[list[Judged]]:
    """Answer the options of each problem, in the order of its candidates.

    Args:
        problems: What is planned for.
        view: How much doubt is given its due.
        memory: What was worked out of the same chains before; what is new is added.
    """
    found: list[list[Judged]] = [[] for _ in problems]
    listed = rows_of(problems, view)
    if listed:
        for one in _judged(arrays_of(listed, memory)):
            found[one.row.at].append(one)
    return found


def _judged(rows: Rows) -> list[Judged]:
    moments = moments_of(rows)
    sizes = sized(rows, moments.entries)
    money = expected(rows, moments, sizes.sizes)
    now = moments.now()
    p95 = _p95(rows, moments.entries.pick(now), sizes.sizes[now])
    alone = rows.alone.p95.tolist()
    pools = _targets(rows, moments, sizes.sizes)
    change = switching(rows.rows, pools, alone)
    reckoned = [
        _Reckoned(money.of(i, change[i]), missed, pools[i], late, alone[i], sizings)
        for i, (missed, late, sizings) in enumerate(
            zip(money.missed.tolist(), p95.tolist(), _sizings(rows, sizes, now), strict=True)
        )
    ]
    return [_one(rows, moments, sizes, found, i) for i, found in enumerate(reckoned)]


class _Reckoned(NamedTuple):
    """What was worked out of one row."""

    cost: Cost
    missed: float
    pools: tuple[PoolTarget, ...]
    p95: float
    alone: float
    sizings: tuple[Sizing, ...]


def _p95(rows: Rows, entries: Entries, sizes: IntArray) -> FloatArray:
    """Answer what 95 % of provisions stay below: on the promise's own grid where they keep it."""
    found = queues(rows, entries, sizes)
    every = np.arange(len(entries.row))
    promised = np.where(rows.promised[entries.row] > 0, rows.promised[entries.row], 1.0)
    fast = time_at(reached(rows, entries, found, every), promised, 1 - SLOW_SHARE)
    fast[rows.promised[entries.row] <= 0] = np.inf
    fast[found.carried < 1] = np.inf
    wide = np.flatnonzero(~np.isfinite(fast) & (found.carried >= 1))
    if len(wide):
        fast[wide] = _p95_beyond(rows, entries, found, wide)
    return fast


def _p95_beyond(rows: Rows, entries: Entries, found: Queues, part: IntArray) -> FloatArray:
    row = entries.row[part]
    waited = (found.own_seconds + found.other_seconds) * (found.chance > 0)
    until = 5.0 * across(waited[part] * rows.calls[row])
    counts = (rows.visits[row] >= 0).sum(axis=1).astype(np.float64)
    until += rows.alone.longest[row]
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
        sizings=found.sizings,
        kept_now=bool(kept[:ahead].all() and kept[parts]) and succeeds,
        succeeds=succeeds,
        fastest_seconds=found.alone,
        planned_rate=float(moments.entries.rate[now]),
        forecast_rate=float(moments.forecast[i]),
    )


def _targets(rows: Rows, moments: Moments, sizes: IntArray) -> list[tuple[PoolTarget, ...]]:
    """Answer what each row wants of its pools."""
    now = moments.now()
    mine = rows.load * moments.entries.rate[now, None]
    whole = mine + moments.entries.other[now]
    shares: FloatArray = np.where(whole > 0, mine / np.where(whole > 0, whole, 1.0), 1.0)
    kept = np.minimum(sizes[now + 1], rows.most)
    every = zip(rows.rows, sizes[now].tolist(), kept.tolist(), shares.tolist(), strict=True)
    found = []
    for i, (row, needed, held, share) in enumerate(every):
        rates, parts = moments.rates[i], slice(int(moments.starts[i]), int(now[i]))
        wanted = np.repeat(sizes[parts], width(row.problem.demand), axis=0)[: len(rates)].T.tolist()
        work = (rows.load[i][:, None] * rates).tolist()
        targets = [max(needed[p], min(pool.target, held[p])) for p, pool in enumerate(row.pools)]
        found.append(
            tuple(
                PoolTarget(
                    engine=pool.engine,
                    now=pool.ready,
                    target=targets[p],
                    targets=tuple(wanted[p]),
                    load=tuple(work[p]),
                    share=targets[p] * share[p],
                )
                for p, pool in enumerate(row.pools)
            )
        )
    return found


def _sizings(rows: Rows, sizes: Sized, now: IntArray) -> list[tuple[Sizing, ...]]:
    """Answer how the pools of each row came to have the size that must be decided now."""
    whole = np.stack((sizes.sizes[now], sizes.worked[now], rows.least, rows.honoured), axis=-1).tolist()
    flags = np.stack((sizes.economic[now], sizes.promised[now], sizes.short[now]), axis=-1).tolist()
    return [
        tuple(Sizing(*whole[i][p], *flags[i][p]) for p in range(len(row.pools)))
        for i, row in enumerate(rows.rows)
    ]
