"""Policies in the simulation: what each costs and misses, at equal cost and at equal misses. Pure.

The benchmark calls it with a trial at every step. All series are brought to the same mean work, and requests
and their durations are drawn once, from the seed, so that all policies serve the very same ones. One headroom
for all series, chosen in hindsight, is each policy's best case.
"""

import math
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from benchmarks.scaling.simulating import Served, serve
from benchmarks.scaling.staffing import Work, carried, instances
from benchmarks.scaling.trials import Trial
from controlplane.forecast.series import FloatArray
from controlplane.planning.queueing import IntArray

MEAN_LOAD = 20.0
"""Work in flight on average, in instances."""

MOST = 2000
"""Instances at most."""

STEP_SECONDS = 300
LOWEST, HIGHEST = 0.05, 60.0
"""Headrooms that are tried."""

HALVINGS = 12


@dataclass(frozen=True, slots=True, eq=False)
class Traffic:
    """The requests of one series: work in flight by step for one unit of demand, arrivals and durations."""

    scale: float
    arrivals: FloatArray
    durations: FloatArray


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a policy came to over all series.

    Attributes:
        policy: Its name.
        headroom: The one factor for all series.
        cost: Instance hours by hours of work, mean over series.
        missed: The share of requests that took longer than promised, over all.
        by_series: The same of each series, as (cost, missed).
    """

    policy: str
    headroom: float
    cost: float
    missed: float
    by_series: tuple[tuple[float, float], ...]


class Arena:
    """One trial, one lead time, one set of requests.

    Args:
        made: The trial at every step.
        lead_seconds: From launch to ready.
        seed: Of arrivals and durations.
        work: What a request asks for.
    """

    def __init__(self, made: Trial, lead_seconds: int, seed: int, work: Work) -> None:
        self._made = made
        self._lead = lead_seconds
        self._work = work
        self._table = carried(work, MOST)
        now = made.demand[:, :, 0]
        self._traffic = [
            traffic(series, row, seed, work) for series, row in zip(made.series, now, strict=True)
        ]

    def targets(self, policy: str, headroom: float) -> list[IntArray]:
        """Answer the instances wanted of each series at each step.

        What is launched now must last until what is launched at the next step has come, and what is let go
        now cannot be back before.
        """
        ahead = self._lead // STEP_SECONDS + 1
        need = self._made.wanted[policy][:, :, :ahead].max(axis=2) * headroom
        return [
            instances(row * each.scale, self._table) for row, each in zip(need, self._traffic, strict=True)
        ]

    def spent(self, policy: str, headroom: float) -> float:
        """Answer the cost by the targets alone: all but what instances take to leave."""
        steps = self._made.demand.shape[1]
        paid: float = sum(int(each.sum()) for each in self.targets(policy, headroom)) / len(self._traffic)
        return float(paid / (MEAN_LOAD * steps))

    def run(self, policy: str, headroom: float) -> Outcome:
        """Serve all requests."""
        served = [
            serve(
                targets.tolist(), each.arrivals, each.durations,
                step=STEP_SECONDS, lead=self._lead, promised=self._work.promised,
            )
            for targets, each in zip(self.targets(policy, headroom), self._traffic, strict=True)
        ]  # fmt: skip
        return outcome(policy, headroom, served, MEAN_LOAD * self._made.demand.shape[1] * STEP_SECONDS / 3600)

    def at_cost(self, policy: str, cost: float) -> Outcome:
        """Run a policy with the headroom that makes it cost so much."""
        return self.run(policy, _bisected(lambda factor: self.spent(policy, factor) - cost))

    def at_missed(self, policy: str, missed: float) -> Outcome:
        """Run a policy with the least headroom that misses no more than so much."""
        return self.run(policy, _bisected(lambda factor: missed - self.run(policy, factor).missed))


def traffic(series: str, demand: FloatArray, seed: int, work: Work) -> Traffic:
    """Draw the requests of a series: Poisson by step, with a rate in proportion to demand."""
    rng = np.random.default_rng([seed, zlib.crc32(series.encode())])
    rates = np.nan_to_num(demand)
    scale = MEAN_LOAD / max(float(rates.mean()), np.finfo(float).tiny)
    counts = rng.poisson(rates * scale * STEP_SECONDS / work.seconds)
    begins = np.repeat(np.arange(len(counts)) * float(STEP_SECONDS), counts)
    arrivals = np.sort(begins + rng.uniform(0, STEP_SECONDS, len(begins)))
    return Traffic(scale, arrivals, work.durations(len(arrivals), rng))


def outcome(policy: str, headroom: float, served: Sequence[Served], hours: float) -> Outcome:
    """Add up what came of all series, each of which asked for so many hours of work."""
    requests = sum(each.requests for each in served)
    return Outcome(
        policy=policy,
        headroom=headroom,
        cost=float(np.mean([each.hours for each in served])) / hours,
        missed=sum(each.missed for each in served) / max(1, requests),
        by_series=tuple((each.hours / hours, each.missed / max(1, each.requests)) for each in served),
    )


def _bisected(over: Callable[[float], float]) -> float:
    """Answer about the smallest headroom from which on a growing function is not negative."""
    low, high = math.log(LOWEST), math.log(HIGHEST)
    for _ in range(HALVINGS):
        middle = (low + high) / 2
        low, high = (low, middle) if over(math.exp(middle)) >= 0 else (middle, high)
    return math.exp(high)
