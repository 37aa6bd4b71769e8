"""How long a switch takes from the moment that its transaction is sent until every router follows it.

`python -m benchmarks.switch_latency` starts an etcd, a control plane, three routers and a script engine, all
as processes of their own on loopback, and switches a workload to and fro between two chains. A router counts
as following once it answers `ExplainRoute` with the new chain: it is asked again and again, 2 ms after each
answer, so that the figures hold the last question too. Beside them, in the same run, as many `etcdctl watch`
follow the route's key: nothing that reads from etcd can be told much sooner. All times are taken in this one
process. Ends with 1 where a router did not follow; a missed goal is printed and changes no exit code.
"""

import argparse
import asyncio
import json
import math
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, TextIO

import grpc

from benchmarks.switch_table import Table, laid
from controlplane.catalog.audit import Caller
from controlplane.catalog.changes import stamper
from controlplane.catalog.routes import RouteCatalog, Wish
from controlplane.switching import states
from enchain.chains.names import ChainName, SwitchName
from enchain.dev.cluster import Cluster
from enchain.dev.plan import Layout
from enchain.process.channels import open_channel
from enchain.process.clock import SystemClock
from enchain.state import keys
from enchain.state.etcd import open_store
from enchain.state.faults import PassingStore
from enchain.state.server import find_etcd
from enchain.state.store import Put, Store, Txn, TxnResult
from enchain.v1 import provisioning_pb2, provisioning_pb2_grpc
from tests.harness.waiting import eventually

WORKLOAD = "site"
QUESTION = provisioning_pb2.ExplainRouteRequest(workload=f"workloads/{WORKLOAD}", key="x")
GOAL_MS = 50.0
ASK_SECONDS = 0.002
GRACE_SECONDS = 30.0


@dataclass(frozen=True, slots=True)
class Result:
    """What was measured, in milliseconds since the transaction was sent where nothing else is said."""

    switches: int
    routers: int
    other_workloads: int
    committed_median_ms: float
    applied_median_ms: float
    applied_p95_ms: float
    applied_longest_ms: float
    any_router_median_ms: float
    etcdctl_median_ms: float
    etcdctl_p95_ms: float
    ratio_of_medians: float
    ratio_of_p95s: float
    asking_median_ms: float
    goal_median_ms: float
    goal_met: bool


@dataclass(slots=True)
class Times:
    """One switch: when what happened, by the monotonic clock."""

    revision: int
    sent: float
    committed: float
    applied: list[float]


class TimedStore(PassingStore):
    """Notes when a transaction that writes a route was sent, and when it was answered."""

    def __init__(self, store: Store) -> None:
        super().__init__(store)
        self.revision, self.sent, self.committed = 0, 0.0, 0.0
        self.begun = asyncio.Event()

    async def commit(self, txn: Txn) -> TxnResult:
        """Run it."""
        if not any(isinstance(op, Put) and op.key.startswith(keys.ROUTES) for op in txn.success):
            return await super().commit(txn)
        self.sent = time.perf_counter()
        self.begun.set()
        result = await super().commit(txn)
        self.revision, self.committed = result.revision, time.perf_counter()
        return result


@dataclass(slots=True)
class Peer:
    """An `etcdctl watch` of the route: when it told of which revision."""

    received: dict[int, float] = field(default_factory=dict)

    async def read(self, lines: asyncio.StreamReader) -> None:
        """Read what it prints, for ever."""
        async for line in lines:
            now = time.perf_counter()
            for event in json.loads(line).get("Events", ()):
                self.received[event["kv"]["mod_revision"]] = now


@asynccontextmanager
async def peers(etcd: str, count: int) -> AsyncIterator[list[Peer]]:
    """Run so many `etcdctl watch`."""
    program, found = str(find_etcd("etcdctl")), [Peer() for _ in range(count)]
    processes, reading = [], []
    try:
        for peer in found:
            process = await asyncio.create_subprocess_exec(
                program, f"--endpoints={etcd}", "watch", keys.route(WORKLOAD), "--write-out=json",
                stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE,
            )  # fmt: skip
            processes.append(process)
            assert process.stdout is not None
            reading.append(asyncio.create_task(peer.read(process.stdout), name="read what etcdctl tells"))
        yield found
    finally:
        for process in processes:
            process.kill()
            await process.wait()
        await asyncio.gather(*reading, return_exceptions=True)


class Asked:
    """A router that is asked where requests go.

    Args:
        stub: A client of it.

    Attributes:
        took: How long it took to answer, in seconds.
    """

    def __init__(self, stub: Any) -> None:
        self._stub = stub
        self.took: list[float] = []

    async def knows(self) -> bool:
        """Say whether it knows of a route at all."""
        try:
            await self._stub.ExplainRoute(QUESTION)
        except grpc.aio.AioRpcError:
            return False
        return True

    async def leads_to(self, chain: str) -> float:
        """Ask until it answers a chain; say when it did."""
        while True:
            before = time.perf_counter()
            answer = await self._stub.ExplainRoute(QUESTION)
            now = time.perf_counter()
            self.took.append(now - before)
            if answer.chain == chain:
                return now
            await asyncio.sleep(ASK_SECONDS)


