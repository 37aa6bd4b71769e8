"""How long a change takes from `put` to every follower, on a real etcd: many follow loops, many changes.

Run it on a quiet machine: `python benchmarks/follow.py`. It starts an etcd of its own on loopback. Every
loop has a connection of its own, as every router has, but all share this one process: a change counts as
applied when the loop that is last in line has it too, so that the figures hold the work of all loops. Ends
with 1 where a change was lost or doubled; whether the goal was met is printed and does not change the exit
code.
"""

import argparse
import asyncio
import json
import math
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import aclosing
from dataclasses import asdict, dataclass, field
from pathlib import Path
from random import Random

from enchain.process.clock import SystemClock
from enchain.state.etcd import open_store
from enchain.state.follow import follow
from enchain.state.server import LocalEtcd
from enchain.state.store import Put, Store, put

PREFIX = "/enchain/v1/table/benchmark/"
GOAL_P99_MS = 50.0
GRACE_SECONDS = 30.0


@dataclass(frozen=True, slots=True)
class Result:
    """What was measured. Times are from before `put` was sent until a loop had applied the change.

    `put_p99_ms` is how long the writer waited for its own answers: what the disk and a busy machine take
    is in it as in all others.
    """

    loops: int
    changes: int
    changes_per_second: float
    value_bytes: int
    lost: int
    doubled: int
    median_ms: float
    p99_ms: float
    longest_ms: float
    slowest_loop_median_ms: float
    put_p99_ms: float
    goal_p99_ms: float
    goal_met: bool
    etcd_version: str


@dataclass(slots=True)
class Loop:
    """One follower: when it applied which revision, and what it holds."""

    applied: dict[int, float] = field(default_factory=dict)
    doubled: int = 0
    items: dict[str, bytes] = field(default_factory=dict)
    begun: asyncio.Event = field(default_factory=asyncio.Event)

    async def run(self, store: Store, seed: int) -> None:
        """Follow for ever."""
        loop = follow(store, PREFIX, clock=SystemClock(), rng=Random(seed))
        async with aclosing(loop) as batches:
            async for batch in batches:
                for event in batch.events:
                    self.items[event.item.key] = event.item.value
                if not batch.resync:
                    self.doubled += batch.revision in self.applied
                    self.applied[batch.revision] = time.perf_counter()
                self.begun.set()


async def measure(loops: int, changes: int, rate: float, value_bytes: int) -> Result:
    """Run the loops, make the changes, and reckon."""
    with tempfile.TemporaryDirectory(prefix="enchain-benchmark-") as directory:
        async with LocalEtcd(Path(directory) / "etcd") as server:
            stores = [await open_store([server.address]) for _ in range(loops + 1)]
            writer = stores.pop()
            followers = [Loop() for _ in stores]
            tasks = [
                asyncio.create_task(each.run(store, seed), name=f"follow loop {seed}")
                for seed, (each, store) in enumerate(zip(followers, stores, strict=True))
            ]
            await asyncio.gather(*(each.begun.wait() for each in followers))
            # The first list says nothing of the watch; a change that all have seen does.
            await put(writer, [Put(f"{PREFIX}warm-up", b"")])
            await _all_have(followers, {(await writer.list(PREFIX)).revision})

            sent, put_ms = await _change(writer, changes, rate, value_bytes)

            await _all_have(followers, set(sent))
            version = (await writer.status()).version
            for task in tasks:
                task.cancel()
            await asyncio.wait(tasks)
            for store in [*stores, writer]:
                await store.close()
    return _reckon(followers, sent, put_ms, rate, value_bytes, version)


async def _change(
    writer: Store, changes: int, rate: float, value_bytes: int
) -> tuple[dict[int, float], list[float]]:
    """Make the changes at an even pace; answer when each was sent, and how long each put took."""
    sent: dict[int, float] = {}
    put_ms: list[float] = []
    start = time.perf_counter()
    for n in range(changes):
        await asyncio.sleep(max(0.0, start + n / rate - time.perf_counter()))
        value = f'{{"change":{n}}}'.encode().ljust(value_bytes)
        before = time.perf_counter()
        sent[await put(writer, [Put(f"{PREFIX}{n % 20:02}", value)])] = before
        put_ms.append((time.perf_counter() - before) * 1000)
    return sent, put_ms


async def _all_have(followers: Sequence[Loop], revisions: set[int]) -> None:
    """Wait until all loops have applied all revisions; what is missing then is lost."""
    deadline = time.perf_counter() + GRACE_SECONDS
    while time.perf_counter() < deadline:
        if all(revisions <= each.applied.keys() for each in followers):
            return
        await asyncio.sleep(0.01)


def _reckon(
    followers: Sequence[Loop],
    sent: dict[int, float],
    put_ms: list[float],
    rate: float,
    value_bytes: int,
    version: str,
) -> Result:
    times = [
        [
            (each.applied[revision] - before) * 1000
            for revision, before in sent.items()
            if revision in each.applied
        ]
        for each in followers
    ]
    everything = sorted(ms for one in times for ms in one)
    p99 = _quantile(everything, 0.99)
    return Result(
        loops=len(followers),
        changes=len(sent),
        changes_per_second=rate,
        value_bytes=value_bytes,
        lost=sum(len(sent.keys() - each.applied.keys()) for each in followers),
        doubled=sum(each.doubled for each in followers),
        median_ms=_quantile(everything, 0.5),
        p99_ms=p99,
        longest_ms=_quantile(everything, 1.0),
        slowest_loop_median_ms=max(_quantile(sorted(one), 0.5) for one in times),
        put_p99_ms=_quantile(sorted(put_ms), 0.99),
        goal_p99_ms=GOAL_P99_MS,
        goal_met=p99 <= GOAL_P99_MS,
        etcd_version=version,
    )


def _quantile(ordered: Sequence[float], part: float) -> float:
    return round(ordered[max(0, math.ceil(part * len(ordered)) - 1)], 2)


def _table(result: Result) -> str:
    rows = [(name.replace("_", " "), str(value)) for name, value in asdict(result).items()]
    width = max(len(name) for name, _ in rows)
    return "\n".join(f"{name:<{width}}  {value}" for name, value in rows)


def main() -> int:
    """Read the flags, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--loops", type=int, default=50)
    parser.add_argument("--changes", type=int, default=200)
    parser.add_argument("--rate", type=float, default=20.0, help="changes per second")
    parser.add_argument("--value-bytes", type=int, default=1024)
    parser.add_argument("--output", choices=["table", "json"], default="table")
    args = parser.parse_args()
    result = asyncio.run(measure(args.loops, args.changes, args.rate, args.value_bytes))
    print(json.dumps(asdict(result)) if args.output == "json" else _table(result))
    return 1 if result.lost or result.doubled else 0


if __name__ == "__main__":
    sys.exit(main())
