"""False alarms and power of the test for drift of performance profiles, by simulation.

Run as `python -m benchmarks.drift [--runs 60] [--seed 0] [--output json]`. Hours of operations are drawn and
judged as they come, hour by hour. In the first part nothing changes for two weeks, and every alarm is a false
one: there are hours that differ by nothing but chance, by chance of their own, by the time of day, and like
the hour before. In the second part durations or failures change after three days, and it is told how often
and how soon that is found within two days.
"""

import argparse
import json
import math
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from random import Random

from controlplane.profiles.drift import changes
from controlplane.profiles.statistics import HOURS_MAX
from enchain.v1 import learned_pb2

DAY = 24
QUIET_HOURS = 14 * DAY
CHANGE_HOUR = 3 * DAY
FOUND_HOURS = 2 * DAY
DURATION = 10.0
SPREAD = 0.5
FAILING = 0.02
KINDS = (
    "chance",
    "heavy tails",
    "hours differ",
    "time of day",
    "like the hour before",
    "failures differ",
    "all",
)
RATES = (2, 30, 1000)


@dataclass(frozen=True, slots=True)
class World:
    """What is drawn.

    Attributes:
        kind: How hours differ.
        rate: Operations an hour.
        longer: By what factor durations change.
        worse: By what factor the share of failures changes.
    """

    kind: str
    rate: float
    longer: float = 1.0
    worse: float = 1.0


def hours(world: World, count: int, seed: int) -> Iterator[learned_pb2.HourSum]:
    """Draw hours one after the other; those in which nothing ended are left out."""
    random, lasting = Random(seed), 0.0
    for hour in range(count):
        level, rate, failing = math.log(DURATION), world.rate, FAILING
        if world.kind in {"hours differ", "all"}:
            level += random.gauss(0, 0.1)
        if world.kind == "like the hour before":
            lasting = 0.8 * lasting + random.gauss(0, 0.06)
            level += lasting
        if world.kind in {"time of day", "all"}:
            day = math.sin(2 * math.pi * hour / DAY)
            level, rate = level + math.log(1.2) * day, rate * (1 + 0.8 * day)
        if world.kind in {"failures differ", "all"}:
            failing *= random.gammavariate(4, 0.25)
        if hour >= CHANGE_HOUR:
            level, failing = level + math.log(world.longer), failing * world.worse
        ended = _poisson(random, rate)
        failed = _binomial(random, ended, min(failing, 1.0))
        timed = ended - failed
        heavy = world.kind in {"heavy tails", "all"}
        yield learned_pb2.HourSum(
            hour=hour,
            count=ended,
            failed=failed,
            timed=timed,
            log_seconds=_logs(random, level, timed, heavy=heavy),
        )


def _logs(random: Random, level: float, count: int, *, heavy: bool) -> float:
    """The sum of so many logarithms of durations, lognormal or with a tail by a power law."""
    if heavy and count:
        return count * level + SPREAD * (random.gammavariate(count, 1) - count)
    return count * level + random.gauss(0, SPREAD * math.sqrt(count))


def _poisson(random: Random, mean: float) -> int:
    passed, count = random.expovariate(1), 0
    if mean > 50:  # noqa: PLR2004 - where a normal one is as good
        return max(0, round(random.gauss(mean, math.sqrt(mean))))
    while passed < mean:
        passed, count = passed + random.expovariate(1), count + 1
    return count


def _binomial(random: Random, count: int, share: float) -> int:
    if count * share > 50:  # noqa: PLR2004 - likewise
        return min(count, max(0, round(random.gauss(count * share, math.sqrt(count * share * (1 - share))))))
    return sum(random.random() < share for _ in range(count))


def alarms(world: World, count: int, seed: int, since: int = 0) -> dict[str, int]:
    """Judge hours as they come; answer in which hour each alarm was first raised, from `since` on."""
    kept: list[learned_pb2.HourSum] = []
    found: dict[str, int] = {}
    for told in hours(world, count, seed):
        kept = [*kept, told][-HOURS_MAX:] if told.count else kept
        if told.hour >= since:
            for change in changes(kept):
                found.setdefault(change.reason, told.hour)
    return found


def false_alarms(kind: str, rate: float, runs: int, seed: int) -> int:
    """In how many runs of two weeks in which nothing changes there was any alarm."""
    world = World(kind, rate)
    return sum(bool(alarms(world, QUIET_HOURS, seed + run)) for run in range(runs))


@dataclass(frozen=True, slots=True)
class Power:
    """How a change was found.

    Attributes:
        found: In how many runs.
        median_hours: After how many hours, in half of those; 0 where there are none.
    """

    found: int
    median_hours: int


def power(world: World, reason: str, runs: int, seed: int) -> Power:
    """How often and how soon a change was found within two days, by the right name."""
    until = CHANGE_HOUR + FOUND_HOURS
    waits = []
    for run in range(runs):
        at = alarms(world, until, seed + run, since=CHANGE_HOUR).get(reason)
        if at is not None:
            waits.append(at - CHANGE_HOUR + 1)
    return Power(len(waits), sorted(waits)[len(waits) // 2] if waits else 0)


def _changes() -> Iterator[tuple[World, str]]:
    for kind in ("chance", "hours differ", "time of day"):
        for longer in (1.25, 1.5, 2.0, 0.67):
            yield World(kind, 30, longer=longer), "SLOWER" if longer > 1 else "FASTER"
    for kind, rate in (("chance", 30), ("failures differ", 300)):
        for worse in (2.0, 4.0, 10.0, 0.2):
            yield World(kind, rate, worse=worse), "FAILS_MORE" if worse > 1 else "FAILS_LESS"


def main() -> int:
    """Simulate, and print tables or JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=60)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--output", choices=["table", "json"], default="table")
    args = parser.parse_args()
    quiet = {
        f"{kind}, {rate}/h": false_alarms(kind, rate, args.runs, args.seed)
        for kind in KINDS
        for rate in RATES
    }
    found = [(world, reason, power(world, reason, args.runs, args.seed)) for world, reason in _changes()]
    if args.output == "json":
        told = [asdict(world) | {"reason": reason} | asdict(each) for world, reason, each in found]
        print(
            json.dumps({"seed": args.seed, "runs": args.runs, "false_alarms": quiet, "power": told}, indent=2)
        )
        return 0
    print(f"seed {args.seed}; runs with a false alarm in {QUIET_HOURS // DAY} days, of {args.runs}")
    for name, count in quiet.items():
        print(f"  {name:<28}{count:>4}")
    print(
        f"changes found within {FOUND_HOURS // DAY} days, of {args.runs}, and the median of hours until then"
    )
    for world, reason, each in found:
        change = f"durations x {world.longer:g}" if world.longer != 1 else f"failures x {world.worse:g}"
        name = f"{reason:<11}{world.kind}, {world.rate:g}/h, {change}"
        print(f"  {name:<54}{each.found:>4}{each.median_hours:>4} h")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
