"""What sizes cost, in expectation over the distribution of demand. Pure.

Options call it once sizes are settled. Everything is an average an hour over the horizon.
"""

from dataclasses import dataclass

import numpy as np

from controlplane.planning.arrays import Rows
from controlplane.planning.demand import stratum_weights
from controlplane.planning.entries import late, queues, waiting
from controlplane.planning.moments import Horizon, Moments
from controlplane.planning.problem import Cost, EngineVersion, PoolFacts, Problem
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
    answer = np.zeros(len(rows.rows))
    alone: dict[int, dict[EngineVersion, tuple[FloatArray, float]]] = {}
    for i, row in enumerate(rows.rows):
        horizon = moments.horizons[row.at]
        if row.at not in alone:
            alone[row.at] = {
                pool.engine: _left_alone(row.problem, pool, horizon) for pool in row.problem.pools
            }
        left = alone[row.at]
        used = {pool.engine for pool in row.pools}
        answer[i] = sum(cost for engine, (_, cost) in left.items() if engine not in used)
        start = int(moments.starts[i])
        mine = sizes[start : start + len(horizon.spans)].T.astype(np.float64)
        for p, pool in enumerate(row.pools):
            if pool.engine in left:
                mine[p] -= left[pool.engine][0]
        prices = [pool.price_per_hour for pool in row.pools]
        averages = weighted(mine[: len(prices)], horizon.spans).tolist()
        answer[i] += sum(price * mean for price, mean in zip(prices, averages, strict=True))
    return answer


def _left_alone(problem: Problem, pool: PoolFacts, horizon: Horizon) -> tuple[FloatArray, float]:
    """Answer how many instances others need, by part, and what is kept beyond them if no chain uses it."""
    least, _, most = bounds_of(pool, problem.policy.exceed_max_by)
    load = horizon.most(horizon.others[pool.engine])
    base = np.minimum(np.ceil(load / (pool.capacity * UTILISATION_MAX) - 1e-9), most)
    kept = np.maximum(base, least)
    return base, pool.price_per_hour * float((kept - base) @ horizon.spans)
