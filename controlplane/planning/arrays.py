"""Candidates as arrays: what sizing and costs reckon with, for many chains of many workloads at once. Pure.

Options lay them out. Pools of a row stand in the order in which it first calls them, calls in the order of
the chain; what a row has fewer of is filled with pools and calls that never matter.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from controlplane.planning.durations import LogShape
from controlplane.planning.problem import PoolFacts
from controlplane.planning.queueing import FloatArray, IntArray, residual_seconds
from controlplane.planning.rows import Figures, Row, bounds_of, width
from controlplane.planning.unhindered import Memory, Unhindered, unhindered

BoolArray = NDArray[np.bool_]

_NO_SHAPE = LogShape(0.0, 0.0, 1.0, 1.0)


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
        part_seconds: Shape (n,): how long a part of the horizon is that is planned as one.
        wait_price: Shape (n,): of an hour of waiting.
        service: Shape (CELLS + 1, n): by when provisions are done that never wait, up to the promise.
        alone: How long provisions take that never wait.
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
    part_seconds: FloatArray
    wait_price: FloatArray
    service: FloatArray
    alone: Unhindered
    miss_price: FloatArray


def arrays_of(rows: Sequence[Row], memory: Memory | None = None) -> Rows:
    """Lay rows out as arrays.

    Args:
        rows: At least one.
        memory: What was worked out of rows before; what is new is added.
    """
    n = len(rows)
    wide, long = max(len(row.pools) for row in rows), max(len(row.known) for row in rows)
    known = _filled([len(row.known) for row in rows], long)
    used = _filled([len(row.pools) for row in rows], wide)
    visits, shapes = np.full((n, long), -1, dtype=np.int64), np.tile(np.array(_NO_SHAPE), (n, long, 1))
    visits[known] = [pool for row in rows for pool in row.visits]
    shapes[known] = [call.shape for row in rows for call in row.known]
    columns = [
        _columns(row, pool, of) for row in rows for pool, of in zip(row.pools, row.figures, strict=True)
    ]
    whole, figures = np.zeros((n, wide, 4), dtype=np.int64), np.zeros((n, wide, 4))
    whole[..., 0] = 1
    whole[used], figures[used] = [bounds for bounds, _ in columns], [values for _, values in columns]
    calls = np.stack([(visits == pool).sum(axis=1) for pool in range(wide)], axis=1)
    promised = np.array([row.problem.promise.p95_seconds for row in rows])
    demands = [row.problem.demand for row in rows]
    alone = _alone(rows, shapes, promised, int(calls.max()), {} if memory is None else memory)
    return Rows(
        rows=tuple(rows),
        visits=visits,
        calls=calls,
        shapes=shapes,
        used=used,
        places=whole[..., 0].copy(),
        load=figures[..., 0].copy(),
        own=figures[..., 1].copy(),
        other=figures[..., 2].copy(),
        price=figures[..., 3].copy(),
        least=whole[..., 1].copy(),
        honoured=whole[..., 2].copy(),
        most=whole[..., 3].copy(),
        promised=promised,
        part_seconds=np.array([demand.step_seconds * width(demand) for demand in demands]),
        wait_price=np.array([row.problem.promise.wait_price_per_hour for row in rows]),
        service=alone.service,
        alone=alone,
        miss_price=np.array([row.problem.promise.miss_price * row.success for row in rows]),
    )


def _filled(counts: Sequence[int], most: int) -> BoolArray:
    """Say which places are taken where rows have so many things each, shape (n, most)."""
    taken: BoolArray = np.arange(most) < np.array(counts)[:, None]
    return taken


def _alone(
    rows: Sequence[Row], shapes: FloatArray, promised: FloatArray, waits: int, memory: Memory
) -> Unhindered:
    of = (
        waits,
        *((tuple(call.shape for call in row.known), row.problem.promise.p95_seconds) for row in rows),
    )
    if of not in memory:
        counts = np.array([len(row.known) for row in rows], dtype=np.float64)
        memory[of] = unhindered(shapes, counts, promised, waits)
    return memory[of]


def _columns(row: Row, pool: PoolFacts, of: Figures) -> tuple[list[int], list[float]]:
    known = pool.other_seconds > 0
    other = residual_seconds(pool.other_seconds, pool.other_variation) if known else of.left
    least, honoured, most = bounds_of(pool, row.problem.policy.exceed_max_by)
    # A chain in force keeps an instance of each of its engines: what comes unforeseen must find one.
    least = min(max(least, 1), most)
    return [of.places, least, honoured, most], [of.load, of.left, other, pool.price_per_hour]
