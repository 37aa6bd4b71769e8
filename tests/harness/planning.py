"""Random planning problems, and the slow and simple answers that the fast ones are compared with.

Tests of planning call it. What is compared is looked up by trying every size, one by one.
"""

import itertools
from collections.abc import Iterator

import numpy as np
from hypothesis import strategies as st

from controlplane.planning.arrays import BoolArray, Rows
from controlplane.planning.demand import stratum_weights
from controlplane.planning.economics import economic
from controlplane.planning.entries import Entries, late, queues, waiting
from controlplane.planning.problem import (
    Call,
    Candidate,
    Concurrency,
    Demand,
    EngineVersion,
    Policy,
    PoolFacts,
    Problem,
    Promise,
)
from controlplane.planning.queueing import IntArray
from controlplane.planning.rules import SLOW_SHARE, UTILISATION_MAX
from controlplane.planning.search import Order

NOW = 1_790_000_000.0
STEPS = ("configure", "serve", "check")
ENGINES = tuple(EngineVersion(name, "1.0.0") for name in ("ansible", "process", "script", "terraform"))

seconds = st.floats(0.5, 900)
prices = st.one_of(st.just(0.0), st.floats(0.001, 2))
shares = st.floats(0.9, 1)


@st.composite
def calls(draw: st.DrawFn, steps: tuple[str, ...], engine: EngineVersion) -> Call:
    """Draw what was measured of a call; sometimes by concurrency, next to nothing, or no duration at all."""
    mean = draw(st.one_of(seconds, seconds, seconds, st.just(0.0)))
    slope = draw(st.floats(0, 1))
    points = draw(st.integers(0, 4))
    return Call(
        steps=steps,
        engine=engine,
        samples=draw(st.sampled_from([0.0, 4.0, 29.0, 200.0, 5000.0])),
        mean_seconds=mean,
        variation=draw(st.floats(0, 2)),
        success=draw(shares if mean else st.sampled_from([0.0, 1.0])),
        attempts=draw(st.floats(1, 1.5)),
        cost=draw(st.floats(0, 0.1)),
        concurrency=tuple(Concurrency(i, mean * (1 + slope * (i - 1)), 50.0) for i in range(1, points + 1)),
    )


@st.composite
def pools(draw: st.DrawFn, engine: EngineVersion) -> PoolFacts:
    """Draw a pool: mostly one that may grow, sometimes pinned or run by others."""
    most = draw(st.one_of(st.none(), st.integers(1, 8)))
    return PoolFacts(
        engine=engine,
        price_per_hour=draw(prices),
        price_per_request=draw(st.sampled_from([0.0, 0.01])),
        minimum=draw(st.integers(0, 2)),
        maximum=most,
        capacity=draw(st.integers(1, 5)),
        ready=draw(st.integers(0, 5)),
        target=draw(st.integers(0, 5)),
        launchable=draw(st.sampled_from([True, True, True, False])),
        pinned=draw(st.sampled_from([False, False, False, True])),
        cold_start_seconds=draw(st.floats(0, 4000)),
        floor=draw(st.integers(0, 2)),
        other_load=draw(st.one_of(st.just(()), st.lists(st.floats(0, 4), max_size=6).map(tuple))),
        other_seconds=draw(st.sampled_from([0.0, 3.0, 400.0])),
        other_variation=draw(st.floats(0, 2)),
    )


@st.composite
def demands(draw: st.DrawFn) -> Demand:
    """Draw a forecast whose quantiles do not cross."""
    levels = draw(st.sampled_from([(0.1, 0.5, 0.9), (0.01, 0.25, 0.5, 0.75, 0.99), (0.5,)]))
    step = st.lists(st.floats(0, 150), min_size=len(levels), max_size=len(levels)).map(sorted).map(tuple)
    return Demand(
        step_seconds=draw(st.sampled_from([300.0, 3600.0])),
        levels=levels,
        rates=tuple(draw(st.lists(step, min_size=1, max_size=6))),
        reactive_rate=draw(st.floats(0, 150)),
    )


