"""What sizes cost, in expectation over the distribution of demand. Pure.

Options call it once sizes are settled. Everything is an average an hour over the horizon.
"""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from controlplane.planning.arrays import Rows
from controlplane.planning.demand import stratum_weights
from controlplane.planning.entries import late, queues, waiting
from controlplane.planning.moments import Horizon, Moments
from controlplane.planning.problem import Cost, EngineVersion, Problem
from controlplane.planning.queueing import FloatArray, IntArray
from controlplane.planning.rows import bounds_of
from controlplane.planning.rules import UTILISATION_MAX
from controlplane.planning.sums import across, weighted


@dataclass(frozen=True, slots=True)
class Expected:
    """What is expected of rows, an hour; each of shape (n,).

    Attributes:
        instances: Money for instances, less those that others need anyway.
        requests: Money for requests.
        misses: Money for provisions that fail or are too slow.
        waiting: Money for time in queues.
        missed: The share of provisions that fail or are too slow.
    """

    instances: FloatArray
    requests: FloatArray
    misses: FloatArray
    waiting: FloatArray
    missed: FloatArray

    def of(self, row: int, switching: float) -> Cost:
        """Answer what one row costs, with what the change to it does."""
        return Cost(
            instances=float(self.instances[row]),
            requests=float(self.requests[row]),
            misses=float(self.misses[row]),
            waiting=float(self.waiting[row]),
            switching=switching,
        )


def expected(rows: Rows, moments: Moments, sizes: IntArray) -> Expected:
    """Answer what is expected of rows with such sizes, shape (e, p), by moment."""
    parts = moments.every_part()
    entries = moments.entries.pick(parts)
    rates, weights, row = entries.strata, stratum_weights(), entries.row
    every = entries.spread()
    found = queues(rows, every, np.repeat(sizes[parts], rates.shape[1], axis=0))
    success = np.array([one.success for one in rows.rows])[every.row]
    missing = (1.0 - success * (1.0 - late(rows, every, found))).reshape(rates.shape)
    seconds = across(found.mean_seconds * rows.calls[every.row])
    seconds = waiting(found.carried, seconds, rows.part_seconds[every.row])
    share = _shares(rows, moments)
    rate = np.bincount(row, weighted(rates, weights) * share)
    missed = np.bincount(row, weighted(rates * missing, weights) * share)
    none_come = np.bincount(row, weighted(missing, weights) * share)
    waited = np.bincount(row, weighted(rates * seconds.reshape(rates.shape), weights) * share)
    prices = [(one.request_price, one.problem.promise.miss_price) for one in rows.rows]
    request_price, miss_price = np.array(prices).T
    return Expected(
        instances=_instances(rows, moments, sizes),
        requests=rate * request_price,
        misses=missed * miss_price,
        waiting=waited * rows.wait_price / 3600,
        missed=np.where(rate > 0, missed / np.where(rate > 0, rate, 1.0), none_come),
    )


def _shares(rows: Rows, moments: Moments) -> FloatArray:
    """Answer which share of its horizon each part is, in the order of `every_part`."""
    return np.concatenate([moments.horizons[row.at].spans for row in rows.rows])


def _instances(rows: Rows, moments: Moments, sizes: IntArray) -> FloatArray:
    """Answer what instances cost, with those of pools that the row leaves alone, less what others need."""
    left: dict[int, _Left] = {}
    answer, mine = np.zeros(len(rows.rows)), sizes.astype(np.float64)
    for i, row in enumerate(rows.rows):
        if row.at not in left:
            left[row.at] = _left_alone(row.problem, moments.horizons[row.at])
        alone, start = left[row.at], int(moments.starts[i])
        used = {pool.engine for pool in row.pools}
        answer[i] = sum(cost for engine, cost in alone.kept.items() if engine not in used)
        columns = [alone.columns.get(pool.engine, -1) for pool in row.pools]
        mine[start : start + len(alone.needed), : len(columns)] -= alone.needed[:, columns]
    for parts in np.unique(moments.parts).tolist():
        some = np.flatnonzero(moments.parts == parts)
        spans = np.stack([moments.horizons[rows.rows[i].at].spans for i in some.tolist()])
        mean = np.zeros((len(some), mine.shape[1]))
        for part in range(parts):
            mean += mine[moments.starts[some] + part] * spans[:, part, None]
        answer[some] += across(rows.price[some] * mean)
    return answer


class _Left(NamedTuple):
    """The pools of a problem as others leave them.

    Attributes:
        columns: Where each pool is.
        needed: Shape (parts, pools + 1): instances that others need; the last column is
            of pools that nobody knows.
        kept: Money an hour for what is kept beyond them where the row does not use the pool.
    """

    columns: dict[EngineVersion, int]
    needed: FloatArray
    kept: dict[EngineVersion, float]


def _left_alone(problem: Problem, horizon: Horizon) -> _Left:
    bounds = np.array([bounds_of(pool, problem.policy.exceed_max_by) for pool in problem.pools]).reshape(
        -1, 3
    )
    places = np.array([pool.capacity * UTILISATION_MAX for pool in problem.pools])
    loads = [horizon.most(horizon.others[pool.engine]) for pool in problem.pools]
    needed = np.zeros((len(loads) + 1, len(horizon.spans)))
    if loads:
        needed[:-1] = np.minimum(np.ceil(np.array(loads) / places[:, None] - 1e-9), bounds[:, 2, None])
    beyond = np.maximum(needed[:-1], bounds[:, 0, None]) - needed[:-1]
    money = [
        pool.price_per_hour * float(one @ horizon.spans)
        for pool, one in zip(problem.pools, beyond, strict=True)
    ]
    engines = [pool.engine for pool in problem.pools]
    return _Left(
        columns={engine: column for column, engine in enumerate(engines)},
        needed=needed.T,
        kept=dict(zip(engines, money, strict=True)),
    )
