"""Problems made up by a seed: workloads that share a fleet of engines."""

import math
from random import Random

from controlplane.planning.problem import (
    Call,
    Candidate,
    Concurrency,
    Demand,
    EngineVersion,
    PoolFacts,
    Problem,
    Promise,
)

LEVELS = (0.01, 0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.99)
SCORES = (-2.33, -1.64, -1.28, -0.84, -0.52, -0.25, 0, 0.25, 0.52, 0.84, 1.28, 1.64, 2.33)


def fleet(rng: Random, engines: int) -> tuple[PoolFacts, ...]:
    """Make engines up: cheap and slow to start, dear and fast, and what lies between."""
    return tuple(
        PoolFacts(
            engine=EngineVersion(f"engine-{i}", "1.0.0"),
            price_per_hour=round(rng.uniform(0.02, 0.4), 3),
            price_per_request=rng.choice([0.0, 0.0, 0.001]),
            minimum=rng.choice([0, 1]),
            maximum=rng.choice([None, 50, 200]),
            capacity=rng.choice([1, 2, 4, 8]),
            ready=rng.randint(1, 4),
            target=rng.randint(1, 4),
            cold_start_seconds=rng.uniform(2, 400),
        )
        for i in range(engines)
    )


def workload(rng: Random, at: int, pools: tuple[PoolFacts, ...], steps: int, chains: int) -> Problem:
    """Make a workload up: each step can be done by each engine; chains are mixtures of that."""
    calls = [[_call(rng, pool, step) for pool in pools] for step in range(steps)]
    found = {tuple(engine for _ in range(steps)) for engine in range(len(pools))}
    while len(found) < chains:
        found.add(tuple(rng.randrange(len(pools)) for _ in range(steps)))
    candidates = tuple(
        Candidate(f"workloads/w{at:03}/chains/c{i}@1", tuple(calls[s][e] for s, e in enumerate(use)))
        for i, use in enumerate(sorted(found)[:chains])
    )
    fastest = sum(min(call.p95_seconds for call in step) for step in calls)
    miss_price, wait_price = rng.choice([0.0, 0.5, 5.0]), rng.choice([0.0, 2.0])
    return Problem(
        workload=f"w{at:03}",
        time=1_790_000_000.0,
        demand=demand(rng, 48),
        candidates=candidates,
        pools=pools,
        promise=Promise(rng.uniform(2, 6) * fastest, 0.9, miss_price, wait_price),
        current=rng.choice(candidates).chain,
        currency="EUR",
    )


def demand(rng: Random, steps: int) -> Demand:
    """Make a forecast up: a wave, wider the further it looks ahead."""
    level, swing, phase = rng.uniform(5, 120), rng.uniform(0, 0.8), rng.uniform(0, 6)
    rates = []
    for t in range(steps):
        middle = level * (1 + swing * math.sin(phase + t / 12))
        width = 0.1 + 0.3 * t / steps
        rates.append(tuple(middle * math.exp(width * score) for score in SCORES))
    return Demand(300.0, LEVELS, tuple(rates), level * rng.uniform(0.8, 1.2))


def _call(rng: Random, pool: PoolFacts, step: int) -> Call:
    mean, variation = math.exp(rng.uniform(0, 4)), rng.uniform(0.2, 1.5)
    spread = math.sqrt(math.log1p(variation**2))
    median = mean * math.exp(-spread * spread / 2)
    return Call(
        steps=(f"s{step}",),
        engine=pool.engine,
        samples=rng.uniform(40, 4000),
        mean_seconds=mean,
        p50_seconds=median,
        p95_seconds=median * math.exp(1.645 * spread),
        p99_seconds=median * math.exp(2.326 * spread),
        variation=variation,
        success=rng.uniform(0.99, 1),
        attempts=rng.uniform(1, 1.1),
        concurrency=tuple(
            Concurrency(i, mean * (0.8 + 0.05 * i), rng.uniform(5, 500)) for i in range(1, pool.capacity + 1)
        ),
    )
