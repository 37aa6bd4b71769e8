"""How long a follower hears nothing after a fault: from it until an event comes that was sent after it.

`benchmarks/follow_suite.py` calls it. Unlike the runs it measures, so etcd has its own default times, one
fault is under way at a time in an arena, and a change is sent to every member each `TICK_SECONDS`.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from random import Random

from benchmarks.following.arenas import Arena, Ports
from benchmarks.following.followers import Follower
from enchain.chains.errors import EnchainError
from enchain.state.etcd import EtcdStore, open_store
from enchain.state.server import LocalEtcd
from enchain.state.store import Put, put
from tests.harness.clusters import leader_of
from tests.harness.waiting import eventually

ROOT = "/recovery/"
TICK_SECONDS = 0.02
CALL_SECONDS = 1.0
RECOVERY_SECONDS = 90.0
SETTLE_SECONDS = (0.2, 1.0)
"""Between two faults, so that they do not fall into step with what repeats."""

GOALS = {"lost member of three": 3.0, "black hole": 10.0}
"""Seconds that the slowest in a hundred may take."""


@dataclass(slots=True)
class Recovery:
    """The times of one kind of fault.

    Attributes:
        kind: The fault.
        faults: How many there were.
        seconds: One time for every follower that the fault hit.
    """

    kind: str
    faults: int = 0
    seconds: list[float] = field(default_factory=list)

    @property
    def goal(self) -> float | None:
        """What the slowest in a hundred may take; None where nothing is promised."""
        return GOALS.get(self.kind)


class Listener:
    """A follower, and who waits for it to hear something new."""

    def __init__(self, follower: Follower) -> None:
        self.follower = follower

    def has_heard(self, since: float) -> bool:
        """Say whether a change came that was sent after a moment."""
        return any(float(item.value) > since for item in self.follower.state.values())

    async def recovers(self, since: float) -> float:
        """Wait until it hears something new; answer the seconds since the fault."""
        await eventually(lambda: self.has_heard(since), within=RECOVERY_SECONDS)
        self.follower.delivered.clear()
        return time.perf_counter() - since

    async def member(self) -> int:
        """Answer over which member its watch goes: the one whose proxy passes the changes on."""
        before = [proxy.passed for proxy in self.follower.proxies]
        await asyncio.sleep(10 * TICK_SECONDS)
        passed = [p.passed - old for p, old in zip(self.follower.proxies, before, strict=True)]
        return passed.index(max(passed))


@dataclass(slots=True)
class Stand:
    """An arena with followers on it and changes coming in."""

    arena: Arena
    listeners: Sequence[Listener]
    rng: Random

    async def settle(self) -> None:
        """Wait until all is as it was, and a little longer."""
        await self.arena.answers()
        now = time.perf_counter()
        await asyncio.gather(*(each.recovers(now) for each in self.listeners))
        await asyncio.sleep(self.rng.uniform(*SETTLE_SECONDS))


@asynccontextmanager
async def stand(members: int, followers: int, directory: Path, rng: Random) -> AsyncIterator[Stand]:
    """Set up an arena, writers to every member, and followers."""
    async with AsyncExitStack() as stack:
        arena = await stack.enter_async_context(Arena(members, directory, Ports(), flags=()))
        for n, address in enumerate(arena.addresses):
            store = await open_store([address], call_seconds=CALL_SECONDS)
            stack.push_async_callback(store.close)
            task = asyncio.create_task(_tick(store, f"{ROOT}{n}"), name=f"write to member {n}")
            stack.callback(task.cancel)
        listeners = [
            Listener(await stack.enter_async_context(Follower(arena.addresses, ROOT, "", Random(n))))
            for n in range(followers)
        ]
        yield Stand(arena, listeners, rng)


async def _tick(store: EtcdStore, key: str) -> None:
    """Write the time, for ever. A change says when it was sent, so an answer that is lost is no matter."""
    while True:
        with suppress(EnchainError):
            await put(store, [Put(key, repr(time.perf_counter()).encode())])
        await asyncio.sleep(TICK_SECONDS)


async def lost_members(faults: int, directory: Path, rng: Random) -> list[Recovery]:
    """Kill the member that most followers watch, and let it come back when they have recovered."""
    leader, other = Recovery("lost member: the leader"), Recovery("lost member: another")
    async with stand(3, 3, directory, rng) as at:
        for _ in range(faults):
            await at.settle()
            server, hit = await _most_watched(at)
            row = leader if server is await leader_of(at.arena.servers) else other
            fault = time.perf_counter()
            server.kill()
            row.seconds += await asyncio.gather(*(each.recovers(fault) for each in hit))
            row.faults += 1
            server.launch()
    both = Recovery("lost member of three", leader.faults + other.faults, [*leader.seconds, *other.seconds])
    return [both, leader, other]


async def frozen_members(faults: int, directory: Path, rng: Random) -> list[Recovery]:
    """Freeze the member that most followers watch (SIGSTOP)."""
    row = Recovery("frozen member of three")
    async with stand(3, 6, directory, rng) as at:
        for _ in range(faults):
            await at.settle()
            server, hit = await _most_watched(at)
            fault = time.perf_counter()
            server.freeze()
            row.seconds += await asyncio.gather(*(each.recovers(fault) for each in hit))
            row.faults += 1
            server.thaw()
    return [row]


async def _most_watched(at: Stand) -> tuple[LocalEtcd, list[Listener]]:
    """Answer the member that most followers watch, and these."""
    members = await asyncio.gather(*(each.member() for each in at.listeners))
    most = max(set(members), key=members.count)
    return at.arena.servers[most], [each for each, m in zip(at.listeners, members, strict=True) if m == most]


async def black_holes(faults: int, directory: Path, rng: Random) -> list[Recovery]:
    """Let the connections of several followers end nowhere, each at a moment of its own."""
    row = Recovery("black hole")

    async def one(listener: Listener, pause: float) -> float:
        await asyncio.sleep(pause)
        fault = time.perf_counter()
        listener.follower.proxies[0].black_hole()
        return await listener.recovers(fault)

    async with stand(1, 10, directory, rng) as at:
        while row.faults < faults:
            await at.settle()
            row.seconds += await asyncio.gather(*(one(each, rng.uniform(0, 3)) for each in at.listeners))
            row.faults += len(at.listeners)
    return [row]


async def lone_server(faults: int, directory: Path, rng: Random) -> list[Recovery]:
    """Kill and restart a lone server, cut connections, and compact behind a follower."""
    kinds: dict[str, Callable[[Stand], Awaitable[float]]] = {
        "server killed and restarted": _kill,
        "connection cut": _cut,
        "compacted behind it": _compact,
    }
    rows = [Recovery(kind) for kind in kinds]
    async with stand(1, 1, directory, rng) as at:
        for row in rows:
            for _ in range(faults):
                await at.settle()
                fault = await kinds[row.kind](at)
                row.seconds.append(await at.listeners[0].recovers(fault))
                row.faults += 1
    return rows


async def _kill(at: Stand) -> float:
    fault = time.perf_counter()
    at.arena.servers[0].kill()
    at.arena.servers[0].launch()
    return fault


async def _cut(at: Stand) -> float:
    fault = time.perf_counter()
    at.listeners[0].follower.cut()
    return fault


async def _compact(at: Stand) -> float:
    """Hold changes back from the follower, compact them away, and break its connections."""
    at.listeners[0].follower.mute()
    store = await open_store(at.arena.addresses)
    for n in range(5):
        await put(store, [Put(f"{ROOT}away/{n}", b"0")])
    await at.arena.compact(store, (await store.list(ROOT)).revision)
    await store.close()
    fault = time.perf_counter()
    at.listeners[0].follower.release()
    return fault


async def measure(faults: int, directory: Path, seed: int) -> list[Recovery]:
    """Measure all kinds; those that mostly wait, side by side."""
    rows = await lost_members(faults, directory / "lost", Random(seed))
    rows += await lone_server(faults, directory / "lone", Random(seed))
    waiting = (
        black_holes(faults, directory / "hole", Random(seed)),
        frozen_members(faults // 2, directory / "frozen", Random(seed)),
    )
    for more in await asyncio.gather(*waiting):
        rows += more
    return rows
