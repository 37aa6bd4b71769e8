"""The follow suite: does a follower lose, double, reorder or split a revision, and how fast does it recover?

`python -m benchmarks.follow_suite` carries out seeded runs on real etcd servers of its own, on loopback: each
writes a history under a schedule of faults and compares what every follower delivered with the full history.
Then it measures recovery times. It ends with 1 where a run failed; a missed goal is printed and does not
change the exit code. A run that failed is replayed with `--seed N --runs 1`.
"""

import argparse
import asyncio
import json
import os
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from benchmarks.following.recovery import Recovery, measure
from benchmarks.following.running import Outcome, run_many
from benchmarks.following.tables import failure_text, recovery, recovery_table, summary, summary_table

TOLD_EVERY = 50


def main() -> int:
    """Read the flags, run, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--runs", type=int, default=1000, help="how many runs; 0: only recovery times")
    parser.add_argument(
        "--seed", type=int, default=0, help="of the first run; each next one has the next seed"
    )
    parser.add_argument("--faults", type=int, default=30, help="of each kind for recovery times; 0: none")
    parser.add_argument(
        "--lanes", type=int, default=8, help="lone servers side by side; clusters: half as many"
    )
    parser.add_argument("--output", choices=["table", "json"], default="table")
    args = parser.parse_args()
    if args.runs == 1:
        args.faults = 0  # one run is a replay
    told, outcomes, rows = asyncio.run(_all(args))
    if args.output == "json":
        print(json.dumps({**told, "recovery": [recovery(row) for row in rows if row.seconds]}))
    else:
        print("\n\n".join([summary_table(told)] * bool(outcomes) + [recovery_table(rows)] * bool(rows)))
    return 1 if told["failed"] else 0


async def _all(args: argparse.Namespace) -> tuple[dict[str, Any], list[Outcome], list[Recovery]]:
    done = 0

    def tell(outcome: Outcome) -> None:
        nonlocal done
        done += 1
        if outcome.complaints:
            print(failure_text(outcome), file=sys.stderr, flush=True)
        elif args.runs == 1:
            print(outcome.plan, file=sys.stderr, flush=True)
        if done % TOLD_EVERY == 0:
            load = os.getloadavg()[0]
            print(f"{done} of {args.runs} runs, load {load:.1f}", file=sys.stderr, flush=True)

    with tempfile.TemporaryDirectory(prefix="enchain-follow-suite-") as directory:
        begun = time.monotonic()
        seeds = range(args.seed, args.seed + args.runs)
        lanes = {1: args.lanes, 3: max(1, args.lanes // 2)}
        outcomes = await run_many(seeds, Path(directory), lanes=lanes, told=tell)
        told = summary(outcomes, time.monotonic() - begun)
        rows = await measure(args.faults, Path(directory), args.seed) if args.faults else []
    return told, outcomes, rows


if __name__ == "__main__":
    sys.exit(main())