async def switch(catalog: RouteCatalog, store: TimedStore, routers: Sequence[Asked], chain: str) -> Times:
    """Switch once; return when every router follows and the switch has ended."""
    store.begun.clear()
    wish = Wish(WORKLOAD, Caller("benchmarks.switch_latency", reason="to measure it"))
    asked = asyncio.create_task(catalog.switch(wish, ChainName.parse(chain)), name="switch")
    await store.begun.wait()
    async with asyncio.timeout(GRACE_SECONDS):
        applied = await asyncio.gather(*(router.leads_to(chain) for router in routers))
        name = SwitchName.parse((await asked).name)

        async def ended() -> bool:
            return states.is_end((await catalog.get_switch(name)).state)

        await eventually(ended, within=GRACE_SECONDS)
    return Times(store.revision, store.sent, store.committed, list(applied))


async def measure(switches: int, routers: int, others: int, told: TextIO) -> Result:
    """Set everything up, switch, and reckon."""
    async with AsyncExitStack() as stack:
        folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="enchain-benchmark-"))
        layout = Layout(
            data=Path(folder), control="127.0.0.1:0", routers=("127.0.0.1:0",) * routers,
            terraform=0, process=0, script=1, log_level="warning",
        )  # fmt: skip
        cluster = await stack.enter_async_context(Cluster(layout))
        plain = await open_store([cluster.etcd.address])
        stack.push_async_callback(plain.close)
        table = await laid(plain, WORKLOAD, others)
        asked = []
        for address in cluster.routers:
            channel = await stack.enter_async_context(open_channel(address))
            asked.append(Asked(provisioning_pb2_grpc.ProvisioningServiceStub(channel)))
        watching = await stack.enter_async_context(peers(cluster.etcd.address, routers))
        times = await _switches(plain, asked, table, switches, told)
        return reckon(times[1:], asked, watching, others)


async def _switches(
    plain: Store, routers: Sequence[Asked], table: Table, count: int, told: TextIO
) -> list[Times]:
    """Switch to and fro; the first one warms everything up."""
    store = TimedStore(plain)
    catalog = RouteCatalog(store, stamper(SystemClock()))
    for router in routers:
        await eventually(router.knows, within=GRACE_SECONDS)
    times = []
    for number in range(count + 1):
        times.append(await switch(catalog, store, routers, table.chains[(number + 1) % 2]))
        if number % 10 == 0:
            told.write(f"{number} of {count}\n")
    return times


def reckon(times: Sequence[Times], routers: Sequence[Asked], peers: Sequence[Peer], others: int) -> Result:
    """Make figures of times."""
    applied = sorted((max(each.applied) - each.sent) * 1000 for each in times)
    received = sorted(
        (max(peer.received[each.revision] for peer in peers) - each.sent) * 1000 for each in times
    )
    single = sorted((at - each.sent) * 1000 for each in times for at in each.applied)
    took = sorted(1000 * seconds for router in routers for seconds in router.took)
    median, p95 = quantile(applied, 0.5), quantile(applied, 0.95)
    return Result(
        switches=len(times),
        routers=len(routers),
        other_workloads=others,
        committed_median_ms=quantile(sorted((each.committed - each.sent) * 1000 for each in times), 0.5),
        applied_median_ms=median,
        applied_p95_ms=p95,
        applied_longest_ms=quantile(applied, 1.0),
        any_router_median_ms=quantile(single, 0.5),
        etcdctl_median_ms=quantile(received, 0.5),
        etcdctl_p95_ms=quantile(received, 0.95),
        ratio_of_medians=round(median / quantile(received, 0.5), 2),
        ratio_of_p95s=round(p95 / quantile(received, 0.95), 2),
        asking_median_ms=quantile(took, 0.5),
        goal_median_ms=GOAL_MS,
        goal_met=median <= GOAL_MS,
    )


def quantile(ordered: Sequence[float], part: float) -> float:
    """Answer a quantile of numbers in order, rounded."""
    return round(ordered[max(0, math.ceil(part * len(ordered)) - 1)], 2)


def main() -> int:
    """Read the flags, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--switches", type=int, default=100)
    parser.add_argument("--routers", type=int, default=3)
    parser.add_argument("--workloads", type=int, default=100, help="others in the table")
    parser.add_argument("--output", choices=["table", "json"], default="table")
    args = parser.parse_args()
    try:
        result = asyncio.run(measure(args.switches, args.routers, args.workloads, sys.stderr))
    except (TimeoutError, AssertionError):
        sys.stderr.write(f"a router did not follow, or a switch did not end, in {GRACE_SECONDS:g} s\n")
        return 1
    rows = asdict(result)
    width = max(len(name) for name in rows)
    table = "\n".join(f"{name.replace('_', ' '):<{width}}  {value}" for name, value in rows.items())
    print(json.dumps(rows) if args.output == "json" else table)
    return 0


if __name__ == "__main__":
    sys.exit(main())
