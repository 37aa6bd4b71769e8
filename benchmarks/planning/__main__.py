"""`python -m benchmarks.planning`: plan for many workloads that share engines, and say how long it takes.

First all of them begin on a chain chosen by chance, so that most move at once, and everything is planned
twice. Then they are planned again from where they came to until none moves any more, as it mostly is.
"""

import argparse
import statistics
import time
from collections.abc import Sequence
from dataclasses import replace
from random import Random

from benchmarks.planning.making import fleet, workload
from controlplane.planning.plan import plan, plan_together
from controlplane.planning.problem import Plan, Problem

ROUNDS_MAX = 20


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--workloads", type=int, default=200)
    parser.add_argument("--steps", type=int, default=5)
    parser.add_argument("--engines", type=int, default=6)
    parser.add_argument("--chains", type=int, default=8)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--runs", type=int, default=5)
    asked = parser.parse_args()
    rng = Random(asked.seed)
    pools = fleet(rng, asked.engines)
    problems = [workload(rng, at, pools, asked.steps, asked.chains) for at in range(asked.workloads)]
    print(
        f"{asked.workloads} workloads, {asked.steps} steps, {asked.engines} engines; "
        f"{asked.chains} chains for each workload, {len(problems[0].demand.rates)} steps of horizon"
    )
    plans = timed("most move", problems, asked.runs)
    rounds = 0
    while any(found.switches for found in plans) and rounds < ROUNDS_MAX:
        rounds += 1
        problems = [_moved(found, one) for found, one in zip(plans, problems, strict=True)]
        plans = plan_together(problems)
    timed(f"settled after {rounds} rounds", problems, asked.runs)
    start = time.perf_counter()
    plan(problems[0])
    print(f"one alone: {1000 * (time.perf_counter() - start):.1f} ms")


def timed(name: str, problems: Sequence[Problem], runs: int) -> list[Plan]:
    """Plan so often, and print how long it took."""
    took, worked = [], []
    plans: list[Plan] = []
    for _ in range(runs):
        start, busy = time.perf_counter(), time.process_time()
        plans = plan_together(problems)
        took.append(time.perf_counter() - start)
        worked.append(time.process_time() - busy)
    feasible = sum(found.chosen is not None and found.chosen.feasible for found in plans)
    print(
        f"{name}: median {statistics.median(took):.2f} s, worst {max(took):.2f} s of {runs} runs; "
        f"processor time {statistics.median(worked):.2f} s, in the first run {worked[0]:.2f} s; "
        f"{feasible} keep their service level, {sum(found.switches for found in plans)} switch"
    )
    return plans


def _moved(found: Plan, problem: Problem) -> Problem:
    return replace(problem, current=found.chosen.chain if found.chosen else problem.current)


if __name__ == "__main__":
    main()
