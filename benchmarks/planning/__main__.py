"""`python -m benchmarks.planning`: plan for many workloads that share engines, and say how long it takes."""

import argparse
import statistics
import time
from random import Random

from benchmarks.planning.making import fleet, workload
from controlplane.planning.plan import plan, plan_together


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
    took, worked = [], []
    for _ in range(asked.runs):
        start, busy = time.perf_counter(), time.process_time()
        plans = plan_together(problems)
        took.append(time.perf_counter() - start)
        worked.append(time.process_time() - busy)
    start = time.perf_counter()
    plan(problems[0])
    one = time.perf_counter() - start
    feasible = sum(found.chosen is not None and found.chosen.feasible for found in plans)
    switches = sum(found.switches for found in plans)
    print(
        f"{asked.workloads} workloads, {asked.steps} steps, {asked.engines} engines; "
        f"{asked.chains} chains for each workload, {len(problems[0].demand.rates)} steps of horizon"
    )
    print(
        f"together: median {statistics.median(took):.2f} s, worst {max(took):.2f} s of {asked.runs} runs; "
        f"processor time {statistics.median(worked):.2f} s, in the first run {worked[0]:.2f} s; "
        f"{feasible} keep their service level, {switches} switch"
    )
    print(f"one alone: {1000 * one:.1f} ms")


if __name__ == "__main__":
    main()
