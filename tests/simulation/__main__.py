"""Run seeds: `python -m tests.simulation --seeds 10000`, or replay one with `--seed N`."""

import argparse
import os
import sys

from tests.simulation.seeds import run_many
from tests.simulation.world import run_seed


def _print(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def _replay(seed: int, last: int) -> int:
    outcome = run_seed(seed)
    _print(outcome.report(last))
    _print(f"\nseed {seed}: {len(outcome.violations)} violations, trace {outcome.trace.digest()[:16]}")
    return 1 if outcome.violations else 0


def main() -> int:
    """Run them; answer the exit code."""
    parser = argparse.ArgumentParser(prog="python -m tests.simulation", description=__doc__)
    parser.add_argument("--seed", type=int, help="replay one seed and print its plan and its trace")
    parser.add_argument("--last", type=int, default=0, help="print only so many lines of the trace")
    parser.add_argument("--seeds", type=int, default=1000, help="how many seeds to run")
    parser.add_argument("--start", type=int, default=0, help="the first of them")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="processes at once")
    parser.add_argument("--failures", type=int, default=1, help="stop after so many failing seeds")
    options = parser.parse_args()
    if options.seed is not None:
        return _replay(options.seed, options.last)
    seeds = range(options.start, options.start + options.seeds)
    failed = 0
    for total in run_many(seeds, jobs=options.jobs, failures=options.failures):
        if len(total.failed) > failed:
            failed = len(total.failed)
            _print(f"seed {total.failed[-1].seed}: {total.failed[-1].violations[0]}")
    _print(str(total))
    if failed:
        _print("replay one with: python -m tests.simulation --seed N")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
