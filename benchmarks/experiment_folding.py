"""How many outcomes the leader folds for each second of CPU while 50 experiments run, and analyses.

Run as `python -m benchmarks.experiment_folding [--entries 5000] [--experiments 50] [--output json]`. Each
experiment has its workload and two arms; all readers of the leader fold. The store is the one in memory,
whose own time counts too. The goals are 2,000 outcomes and 50 ms; a missed goal is printed, and is no
failure, since machines differ.
"""

import argparse
import asyncio
import json
import time
from datetime import timedelta
from random import Random

from benchmarks.folding import START, entry, fill
from controlplane.catalog.experiment_statistics import ExperimentStatistics
from controlplane.demand.request_rate import RequestRateReader
from controlplane.experiments.analysis import analyse
from controlplane.experiments.outcomes import OutcomeReader
from controlplane.loops.outbox import OutboxLoop
from controlplane.profiles.reader import ProfileReader
from controlplane.switching.evidence import SwitchEvidenceReader
from enchain.chains.cohort import bucket
from enchain.process.clock import ManualClock
from enchain.state import keys
from enchain.state.codec import encode
from enchain.state.memory import MemoryStore
from enchain.state.store import Put, put
from enchain.v1 import experiment_pb2, operation_pb2

OUTCOMES_GOAL = 2000.0
ANALYSIS_GOAL = 0.05
WARM_ENTRIES = 4000
ANALYSES = 20
ARMS = ("control", "quick")
HIGHER = experiment_pb2.ExperimentMetric.BETTER_HIGHER
LOWER = experiment_pb2.ExperimentMetric.BETTER_LOWER


def outcome(number: int, experiments: int, hours: float, random: Random) -> operation_pb2.OutboxEntry:
    """What a provision in one of so many experiments leaves."""
    workload = number % experiments
    made = entry(number, workload, hours, random)
    made.experiment = f"workloads/site-{workload}/experiments/faster"
    made.experiment_phase, made.experiment_seed = 1, f"seed-{workload}"
    made.bucket = bucket(f"seed-{workload}", made.routing_key)
    made.arm = ARMS[made.bucket // 5000]
    made.requester = f"person-{number % 100}"
    return made


def experiment(workload: int) -> experiment_pb2.Experiment:
    """The experiment of a workload, as it stands while it runs."""
    made = experiment_pb2.Experiment(
        name=f"workloads/site-{workload}/experiments/faster",
        state=experiment_pb2.Experiment.STATE_RUNNING,
        coverage=100,
        significance=0.05,
        minimum_effect=0.05,
    )
    for arm in ARMS:
        made.arms.add(name=arm, chain=f"workloads/site-{workload}/chains/{arm}@0123456789ab", weight=50)
    made.goal.metric, made.goal.better = "time", LOWER
    for metric in ("cost", "compensation", "p95_time"):
        made.metrics.add(metric=metric, better=LOWER)
    made.guardrails.add(metric="success", better=HIGHER, tolerance=0.005)
    phase = made.phases.add(number=1, seed=f"seed-{workload}", hash_version=2, coverage=100)
    phase.ranges.add(arm=ARMS[0], start=0, end=5000)
    phase.ranges.add(arm=ARMS[1], start=5000, end=10_000)
    phase.start_time.FromDatetime(START)
    made.start_time.FromDatetime(START)
    made.time_limit.FromTimedelta(timedelta(days=14))
    return made


async def measure(experiments: int, count: int) -> tuple[float, float]:
    """Fold so many outcomes, then analyse; answer outcomes and seconds, both of CPU."""
    random = Random(experiments)
    store = MemoryStore()
    clock = ManualClock(START + timedelta(days=10))
    readers = (RequestRateReader(), ProfileReader(), SwitchEvidenceReader(), OutcomeReader())
    loop = OutboxLoop(readers, clock=clock, rng=random)
    for number in range(experiments):
        running = Put(keys.experiment(f"site-{number}", "faster"), encode(experiment(number)))
        await put(store, [running])
    warm = [outcome(n, experiments, 96 * n / WARM_ENTRIES, random) for n in range(WARM_ENTRIES)]
    await fill(store, warm)
    await loop.sweep(store)
    new = range(WARM_ENTRIES, WARM_ENTRIES + count)
    await fill(store, [outcome(n, experiments, 96 + n / count, random) for n in new])
    began = time.process_time()
    await loop.sweep(store)
    spent = time.process_time() - began
    assert not (await store.list(keys.OUTBOX, keys_only=True)).items, "all entries were folded"
    took = await _analyse(store, experiments, clock)
    await store.close()
    return count / spent, took


async def _analyse(store: MemoryStore, experiments: int, clock: ManualClock) -> float:
    """Seconds of CPU for reading one experiment's statistics and analysing it."""
    statistics, told = ExperimentStatistics(store), 0
    began = time.process_time()
    for number in range(ANALYSES):
        asked = experiment(number % experiments)
        measured = await statistics.measured(asked)
        told += len(analyse(asked, measured.arms, measured.before, clock.now()).metrics)
    assert told >= ANALYSES * len(ARMS), "all of them were analysed"
    return (time.process_time() - began) / ANALYSES


def main() -> int:
    """Measure, and print lines or JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--entries", type=int, default=5000)
    parser.add_argument("--experiments", type=int, default=50)
    parser.add_argument("--output", choices=["table", "json"], default="table")
    args = parser.parse_args()
    rate, took = asyncio.run(measure(args.experiments, args.entries))
    if args.output == "json":
        goals = {"outcomes_per_cpu_second": OUTCOMES_GOAL, "analysis_seconds": ANALYSIS_GOAL}
        told = {"goals": goals, "outcomes_per_cpu_second": rate, "analysis_seconds": took}
        print(json.dumps(told, indent=2))
        return 0
    met, quick = rate >= OUTCOMES_GOAL, took <= ANALYSIS_GOAL
    print(f"outcomes per second of CPU  {rate:8.0f}  {'met' if met else 'missed'} ({OUTCOMES_GOAL:.0f})")
    print(f"seconds of CPU per analysis {took:8.4f}  {'met' if quick else 'missed'} ({ANALYSIS_GOAL:g})")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