@st.composite
def problems(draw: st.DrawFn) -> Problem:
    """Draw a problem with up to four chains over up to four engines."""
    length = draw(st.integers(1, 3))
    spans = st.sampled_from([[1] * length, [length]] if length > 1 else [[1]])
    candidates = []
    for number in range(draw(st.integers(1, 4))):
        begin, found = 0, []
        for span in draw(spans):
            engine = draw(st.sampled_from(ENGINES))
            found.append(draw(calls(STEPS[begin : begin + span], engine)))
            begin += span
        candidates.append(Candidate(f"workloads/site/chains/c{number}@0", tuple(found)))
    named = {call.engine for candidate in candidates for call in candidate.calls}
    chains = [candidate.chain for candidate in candidates]
    return Problem(
        workload="site",
        time=NOW,
        demand=draw(demands()),
        candidates=tuple(candidates),
        pools=tuple(draw(pools(engine)) for engine in sorted(named)),
        promise=Promise(
            p95_seconds=draw(st.one_of(st.just(0.0), st.floats(5, 4000))),
            success=draw(st.sampled_from([0.0, 0.9, 0.97])),
            miss_price=draw(st.one_of(st.just(0.0), st.floats(0.01, 10))),
            wait_price_per_hour=draw(st.one_of(st.just(0.0), st.floats(0.1, 50))),
        ),
        policy=Policy(
            hysteresis=draw(st.floats(0, 0.5)),
            cool_down_seconds=draw(st.floats(0, 7200)),
            exceed_max_by=draw(st.sampled_from([0.0, 0.5])),
            exploration=draw(st.sampled_from([0.0, 0.05])),
        ),
        current=draw(st.sampled_from(["", *chains])),
        switch_time=draw(st.one_of(st.none(), st.floats(NOW - 8000, NOW))),
        pinned=draw(st.sampled_from([False, False, True])),
        rejected=frozenset(draw(st.lists(st.sampled_from(chains), max_size=2))),
    )


def every_size(low: list[int], high: list[int]) -> Iterator[tuple[int, ...]]:
    """Answer all sizes within bounds."""
    return itertools.product(*(range(small, large + 1) for small, large in zip(low, high, strict=True)))


def by_brute_force(rows: Rows, entries: Entries, e: int, reach: int) -> tuple[int, ...] | None:
    """Try every size up to so many instances above the least, and answer the first in order that does.

    None where none does.
    """
    row = int(entries.row[e])
    one = entries.pick(np.array([e]))
    paying = economic(rows, one, np.array([_working(rows, entries, e)]))[0].tolist()
    most = rows.most[row].tolist()
    high = [min(size + reach, bound) for size, bound in zip(paying, most, strict=True)]
    every = np.array(list(every_size(rows.least[row].tolist(), high)))
    many = entries.pick(np.full(len(every), e))
    fits = (every >= paying).all(axis=1) & _enough_work(rows, many, every).all(axis=1)
    if rows.promised[row] > 0:
        fits &= late(rows, many, queues(rows, many, every)) <= SLOW_SHARE
    order = Order(rows.price[row].tolist(), rows.honoured[row].tolist())
    return min((tuple(sizes) for sizes in every[fits].tolist()), key=order, default=None)


def _enough_work(rows: Rows, entries: Entries, sizes: IntArray) -> BoolArray:
    """Say which pools are no busier than they may be, or as large as they may be."""
    row = entries.row
    work = rows.load[row] * entries.rate[:, None] + entries.other
    busy = UTILISATION_MAX * sizes * rows.places[row]
    answer: BoolArray = (work <= busy + 1e-9) | (sizes >= rows.most[row])
    return answer


def _working(rows: Rows, entries: Entries, e: int) -> list[int]:
    row = int(entries.row[e])
    found = []
    for p in range(rows.places.shape[1]):
        size = int(rows.least[row, p])
        work = rows.load[row, p] * entries.rate[e] + entries.other[e, p]
        while work > UTILISATION_MAX * size * rows.places[row, p] + 1e-9 and size < rows.most[row, p]:
            size += 1
        found.append(size)
    return found


def expected_excess(rows: Rows, entries: Entries, e: int, sizes: IntArray, reach: int) -> float:
    """Answer by which share sizes are expected to cost more than the best that trying every size finds.

    Sizes must keep the promise at the planned rate and have enough places for the work; what they cost is
    their instances, and the misses and the waiting that are expected over the distribution of demand.
    """
    row = int(entries.row[e])
    least = _working(rows, entries, e)
    most = rows.most[row].tolist()
    high = [min(size + reach, bound) for size, bound in zip(sizes.tolist(), most, strict=True)]
    high = [
        max(small, large) if used else small
        for small, large, used in zip(least, high, rows.used[row], strict=True)
    ]
    every = np.array(list(every_size(least, high)))
    many = entries.pick(np.full(len(every), e))
    spread = many.spread()
    weights = stratum_weights()
    found = queues(rows, spread, np.repeat(every, len(weights), axis=0))
    seconds = (found.mean_seconds * rows.calls[row]).sum(axis=1)
    seconds = waiting(found.carried, seconds, rows.part_seconds[row]).reshape(-1, len(weights))
    lost = late(rows, spread, found).reshape(-1, len(weights)) * rows.miss_price[row]
    lost += seconds * rows.wait_price[row] / 3600
    cost = every @ rows.price[row] + (many.strata * lost) @ weights
    kept = np.ones(len(every), dtype=bool)
    if rows.promised[row] > 0:
        kept = late(rows, many, queues(rows, many, every)) <= SLOW_SHARE
    own = float(cost[(every == sizes).all(axis=1)][0])
    best = float(cost[kept].min())
    return (own - best) / max(best, 0.01)
