"""How often the sequential tests of a switch alarm for nothing, and how soon they see what is worse.

`python -m benchmarks.switch_tests --runs 4000`: simulated provisions, 60 on the old chain, up to 100 on the
new one, looked at after each. It prints, for each world, how many runs alarmed and after how many provisions
half of those had.
"""

import argparse
import math
from collections.abc import Callable, Iterator
from random import Random

from controlplane.switching.sequential import Counts, failing_more, slower
from controlplane.switching.watching import ALARM

OLD, NEW = 60, 100

Look = Callable[[Random], Iterator[float]]
"""Answers the logarithm of the evidence after each provision of a run."""


def durations(factor: float) -> Look:
    """Lognormal durations; those of the new chain are so many times longer."""

    def looks(rng: Random) -> Iterator[float]:
        old = [rng.lognormvariate(0.0, 0.6) for _ in range(OLD)]
        new: list[float] = []
        for _ in range(NEW):
            new.append(factor * rng.lognormvariate(0.0, 0.6))
            yield slower(old, new, [])

    return looks


def failures(before: float, after: float) -> Look:
    """Provisions that fail independently."""

    def looks(rng: Random) -> Iterator[float]:
        old = Counts(OLD, sum(rng.random() < before for _ in range(OLD)))
        failed = 0
        for number in range(1, NEW + 1):
            failed += rng.random() < after
            yield failing_more(old, Counts(number, failed))

    return looks


WORLDS: dict[str, tuple[Look, bool]] = {
    "as fast": (durations(1.0), False),
    "slower by the quarter that is let pass": (durations(1.25), False),
    "twice as slow": (durations(2.0), True),
    "three times as slow": (durations(3.0), True),
    "2 % fail, as before": (failures(0.02, 0.02), False),
    "30 % fail, 2 % before": (failures(0.02, 0.3), True),
    "50 % fail, 2 % before": (failures(0.02, 0.5), True),
    "all fail, 2 % before": (failures(0.02, 1.0), True),
}
"""By name: how it comes, and whether the new chain is worse."""


def first_alarm(look: Look, rng: Random) -> int:
    """Answer after which provision a run alarms first; 0 where it never does."""
    found = (number for number, evidence in enumerate(look(rng), 1) if evidence >= math.log(ALARM))
    return next(found, 0)


def main() -> None:
    """Simulate and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=4000, help="runs of each world that is not worse")
    parser.add_argument("--seed", type=int, default=20_261_124)
    args = parser.parse_args()
    for name, (look, worse) in WORLDS.items():
        rng = Random(args.seed)
        runs = min(args.runs, 300) if worse else args.runs
        alarms = sorted(filter(None, (first_alarm(look, rng) for _ in range(runs))))
        half = f", half of them by provision {alarms[len(alarms) // 2]}" if alarms else ""
        print(f"{name}: {len(alarms)} of {runs} alarmed{half} (seed {args.seed})", flush=True)


if __name__ == "__main__":
    main()
