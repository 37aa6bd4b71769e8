"""What people and planning read of an engine: shares, means and quantiles instead of sums. Pure.

`controlplane/catalog/profiles.py` calls it. Nothing here is kept: a profile is reckoned anew from its
statistics.
"""

from datetime import timedelta

from google.protobuf.duration_pb2 import Duration

from controlplane.profiles.drift import drift_of
from controlplane.profiles.sketch import Sketch
from enchain.chains.profile_names import PerformanceProfileName
from enchain.v1 import learned_pb2, profile_pb2

QUANTILES = (0.5, 0.9, 0.95, 0.99)


def profile_of(
    statistics: learned_pb2.ProfileStatistics, starts: learned_pb2.StartStatistics | None = None
) -> profile_pb2.PerformanceProfile:
    """Make of statistics what they show.

    Args:
        statistics: The sums of a workload's steps by one engine version.
        starts: How long instances of the version take to start; None where nobody knows.
    """
    workload = statistics.workload.removeprefix("workloads/")
    name = PerformanceProfileName(workload, tuple(statistics.steps), statistics.engine, statistics.version)
    profile = profile_pb2.PerformanceProfile(
        name=str(name),
        workload=statistics.workload,
        steps=statistics.steps,
        engine=statistics.engine,
        version=statistics.version,
        drift=drift_of(statistics),
    )
    for verb in ("provision", "update", "deprovision"):
        sums: learned_pb2.VerbStatistics = getattr(statistics, verb)
        if sums.count:
            getattr(profile, verb).CopyFrom(_verb_of(sums))
    if starts is not None and starts.durations.weight > 0:
        profile.cold_start.CopyFrom(duration_of(starts.durations))
    if statistics.HasField("first_time"):
        profile.first_time.CopyFrom(statistics.first_time)
        profile.last_time.CopyFrom(statistics.last_time)
    return profile


def duration_of(kept: learned_pb2.DurationSketch) -> profile_pb2.DurationProfile:
    """Make of a sketch what it shows."""
    sketch = Sketch.of(kept)
    p50, p90, p95, p99 = (_span(seconds) for seconds in sketch.quantiles(QUANTILES))
    return profile_pb2.DurationProfile(
        weight=sketch.weight,
        mean=_span(sketch.mean),
        p50=p50,
        p90=p90,
        p95=p95,
        p99=p99,
        variation=sketch.variation,
    )


def _verb_of(sums: learned_pb2.VerbStatistics) -> profile_pb2.VerbProfile:
    shown = profile_pb2.VerbProfile(
        count=sums.count,
        weight=sums.weight,
        success=min(_share(sums.succeeded, sums.weight), 1.0),
        failures={code: _share(weight, sums.weight) for code, weight in sums.failures.items()},
        attempts=_share(sums.attempts, sums.weight),
        cpu_seconds=_share(sums.cpu_seconds, sums.used_weight),
        peak_memory_bytes=_share(sums.peak_memory_bytes, sums.used_weight),
        network_bytes=_share(sums.network_bytes, sums.used_weight),
        concurrency=[
            profile_pb2.ConcurrencyProfile(
                in_flight=level.in_flight,
                weight=level.weight,
                mean=_span(_share(level.seconds, level.weight)),
            )
            for level in sums.concurrency
        ],
    )
    if sums.durations.weight > 0:
        shown.duration.CopyFrom(duration_of(sums.durations))
    # Where its engine changed its currency, the one that weighs most counts.
    currency = max(sorted(sums.costs), key=lambda code: sums.costs[code].weight, default="")
    if currency:
        shown.currency_code = currency
        shown.cost = _share(sums.costs[currency].amount, sums.costs[currency].weight)
    return shown


def _share(part: float, whole: float) -> float:
    return part / whole if whole > 0 else 0.0


def _span(seconds: float) -> Duration:
    wire = Duration()
    wire.FromTimedelta(timedelta(seconds=round(seconds, 6)))
    return wire
