"""How the command writes performance profiles: a table, and what a table cannot say in plain words. Pure."""

from collections.abc import Iterator, Sequence
from datetime import UTC

from google.protobuf.duration_pb2 import Duration

from enchain.v1 import profile_pb2

Profile = profile_pb2.PerformanceProfile
Rows = list[list[str]]

VERBS = ("provision", "update", "deprovision")
HEADINGS = ("workload", "steps", "version", "verb", "n", "success", "p50", "p95", "mean cost", "cold start")

FEW = 20
"""Calls below which a profile says so."""

FAILURES_SHOWN = 3
SLOWED = 1.2
"""How many times as long steps take at most where much else runs at once, if nothing is said of it."""

_UNITS = ((3600.0, "h"), (60.0, "m"), (1.0, "s"))


def span(duration: Duration) -> str:
    """Write a duration to two or three digits: `45 ms`, `3.21 s`, `2.5 m`."""
    seconds = duration.seconds + duration.nanos / 1e9
    if seconds < 1:
        return f"{seconds * 1000:.3g} ms"
    size, unit = next(each for each in _UNITS if seconds >= each[0])
    return f"{seconds / size:.3g} {unit}"


def profile_rows(profiles: Sequence[Profile]) -> Rows:
    """Answer the rows of a table of profiles: one for each verb that was measured."""
    return [_row(profile, verb) for profile in profiles for verb in _measured(profile)]


def _row(profile: Profile, verb: str) -> list[str]:
    told: profile_pb2.VerbProfile = getattr(profile, verb)
    timed = told.HasField("duration")
    return [
        profile.workload.removeprefix("workloads/"),
        "+".join(profile.steps),
        profile.version,
        verb,
        str(told.count),
        f"{told.success:.1%}",
        span(told.duration.p50) if timed else "-",
        span(told.duration.p95) if timed else "-",
        f"{told.cost:.4g} {told.currency_code}" if told.currency_code else "-",
        span(profile.cold_start.p50) if profile.HasField("cold_start") else "-",
    ]


def profile_words(profiles: Sequence[Profile]) -> list[str]:
    """Answer lines on what has changed of late, why calls fail, and what much work at once does."""
    return [line for profile in profiles for line in _words(profile)]


def _words(profile: Profile) -> Iterator[str]:
    which = f"{profile.workload.removeprefix('workloads/')} {'+'.join(profile.steps)} {profile.version}"
    if profile.HasField("drift"):
        drift = profile.drift
        since = drift.time.ToDatetime(UTC).strftime("%Y-%m-%d %H:%MZ")
        change = drift.reason.lower().replace("_", " ")
        yield f"{which}: {change} since {since} ({drift.description})"
    for verb in _measured(profile):
        told: profile_pb2.VerbProfile = getattr(profile, verb)
        if told.count < FEW:
            yield f"{which} {verb}: only {told.count} so far, so take the figures with care"
        if told.failures:
            yield f"{which} {verb}: fails by {_failures(told)}"
        yield from _crowded(f"{which} {verb}", told)


def _failures(told: profile_pb2.VerbProfile) -> str:
    commonest = sorted(told.failures, key=lambda code: (-told.failures[code], code))
    shown = [f"{code} {told.failures[code]:.1%}" for code in commonest[:FAILURES_SHOWN]]
    more = len(commonest) - len(shown)
    return ", ".join(shown) + (f" and {more} more" if more else "")


def _crowded(which: str, told: profile_pb2.VerbProfile) -> Iterator[str]:
    """Say what more work on an instance at once does to how long steps take, where it does something."""
    levels = [level for level in told.concurrency if level.weight > 0]
    if len(levels) > 1 and _seconds(levels[-1].mean) > SLOWED * _seconds(levels[0].mean) > 0:
        first, last = levels[0], levels[-1]
        yield (
            f"{which}: takes {span(first.mean)} where {first.in_flight} ran at once on an instance, "
            f"{span(last.mean)} where {last.in_flight} did"
        )


def _seconds(duration: Duration) -> float:
    return duration.seconds + duration.nanos / 1e9


def _measured(profile: Profile) -> list[str]:
    return [verb for verb in VERBS if getattr(profile, verb).count]
