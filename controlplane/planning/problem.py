"""What is planned from, and what comes of it. Pure data.

`documents` makes it from messages and back; `plan` answers it. Rates are provisions an hour, times are
seconds, prices are of one currency. It must decide nothing.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

from controlplane.planning.rules import HOLD_SECONDS


class EngineVersion(NamedTuple):
    """One version of an engine: what a pool has instances of."""

    engine: str
    version: str

    def __str__(self) -> str:
        """Answer `engine@version`, or the engine alone where its version is left open."""
        return f"{self.engine}@{self.version}" if self.version else self.engine


class Concurrency(NamedTuple):
    """How long a step takes while so many run on one instance, this one included."""

    in_flight: int
    seconds: float
    samples: float


@dataclass(frozen=True, slots=True)
class Call:
    """One call of a chain: an engine that does one step, or several consecutive ones at once.

    Attributes:
        steps: What it does, in order.
        engine: Who does it.
        samples: How many measurements of today the known ones weigh as much as; 0: it was never measured.
        mean_seconds: Of one attempt that succeeded, waiting left out.
        p50_seconds, p95_seconds, p99_seconds: Its quantiles; 0 where unknown.
        variation: Standard deviation over mean.
        success: The share of steps that end well, after all attempts, in 0..1.
        attempts: For each step, on average; at least 1.
        cost: What an attempt costs as its engine says.
        concurrency: How long it takes by how many run on the instance.
    """

    steps: tuple[str, ...]
    engine: EngineVersion
    samples: float
    mean_seconds: float
    p50_seconds: float = 0.0
    p95_seconds: float = 0.0
    p99_seconds: float = 0.0
    variation: float = 1.0
    success: float = 1.0
    attempts: float = 1.0
    cost: float = 0.0
    concurrency: tuple[Concurrency, ...] = ()


@dataclass(frozen=True, slots=True)
class Candidate:
    """A chain that could be taken, with its revision."""

    chain: str
    calls: tuple[Call, ...]


@dataclass(frozen=True, slots=True)
class PoolFacts:
    """What is known of an engine version and of its pool.

    Attributes:
        engine: Which.
        price_per_hour: Of an instance.
        price_per_request: Of an attempt.
        minimum: Instances at least.
        maximum: Instances at most; None where there is no such bound.
        capacity: Steps that an instance runs at once, as it says itself.
        ready: Instances that take work now.
        target: Instances wanted now.
        launchable: Instances can be started and stopped here; otherwise others do that, and planning takes
            those that are there.
        pinned: A person set the target, and no plan changes it.
        cold_start_seconds: P95 from launch to ready, as measured.
        floor: The least that is kept, whatever is planned.
        other_load: Work of other workloads in flight on it, by step of the horizon; the last one goes on.
        other_seconds: How long that work takes on average; 0: like this workload's.
        other_variation: Standard deviation of it over the mean.
        others_target: Instances that the most demanding of the other workloads needs of it.
    """

    engine: EngineVersion
    price_per_hour: float = 0.0
    price_per_request: float = 0.0
    minimum: int = 0
    maximum: int | None = None
    capacity: int = 1
    ready: int = 0
    target: int = 0
    launchable: bool = True
    pinned: bool = False
    cold_start_seconds: float = 0.0
    floor: int = 0
    other_load: tuple[float, ...] = ()
    other_seconds: float = 0.0
    other_variation: float = 1.0
    others_target: int = 0


@dataclass(frozen=True, slots=True)
class Demand:
    """What is to come.

    Attributes:
        step_seconds: Distance of the steps; the first begins now.
        levels: Of the quantiles, ascending, in 0..1.
        rates: Provisions an hour, by step, each in the order of `levels`.
        reactive_rate: The largest rate of the last half hour. No target is planned below it.
        hold_seconds: How long capacity is kept that demand of late needed.
    """

    step_seconds: float
    levels: tuple[float, ...]
    rates: tuple[tuple[float, ...], ...]
    reactive_rate: float = 0.0
    hold_seconds: float = HOLD_SECONDS


@dataclass(frozen=True, slots=True)
class Promise:
    """What users are promised, and what it costs to break it.

    Attributes:
        p95_seconds: 95 % of provisions end within it; 0: nothing is promised.
        success: The share of provisions that succeed; 0: nothing is promised.
        miss_price: What one provision that misses it costs.
        wait_price_per_hour: What an hour of waiting costs, per provision.
    """

    p95_seconds: float = 0.0
    success: float = 0.0
    miss_price: float = 0.0
    wait_price_per_hour: float = 0.0


@dataclass(frozen=True, slots=True)
class Policy:
    """How bold a plan may be.

    Attributes:
        hysteresis: A change of chain must save at least this share of the cost.
        cool_down_seconds: After a switch none follows for so long, unless the service level is missed.
        exceed_max_by: How far a pool may be planned beyond its maximum, as a share of it.
        exploration: The share of requests that chains with too few measurements may be given.
    """

    hysteresis: float = 0.1
    cool_down_seconds: float = 1800.0
    exceed_max_by: float = 0.0
    exploration: float = 0.0


@dataclass(frozen=True, slots=True)
class Problem:
    """All that a plan rests on: the same problem always has the same plan.

    Attributes:
        workload: Its id.
        time: Now, seconds since the epoch, UTC.
        demand: What is to come.
        candidates: Chains that could be taken.
        pools: What is known of each engine version that they name; of one that is missing nothing is known.
        promise: What users are promised.
        policy: How bold a plan may be.
        current: The chain in force with its revision; empty where there is none.
        switch_time: When the route was last moved, seconds since the epoch; None: never.
        pinned: A person holds the route where it is.
        rejected: Chains that a person has said no to, or that something speaks against for now.
        objections: What that is, in words, by chain.
        settled: The chain that planning together with the workloads that share its pools came to; empty: it
            is planned alone.
        currency: ISO 4217 code of all prices.
        forecast: Name of the forecast that it rests on.
    """

    workload: str
    time: float
    demand: Demand
    candidates: tuple[Candidate, ...]
    pools: tuple[PoolFacts, ...]
    promise: Promise = Promise()
    policy: Policy = Policy()
    current: str = ""
    switch_time: float | None = None
    pinned: bool = False
    rejected: frozenset[str] = frozenset()
    objections: tuple[tuple[str, str], ...] = ()
    settled: str = ""
    currency: str = ""
    forecast: str = ""


class Reason(NamedTuple):
    """Why something is so: a stable UPPER_SNAKE code, and words with numbers."""

    code: str
    words: str


@dataclass(frozen=True, slots=True)
class Cost:
    """What a chain is expected to cost an hour, on average over the horizon.

    Attributes:
        instances: Of all pools of the problem, less what other workloads need of them.
        requests: What engines take for each request, retries included.
        misses: Provisions that fail or are too slow, at the price of a miss.
        waiting: Time spent in queues, at its price.
        switching: What the change itself costs, spread over the horizon.
    """

    instances: float = 0.0
    requests: float = 0.0
    misses: float = 0.0
    waiting: float = 0.0
    switching: float = 0.0

    @property
    def total(self) -> float:
        """Answer the sum."""
        return self.instances + self.requests + self.misses + self.waiting + self.switching


@dataclass(frozen=True, slots=True)
class PoolTarget:
    """How many instances of an engine version are wanted, and when.

    Attributes:
        engine: Which.
        now: Instances that take work now.
        target: Wanted from now on: the most that is needed within the lead time.
        targets: By step of the horizon.
        load: Work of this workload in flight at the planned quantile, by step of the horizon.
        share: How much of the target this workload asks for, in instances. The shares of all workloads that
            use the pool, each planned with the others' load, come to its target.
    """

    engine: EngineVersion
    now: int
    target: int
    targets: tuple[int, ...]
    load: tuple[float, ...]
    share: float


@dataclass(frozen=True, slots=True)
class Option:
    """One way to meet the demand.

    Attributes:
        chain: With its revision.
        cost: What it is expected to cost an hour.
        quantile: Of demand, that it was sized for.
        lead_seconds: How far ahead its capacity must be decided.
        p95_seconds: What 95 % of provisions stay below at the planned demand; infinite where queues grow.
        miss_probability: The share of provisions expected to miss the service level.
        success: The share expected to succeed.
        pools: Of its engines, in the order in which it calls them.
        samples: How many measurements its least known call rests on.
        feasible: It meets the service level and every bound.
        binding: Which condition decided; empty where none was tight.
        reasons: Why it was not chosen; empty for the chosen one.
        explore_share: The share of requests that it should be given so that it is measured.
    """

    chain: str
    cost: Cost
    quantile: float
    lead_seconds: float
    p95_seconds: float
    miss_probability: float
    success: float
    pools: tuple[PoolTarget, ...]
    samples: float
    feasible: bool
    binding: str = ""
    reasons: tuple[Reason, ...] = ()
    explore_share: float = 0.0


@dataclass(frozen=True, slots=True)
class Plan:
    """The answer to a problem.

    Attributes:
        problem: What it answers. Planned together with others it is the problem with what they put on its
            pools and what was settled with them, so that it has this answer by itself.
        chosen: The chain to take; None where there is no candidate.
        rivals: All others, the best first, each with why it was not chosen.
        switches: The chosen chain is another than the one in force, and the difference is worth a switch.
        reasons: Why the plan is as it is.
        binding: Which condition decided for the chosen chain, such as `p95`, `success`, `pool.max`,
            `reactive` or `cost`; empty where none was tight.
    """

    problem: Problem
    chosen: Option | None
    rivals: tuple[Option, ...]
    switches: bool
    reasons: tuple[Reason, ...]
    binding: str = ""

    def options(self) -> Mapping[str, Option]:
        """Answer all options by chain."""
        every = ((self.chosen,) if self.chosen else ()) + self.rivals
        return {option.chain: option for option in every}
