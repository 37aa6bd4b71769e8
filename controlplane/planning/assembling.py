"""From what is known of a workload to the inputs of its plan. Pure.

The planning loop, the service and offline recommendations call it. It decides nothing: it brings forecasts,
profiles, engines and pools into the form that planning takes. It must never fill in a measurement that
nobody made.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from google.protobuf import duration_pb2

from enchain.chains.decision_names import asked_for
from enchain.chains.names import workload_id, workload_name
from enchain.chains.routes import chains_of
from enchain.v1 import (
    chain_pb2,
    diagnostic_pb2,
    engine_pb2,
    forecast_pb2,
    pool_pb2,
    profile_pb2,
    recommendation_pb2,
    workload_pb2,
)

HOUR = 3600.0
NEEDED_WITHIN_HOURS = 1.0
"""Units that a forecast says are needed are provisioned over at least so long: one step's uncertainty is no
rush."""

LEVELS = (0.5,)
STEPS = 12
STEP_SECONDS = 300
"""The grid where nothing is forecast: what was seen of late is taken to go on."""

FRESH_STEPS = 4
"""How old what a forecast saw may be, in its steps: refreshes come one by one, and data has to settle."""

Version = tuple[str, str]
"""Engine and version."""


@dataclass(frozen=True, slots=True)
class Known:
    """All that is known of a workload that is planned for.

    Attributes:
        workload: Its document.
        chains: The newest revision of each of its chains, and those in force.
        route: Where its requests go; None where it has no route.
        switch_time: When the route was last moved by a switch; None: never.
        profiles: What engines were measured to do for it.
        engines: Documents by engine id.
        instances: What runs.
        pools: By engine and version.
        needed: Versions that are needed, whatever this workload takes, so that one instance is kept at least.
        forecasts: By signal, on the finest grid there is.
        reactive_rate: The most provisions an hour of the last half hour.
        resources: How many of it there are.
        rejected: Chains that a person said no to.
        objections: What speaks against going back to other chains for now, in words.
    """

    workload: workload_pb2.Workload
    chains: Sequence[chain_pb2.Chain]
    route: chain_pb2.Route | None = None
    switch_time: datetime | None = None
    profiles: Sequence[profile_pb2.PerformanceProfile] = ()
    engines: Mapping[str, engine_pb2.Engine] = field(default_factory=dict)
    instances: Sequence[engine_pb2.EngineInstance] = ()
    pools: Mapping[Version, pool_pb2.Pool] = field(default_factory=dict)
    needed: Collection[Version] = ()
    forecasts: Mapping[str, forecast_pb2.Forecast] = field(default_factory=dict)
    reactive_rate: float = 0.0
    resources: int = 0
    rejected: Collection[str] = ()
    objections: Mapping[str, str] = field(default_factory=dict)


def assemble(
    known: Known, now: datetime, together: Collection[str] = ()
) -> recommendation_pb2.PlanningInputs:
    """Answer what a workload's plan rests on.

    Args:
        known: All that is known of it.
        now: When it is planned.
        together: Ids of workloads that are planned together with it. What they put on pools planning works
            out anew; only what others do is load on the pools.
    """
    workload = known.workload
    inputs = recommendation_pb2.PlanningInputs(
        workload=workload_id(workload.name),
        reactive_rate=_reactive(known, now),
        slo_success=workload.slo.success,
        miss_price=workload.cost.miss_price,
        wait_price_per_hour=workload.cost.wait_price_per_hour,
        currency_code=workload.cost.currency_code or _currency(known.engines),
        policy=workload.planning,
        rejected_chains=sorted({*known.rejected, *known.objections}),
        objections=known.objections,
    )
    inputs.time.FromDatetime(now)
    inputs.slo_p95.CopyFrom(workload.slo.p95)
    if known.route is not None:
        inputs.current_chain = max(chains_of(known.route), key=lambda name: _buckets(known.route, name))
        inputs.pinned = known.route.HasField("pin")
    if known.switch_time is not None:
        inputs.switch_time.FromDatetime(known.switch_time)
    _demand(inputs, known, now)
    inputs.chains.extend(_candidate(chain, known) for chain in known.chains)
    used = {(step.engine, step.version) for chain in inputs.chains for step in chain.steps}
    names = {workload_name(name) for name in together}
    inputs.engines.extend(_facts(version, known, names) for version in sorted(used))
    return inputs


def _reactive(known: Known, now: datetime) -> float:
    """Answer the most of late: as the forecast saw it while that is fresh, else as requests were counted."""
    forecast = known.forecasts.get("requests")
    if forecast is None or not forecast.HasField("recent_max"):
        return known.reactive_rate
    age = now.timestamp() - forecast.origin_time.ToNanoseconds() / 1e9
    fresh = age <= FRESH_STEPS * forecast.step.ToNanoseconds() / 1e9
    return float(forecast.recent_max) if fresh else known.reactive_rate


def _buckets(route: chain_pb2.Route | None, chain: str) -> int:
    assert route is not None
    return sum(share.end - share.start for share in route.shares if share.chain == chain)


def _currency(engines: Mapping[str, engine_pb2.Engine]) -> str:
    """Answer the currency in which engines are priced; the first where there are several."""
    codes = {
        money.currency_code
        for engine in engines.values()
        for money in (engine.price.hour, engine.price.request)
        if money.currency_code
    }
    return min(codes, default="")


def _demand(inputs: recommendation_pb2.PlanningInputs, known: Known, now: datetime) -> None:
    """State what is to come: requests as forecast, lifted to what forecast utilisation takes."""
    forecast = known.forecasts.get("requests")
    lifts = [
        _from_units(each, known.workload.demand.unit[signal], known.resources, now)
        for signal, each in sorted(known.forecasts.items())
        if signal != "requests" and known.workload.demand.unit.get(signal, 0) > 0
    ]
    base = forecast or next((known.forecasts[name] for name in sorted(known.forecasts)), None)
    if base is None:
        inputs.levels.extend(LEVELS)
        inputs.step.FromSeconds(STEP_SECONDS)
        inputs.demand.extend(
            recommendation_pb2.DemandQuantiles(values=[known.reactive_rate]) for _ in range(STEPS)
        )
        return
    inputs.forecast = base.name
    inputs.levels.extend(base.levels)
    inputs.step.CopyFrom(base.step)
    rates = _to_come(forecast, now) if forecast else [[0.0] * len(base.levels)] * len(_to_come(base, now))
    for lift in lifts:
        if lift and len(lift[0]) == len(base.levels):
            rates = [
                [max(pair) for pair in zip(one, other, strict=True)]
                for one, other in zip(rates, lift, strict=False)
            ]
    inputs.demand.extend(recommendation_pb2.DemandQuantiles(values=_rounded(rate)) for rate in rates)


def _rounded(rate: Sequence[float]) -> list[float]:
    return [round(max(0.0, value), 6) for value in rate]


def _to_come(forecast: forecast_pb2.Forecast, now: datetime) -> list[list[float]]:
    """Answer the quantiles of the steps that have not ended."""
    step = forecast.step.ToNanoseconds() / 1e9
    # A step's value is of the cell that ends one step after its time.
    passed = (now.timestamp() - forecast.origin_time.ToNanoseconds() / 1e9) / step - 1
    skipped = min(max(0, int(passed)), len(forecast.steps) - 1)
    return [list(each.quantiles) for each in forecast.steps[skipped:]]


def _from_units(
    forecast: forecast_pb2.Forecast, unit: float, resources: int, now: datetime
) -> list[list[float]]:
    """Answer the provisions an hour that bring as many resources as a utilisation needs.

    Args:
        forecast: Of what all resources use together.
        unit: What one resource is made for.
        resources: How many there are.
        now: When planning begins.
    """
    step_hours = forecast.step.ToNanoseconds() / 1e9 / HOUR
    rates = []
    for index, quantiles in enumerate(_to_come(forecast, now), 1):
        hours = max(index * step_hours, NEEDED_WITHIN_HOURS)
        rates.append([max(0.0, value / unit - resources) / hours for value in quantiles])
    return rates


def _candidate(chain: chain_pb2.Chain, known: Known) -> recommendation_pb2.CandidateChain:
    profiles = {
        (tuple(profile.steps), profile.engine, profile.version): profile for profile in known.profiles
    }
    steps = [
        _step(step, profiles.get((tuple(step.steps), step.engine, step.version))) for step in chain.steps
    ]
    return recommendation_pb2.CandidateChain(chain=chain.name, steps=steps)


def _step(
    step: chain_pb2.ChainStep, profile: profile_pb2.PerformanceProfile | None
) -> recommendation_pb2.CandidateStep:
    message = recommendation_pb2.CandidateStep(
        steps=step.steps, engine=step.engine, version=step.version, success=1.0, attempts=1.0
    )
    if profile is None or not profile.provision.count:
        return message
    measured = profile.provision
    message.samples = measured.weight
    message.mean_seconds = _seconds(measured.duration.mean)
    message.p50_seconds = _seconds(measured.duration.p50)
    message.p95_seconds = _seconds(measured.duration.p95)
    message.p99_seconds = _seconds(measured.duration.p99)
    message.variation = measured.duration.variation
    message.success = measured.success
    message.attempts = max(1.0, measured.attempts)
    message.cost = measured.cost
    message.concurrency.extend(
        recommendation_pb2.ConcurrencySeconds(
            in_flight=point.in_flight, seconds=_seconds(point.mean), samples=point.weight
        )
        for point in measured.concurrency
    )
    return message


def _facts(version: Version, known: Known, together: Collection[str]) -> recommendation_pb2.EngineFacts:
    name, number = version
    engine = known.engines.get(name, engine_pb2.Engine())
    pool = known.pools.get(version, pool_pb2.Pool())
    ready = list(_ready(known.instances, version))
    own = workload_name(workload_id(known.workload.name))
    capacity = min((instance.capacity for instance in ready), default=_at_once(known, version))
    others = sum(share for name, share in pool.demands.items() if asked_for(name) not in {own, *together})
    return recommendation_pb2.EngineFacts(
        engine=name,
        version=number,
        price_per_hour=_amount(engine.price.hour),
        price_per_request=_amount(engine.price.request),
        min=engine.pool.min,
        max=engine.pool.max,
        capacity=max(1, capacity),
        ready=len(ready),
        target=pool.wanted or pool.target or len(ready),
        launchable=pool.launchable if pool.name else bool(engine.launch.process),
        pinned=pool.pinned,
        cold_start_p95_seconds=max(
            (
                _seconds(profile.cold_start.p95)
                for profile in known.profiles
                if (profile.engine, profile.version) == version
            ),
            default=0.0,
        ),
        other_load=[round(others * max(1, capacity), 6)] if others else [],
        floor=int(version in known.needed),
    )


def _at_once(known: Known, version: Version) -> int:
    """Answer how many steps an instance was seen to run at once: what is known of it while none is there."""
    return max(
        (
            point.in_flight
            for profile in known.profiles
            if (profile.engine, profile.version) == version
            for point in profile.provision.concurrency
        ),
        default=1,
    )


def _ready(
    instances: Sequence[engine_pb2.EngineInstance], version: Version
) -> Iterator[engine_pb2.EngineInstance]:
    for instance in instances:
        takes = instance.state == engine_pb2.EngineInstance.STATE_READY
        if takes and (instance.engine, instance.version) == version:
            yield instance


def _amount(money: diagnostic_pb2.Money) -> float:
    return float(money.units) + money.nanos / 1e9


def _seconds(duration: duration_pb2.Duration) -> float:
    return duration.ToNanoseconds() / 1e9
