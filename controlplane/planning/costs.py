"""What sizes cost, in expectation over the distribution of demand. Pure.

Options call it once sizes are settled. Everything is an average an hour over the horizon.
"""

from dataclasses import dataclass

import numpy as np

from controlplane.planning.demand import strata_of, stratum_weights
from controlplane.planning.entries import Entries, late, queues
from controlplane.planning.moments import Moments, others_on
from controlplane.planning.problem import PoolFacts, Problem
from controlplane.planning.queueing import FloatArray, IntArray
from controlplane.planning.rows import Rows, bounds_of
from controlplane.planning.rules import UTILISATION_MAX


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


def expected(rows: Rows, moments: Moments, sizes: IntArray) -> Expected:
    """Answer what is expected of rows with such sizes, shape (e, p), by moment."""
    steps = moments.every_step()
    row = moments.entries.row[steps]
    rates = np.concatenate([strata_of(one.problem.demand) for one in rows.rows])
    weights = stratum_weights()
    parts = rates.shape[1]
    every = Entries(
        np.repeat(row, parts), rates.ravel(), np.repeat(moments.entries.other[steps], parts, axis=0)
    )
    found = queues(rows, every, np.repeat(sizes[steps], parts, axis=0))
    success = np.array([one.success for one in rows.rows])[every.row]
    missing = (1.0 - success * (1.0 - late(rows, every, found))).reshape(-1, parts)
    step_seconds = np.array([one.problem.demand.step_seconds for one in rows.rows])[every.row]
    # What queues cannot carry waits until half the step is over, on average, and counts as missed besides.
    seconds = (found.mean_seconds * rows.calls[every.row]).sum(axis=1)
    seconds = (seconds + (1.0 - found.carried) * step_seconds / 2).reshape(-1, parts)
    arrivals = (rates @ weights, row, moments)
    missed_rate = _mean((rates * missing) @ weights, row, moments)
    rate = _mean(*arrivals)
    prices = [(one.request_price, one.problem.promise.miss_price) for one in rows.rows]
    request_price, miss_price = np.array(prices).T
    none_come = _mean(missing @ weights, row, moments)
    return Expected(
        instances=_instances(rows, moments, sizes),
        requests=rate * request_price,
        misses=missed_rate * miss_price,
        waiting=_mean((rates * seconds) @ weights, row, moments) * rows.wait_price / 3600,
        missed=np.where(rate > 0, missed_rate / np.where(rate > 0, rate, 1.0), none_come),
    )


def _mean(values: FloatArray, row: IntArray, moments: Moments) -> FloatArray:
    """Average over each row's steps."""
    return np.bincount(row, weights=values, minlength=len(moments.steps)) / moments.steps


def _instances(rows: Rows, moments: Moments, sizes: IntArray) -> FloatArray:
    """Answer what instances cost, with those of pools that the row leaves alone, less what others need."""
    answer = np.zeros(len(rows.rows))
    spare: dict[int, dict[PoolFacts, tuple[FloatArray, float]]] = {}
    for i, row in enumerate(rows.rows):
        start, steps = int(moments.starts[i]), int(moments.steps[i])
        if row.at not in spare:
            spare[row.at] = {pool: _left_alone(row.problem, pool, steps) for pool in row.problem.pools}
        alone = spare[row.at]
        unused = sum(cost for pool, (_, cost) in alone.items() if pool not in row.pools)
        for p, pool in enumerate(row.pools):
            base = alone[pool][0] if pool in alone else 0.0
            mine = sizes[start : start + steps, p] - base
            unused += pool.price_per_hour * float(mine.mean())
        answer[i] = unused
    return answer


def _left_alone(problem: Problem, pool: PoolFacts, steps: int) -> tuple[FloatArray, float]:
    """Answer how many instances others need, by step, and what is kept beyond that where no chain uses it."""
    least, _, most = bounds_of(pool, problem.policy.exceed_max_by)
    needed = np.ceil(others_on(pool, steps) / (max(1, pool.capacity) * UTILISATION_MAX) - 1e-9)
    base = np.minimum(needed, most)
    kept = np.maximum(base, least)
    return base, pool.price_per_hour * float((kept - base).mean())
