"""Candidates as they are believed to be: calls, pools, bounds. Pure.

Arrays are laid out of them. A row is one candidate of one problem.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple

from controlplane.planning.durations import LogShape, shape_of
from controlplane.planning.knee import useful
from controlplane.planning.problem import Call, Candidate, Demand, EngineVersion, PoolFacts, Problem
from controlplane.planning.queueing import residual_seconds
from controlplane.planning.rules import PARTS_MAX
from controlplane.planning.views import Alike, View, measured_alike, seen

UNBOUNDED = 1_000_000
"""Instances at most where there is no maximum."""


class Known(NamedTuple):
    """What a call does to an instance.

    Attributes:
        places: Steps that the instance usefully runs at once.
        load: Work in flight for one provision an hour.
        left: What is left on average of such a call in progress, in seconds.
        shape: How long the call takes, retries included.
    """

    places: int
    load: float
    left: float
    shape: LogShape


class Figures(NamedTuple):
    """What a row does to one of its pools.

    Attributes:
        places: Steps that an instance usefully runs at once.
        load: Work in flight for one provision an hour.
        left: What is left on average of a call in progress, in seconds.
    """

    places: int
    load: float
    left: float


@dataclass(frozen=True, slots=True)
class Row:
    """One candidate of one problem, as it is believed to be.

    Attributes:
        problem: It belongs to.
        at: Where the problem is in its batch.
        candidate: The chain, with its figures as they are told.
        pools: Facts of its pools, in the order in which it first calls them.
        visits: Which of its pools each call goes to.
        known: What each call does.
        figures: What it does to each pool.
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
    visits: tuple[int, ...]
    known: tuple[Known, ...]
    figures: tuple[Figures, ...]
    lead_seconds: float
    success: float
    samples: float
    request_price: float
    capacity_price: float


def rows_of(problems: Sequence[Problem], view: View) -> list[Row]:
    """Answer the candidates of problems; those of chains in force as measured, all others by the view."""
    found = []
    for at, problem in enumerate(problems):
        alike = _alike(problem)
        facts = {pool.engine: pool for pool in problem.pools}
        for candidate in problem.candidates:
            plain = candidate.chain == problem.current
            found.append(_row(problem, at, candidate, facts, alike, View.PLAIN if plain else view))
    return found


def row_of(problem: Problem, candidate: Candidate) -> Row:
    """Answer one candidate of a problem as it was measured."""
    facts = {pool.engine: pool for pool in problem.pools}
    return _row(problem, 0, candidate, facts, _alike(problem), View.PLAIN)


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


def width(demand: Demand) -> int:
    """Answer how many steps of the horizon are planned as one."""
    return -(-len(demand.rates) // PARTS_MAX)


def _alike(problem: Problem) -> Alike:
    """Answer the measured calls of a problem, if any call is not measured: nobody else asks for them."""
    calls = (call for candidate in problem.candidates for call in candidate.calls)
    asked = any(call.samples <= 0 or call.mean_seconds <= 0 for call in calls)
    return measured_alike(problem.candidates) if asked else {}


def _row(
    problem: Problem,
    at: int,
    candidate: Candidate,
    facts: Mapping[EngineVersion, PoolFacts],
    alike: Alike,
    view: View,
) -> Row:
    calls = [seen(call, view, alike) for call in candidate.calls]
    engines = list(dict.fromkeys(call.engine for call in calls))
    pools = tuple(facts.get(engine) or PoolFacts(engine, launchable=False) for engine in engines)
    visits = tuple(engines.index(call.engine) for call in calls)
    known = []
    success, asked, kept = 1.0, 0.0, 0.0
    for call, visit in zip(calls, visits, strict=True):
        pool = pools[visit]
        of = _known(call, pool.capacity)
        known.append(of)
        success *= call.success
        asked += max(1.0, call.attempts) * (call.cost + pool.price_per_request)
        kept += of.load / of.places * pool.price_per_hour
    return Row(
        problem=problem,
        at=at,
        candidate=candidate,
        pools=pools,
        visits=visits,
        known=tuple(known),
        figures=tuple(_figures(known, visits, pool) for pool in range(len(pools))),
        lead_seconds=max((pool.cold_start_seconds for pool in pools if _may_grow(pool)), default=0.0),
        success=success,
        samples=min((call.samples for call in candidate.calls), default=0.0),
        request_price=asked,
        capacity_price=kept,
    )


def _may_grow(pool: PoolFacts) -> bool:
    return pool.launchable and not pool.pinned


@lru_cache(maxsize=1 << 15)
def _known(call: Call, capacity: int) -> Known:
    """Work out what a call does to an instance of that capacity."""
    places, seconds = useful(call, capacity)
    attempts = max(1.0, call.attempts)
    stretch = attempts * seconds / call.mean_seconds
    return Known(
        places=places,
        load=attempts * seconds / 3600.0,
        left=residual_seconds(seconds, call.variation),
        shape=shape_of(
            call.p50_seconds, call.p95_seconds, call.p99_seconds, call.mean_seconds, call.variation, stretch
        ),
    )


def _figures(known: Sequence[Known], visits: Sequence[int], pool: int) -> Figures:
    places, load, left = 0, 0.0, 0.0
    for call, goes_to in zip(known, visits, strict=True):
        if goes_to == pool:
            places = min(places, call.places) if places else call.places
            load += call.load
            left += call.load * call.left
    return Figures(places, load, left / load)
