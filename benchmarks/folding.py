"""How many outbox entries the leader folds for each second of CPU, with all its readers.

Run as `python -m benchmarks.folding [--entries 5000] [--output json]`. Entries tell of operations of two
steps, spread over days; statistics are as full as they are after days of work. The store is the one in
memory, whose own time counts too. The goal is 2,000; a missed goal is printed, and is no failure, since
machines differ.
"""

import argparse
import asyncio
import json
import time
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from random import Random

from ulid import ULID

from controlplane.demand.request_rate import RequestRateReader
from controlplane.loops.outbox import OutboxLoop
from controlplane.profiles.reader import ProfileReader
from controlplane.switching.evidence import SwitchEvidenceReader
from enchain.process.clock import ManualClock
from enchain.state import keys
from enchain.state.codec import encode
from enchain.state.memory import MemoryStore
from enchain.state.store import OPS_MAX, Put, put
from enchain.v1 import diagnostic_pb2, operation_pb2

GOAL = 2000.0
START = datetime(2026, 3, 1, tzinfo=UTC)
FAILING = 0.02
WARM_ENTRIES = 2000
WORKLOADS = (1, 10, 100)


def entry(number: int, workload: int, hours: float, random: Random) -> operation_pb2.OutboxEntry:
    """What an operation of two steps leaves that ended so many hours after the start."""
    made = operation_pb2.OutboxEntry(
        operation=f"tenants/default/operations/{ULID()}",
        verb=operation_pb2.VERB_PROVISION,
        state=operation_pb2.Operation.STATE_SUCCEEDED,
        tenant="default",
        workload=f"workloads/site-{workload}",
        chain=f"workloads/site-{workload}/chains/default@0123456789ab",
        arm="default",
        bucket=number % 10_000,
        routing_key=f"customer-{number}",
        measures={"size": 3.0},
    )
    at = START + timedelta(hours=hours)
    made.create_time.FromDatetime(at - timedelta(seconds=20))
    made.end_time.FromDatetime(at)
    for name, engine, typical in (("configure", "terraform", 8.0), ("serve", "process", 0.8)):
        failed = random.random() < FAILING
        step = made.steps.add(
            step=name,
            engine=engine,
            version="1.15.0",
            attempts=1,
            in_flight=random.randrange(1, 9),
            outcome=diagnostic_pb2.OUTCOME_FAILED_CLEAN if failed else diagnostic_pb2.OUTCOME_SUCCEEDED,
            code="NO_QUOTA" if failed else "",
        )
        step.duration.FromTimedelta(timedelta(seconds=typical * random.lognormvariate(0, 0.5)))
        step.usage.cpu_seconds = random.uniform(0.1, 2)
        step.usage.peak_memory_bytes = random.randrange(10**7, 10**9)
        step.usage.cost.currency_code = "EUR"
        step.usage.cost.nanos = random.randrange(10**7)
    return made


async def fill(store: MemoryStore, entries: Sequence[operation_pb2.OutboxEntry]) -> None:
    """Put entries into the outbox."""
    for start in range(0, len(entries), OPS_MAX):
        some = entries[start : start + OPS_MAX]
        await put(store, [Put(keys.outbox(each.operation.rpartition("/")[2]), encode(each)) for each in some])


async def measure(workloads: int, count: int) -> float:
    """Fold so many entries of so many workloads; answer how many for each second of CPU."""
    random = Random(workloads)
    store = MemoryStore()
    clock = ManualClock(START + timedelta(days=10))
    loop = OutboxLoop((RequestRateReader(), ProfileReader(), SwitchEvidenceReader()), clock=clock, rng=random)
    # Statistics that hold days already are as large as they become.
    warm = [entry(n, n % workloads, 96 * n / WARM_ENTRIES, random) for n in range(WARM_ENTRIES)]
    await fill(store, warm)
    await loop.sweep(store)
    await fill(store, [entry(n, n % workloads, 96 + n / count, random) for n in range(count)])
    began = time.process_time()
    await loop.sweep(store)
    spent = time.process_time() - began
    left = (await store.list(keys.OUTBOX, keys_only=True)).items
    await store.close()
    assert not left, "all entries were folded"
    return count / spent


def main() -> int:
    """Measure, and print a table or JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--entries", type=int, default=5000)
    parser.add_argument("--output", choices=["table", "json"], default="table")
    args = parser.parse_args()
    rates = {workloads: asyncio.run(measure(workloads, args.entries)) for workloads in WORKLOADS}
    if args.output == "json":
        print(json.dumps({"goal": GOAL, "entries_per_cpu_second": rates}, indent=2))
        return 0
    print(f"{'workloads':>9}  {'entries per second of CPU':>25}  goal")
    for workloads, rate in rates.items():
        print(f"{workloads:>9}  {rate:>25.0f}  {'met' if rate >= GOAL else 'missed'} ({GOAL:.0f})")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
