"""Candidates as arrays: what sizing and costs reckon with, for many chains of many workloads at once. Pure.

A row is one candidate of one problem. Its pools stand in the order in which it first calls them, its calls in
the order of the chain; what a row has fewer of is filled with pools and calls that never matter.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from controlplane.planning.durations import LogShape, overdue_by, shape_of, sums_below
from controlplane.planning.knee import useful
from controlplane.planning.problem import Call, Candidate, EngineVersion, PoolFacts, Problem
from controlplane.planning.queueing import FloatArray, IntArray, residual_seconds
from controlplane.planning.rules import CELLS
from controlplane.planning.views import Alike, View, measured_alike, seen

BoolArray = NDArray[np.bool_]

UNBOUNDED = 1_000_000
"""Instances at most where there is no maximum."""

_NO_SHAPE = LogShape(0.0, 0.0, 1.0, 1.0)


@dataclass(frozen=True, slots=True)
class Row:
    """One candidate of one problem, as it is believed to be.

    Attributes:
        problem: It belongs to.
        at: Where the problem is in its batch.
        candidate: The chain, with its figures as they are told.
        pools: Facts of its pools, in the order in which it first calls them.
        calls: Its calls as they are believed to be.
        lead_seconds: The longest start-up of what may be launched.
        success: The share of provisions that succeed.
        samples: How many measurements its least known call rests on.
        request_price: What engines take for one provision, retries included.
        capacity_price: What the instances cost that carry one provision an hour, per hour.
    """

    problem: Problem
    at: int
    candidate: Candidate
    pools: tuple[PoolFacts, ...]
    calls: tuple[Call, ...]
    lead_seconds: float
    success: float
    samples: float
    request_price: float
    capacity_price: float


@dataclass(frozen=True, slots=True)
class Rows:
    """Rows as arrays; n rows, p pools, j calls. Rates are provisions an hour.

    Attributes:
        rows: The rows.
        visits: Shape (n, j): which of the row's pools the call goes to; -1 where it has no such call.
        calls: Shape (n, p): how many of the row's calls go to the pool.
        shapes: Shape (n, j, 4): how long each call takes, rows of `LogShape`.
        used: Shape (n, p): the row has such a pool.
        places: Shape (n, p): what an instance usefully runs at once.
        load: Shape (n, p): work in flight for one provision an hour.
        own: Shape (n, p): what is left on average of a call of this workload in progress, in seconds.
        other: Shape (n, p): the same of others' calls.
        price: Shape (n, p): of an instance, per hour.
        least: Shape (n, p): instances at least.
        honoured: Shape (n, p): instances at most by the engine's bounds.
        most: Shape (n, p): instances at most where a plan may exceed them.
        promised: Shape (n,): seconds; 0 where nothing is promised.
        wait_price: Shape (n,): of an hour of waiting.
        service: Shape (CELLS + 1, n): by when provisions are done that never wait, up to the promise.
        overdue: Shape (n, len(DECAYS)): how likely a wait of such a rate makes a provision too slow.
        miss_price: Shape (n,): of a provision that would have succeeded in time.
    """

    rows: tuple[Row, ...]
    visits: IntArray
    calls: IntArray
    shapes: FloatArray
    used: BoolArray
    places: IntArray
    load: FloatArray
    own: FloatArray
    other: FloatArray
    price: FloatArray
    least: IntArray
    honoured: IntArray
    most: IntArray
    promised: FloatArray
    wait_price: FloatArray
    service: FloatArray
    overdue: FloatArray
    miss_price: FloatArray


def rows_of(problems: Sequence[Problem], view: View) -> list[Row]:
    """Answer the candidates of problems; those of chains in force as measured, all others by the view."""
    found = []
    for at, problem in enumerate(problems):
        alike = measured_alike(problem.candidates)
        facts = {pool.engine: pool for pool in problem.pools}
        for candidate in problem.candidates:
            plain = candidate.chain == problem.current
            found.append(_row(problem, at, candidate, facts, alike, View.PLAIN if plain else view))
    return found


def arrays_of(rows: Sequence[Row]) -> Rows:
    """Lay rows out as arrays."""
    n = len(rows)
    wide = max((len(row.pools) for row in rows), default=1)
    long = max((len(row.calls) for row in rows), default=1)
    visits = np.full((n, long), -1, dtype=np.int64)
    shapes = np.tile(np.array(_NO_SHAPE), (n, long, 1))
    whole = np.ones((5, n, wide), dtype=np.int64)
    whole[1:] = 0
    figures = np.zeros((4, n, wide))
    for i, row in enumerate(rows):
        index = {pool.engine: p for p, pool in enumerate(row.pools)}
        visits[i, : len(row.calls)] = [index[call.engine] for call in row.calls]
        for j, call in enumerate(row.calls):
            shapes[i, j] = _known(call, row.pools[index[call.engine]].capacity).shape
        for p, pool in enumerate(row.pools):
            whole[:, i, p], figures[:, i, p] = _pool_columns(row, pool)
    promised = np.array([row.problem.promise.p95_seconds for row in rows])
    counts = np.array([len(row.calls) for row in rows], dtype=np.float64)
    service = sums_below(shapes, counts, np.where(promised > 0, promised, 1.0), CELLS)
    return Rows(
        rows=tuple(rows),
        visits=visits,
        calls=np.stack([(visits == pool).sum(axis=1) for pool in range(wide)], axis=1),
        shapes=shapes,
        used=whole[4] > 0,
        places=whole[0],
        load=figures[0],
        own=figures[1],
        other=figures[2],
        price=figures[3],
        least=whole[1],
        honoured=whole[2],
        most=whole[3],
        promised=promised,
        wait_price=np.array([row.problem.promise.wait_price_per_hour for row in rows]),
        service=service,
        overdue=np.where(promised[:, None] > 0, overdue_by(service), 0.0),
        miss_price=np.array([row.problem.promise.miss_price * row.success for row in rows]),
    )


@dataclass(frozen=True, slots=True)
class _Known:
    places: int
    seconds: float
    load: float
    residual: float
    shape: LogShape


@lru_cache(maxsize=1 << 15)
def _known(call: Call, capacity: int) -> _Known:
    """Work out what a call does to an instance of that capacity."""
    places, seconds = useful(call, capacity)
    attempts = max(1.0, call.attempts)
    stretch = attempts * seconds / call.mean_seconds
    return _Known(
        places=places,
        seconds=seconds,
        load=attempts * seconds / 3600.0,
        residual=residual_seconds(seconds, call.variation),
        shape=shape_of(
            call.p50_seconds, call.p95_seconds, call.p99_seconds, call.mean_seconds, call.variation, stretch
        ),
    )


def _row(
    problem: Problem,
    at: int,
    candidate: Candidate,
    facts: dict[EngineVersion, PoolFacts],
    alike: Alike,
    view: View,
) -> Row:
    calls = tuple(seen(call, view, alike) for call in candidate.calls)
    engines = dict.fromkeys(call.engine for call in calls)
    pools = tuple(facts.get(engine) or PoolFacts(engine, launchable=False) for engine in engines)
    by_engine = dict(zip(engines, pools, strict=True))
    success = 1.0
    for call in calls:
        success *= call.success
    return Row(
        problem=problem,
        at=at,
        candidate=candidate,
        pools=pools,
        calls=calls,
        lead_seconds=max((pool.cold_start_seconds for pool in pools if _may_grow(pool)), default=0.0),
        success=success,
        samples=min((call.samples for call in candidate.calls), default=0.0),
        request_price=sum(
            max(1.0, call.attempts) * (call.cost + by_engine[call.engine].price_per_request) for call in calls
        ),
        capacity_price=sum(
            _known(call, pool.capacity).load / _known(call, pool.capacity).places * pool.price_per_hour
            for call in calls
            for pool in (by_engine[call.engine],)
        ),
    )


def bounds_of(pool: PoolFacts, exceed_by: float) -> tuple[int, int, int]:
    """Answer how few instances a pool may have, how many by its engine's bounds, and how many at all.

    What is pinned, or run by others, stays as it is. What must be kept is kept whatever the maximum says.
    """
    if pool.pinned:
        return pool.target, pool.target, pool.target
    if not pool.launchable:
        return pool.ready, pool.ready, pool.ready
    least = max(pool.minimum, pool.floor)
    honoured = UNBOUNDED if pool.maximum is None else max(pool.maximum, least)
    most = UNBOUNDED if pool.maximum is None else max(honoured, int(pool.maximum * (1 + exceed_by) + 1e-9))
    return least, honoured, most


def _may_grow(pool: PoolFacts) -> bool:
    return pool.launchable and not pool.pinned


def _pool_columns(row: Row, pool: PoolFacts) -> tuple[list[int], list[float]]:
    own = [_known(call, pool.capacity) for call in row.calls if call.engine == pool.engine]
    load = sum(call.load for call in own)
    residual = sum(call.load * call.residual for call in own) / load
    other = residual_seconds(pool.other_seconds, pool.other_variation) if pool.other_seconds > 0 else residual
    least, honoured, most = bounds_of(pool, row.problem.policy.exceed_max_by)
    # A chain in force keeps an instance of each of its engines: what comes unforeseen must find one.
    least = min(max(least, 1), most)
    places = min(call.places for call in own)
    return [places, least, honoured, most, 1], [load, residual, other, pool.price_per_hour]
