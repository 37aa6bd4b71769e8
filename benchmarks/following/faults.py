"""The faults of a run, one function for each kind. Each writes its act's changes while the fault is there.

`running` calls `perform`. Afterwards all servers run and all followers may connect; whether they have caught
up is another matter, except where the fault would not be seen otherwise.
"""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from random import Random

from benchmarks.following.arenas import Arena
from benchmarks.following.chronicle import Chronicle
from benchmarks.following.followers import Follower
from benchmarks.following.lives import State
from benchmarks.following.planning import Act, Change, Kind
from benchmarks.following.writing import Writer
from enchain.chains.errors import UnavailableError
from enchain.state.etcd import EtcdStore
from tests.harness.waiting import eventually

CATCH_UP_SECONDS = 60.0
LOOK_SECONDS = 0.05
EVENT_BYTES = 150
"""What an event takes on the wire, about."""


@dataclass(slots=True)
class Scene:
    """All that a fault may touch."""

    arena: Arena
    store: EtcdStore
    writer: Writer
    chronicle: Chronicle
    followers: Sequence[Follower]
    counts: Counter[Kind] = field(default_factory=Counter)

    async def expected(self) -> dict[str, State]:
        """Answer what each follower must hold now."""
        while True:
            try:
                return {
                    each.name: {item.key: item for item in (await self.store.list(each.name)).items}
                    for each in self.followers
                }
            except UnavailableError:
                await asyncio.sleep(0.05)

    async def caught_up(self) -> None:
        """Wait until all followers hold what the store holds.

        Raises:
            AssertionError: One never does.
        """
        deadline = asyncio.get_running_loop().time() + CATCH_UP_SECONDS
        while True:
            # Leases may end meanwhile, so what is expected is asked again now and then.
            expected = await self.expected()
            behind = [each.name for each in self.followers if each.state != expected[each.name]]
            if not behind:
                return
            assert asyncio.get_running_loop().time() < deadline, f"never caught up: {', '.join(behind)}"
            await asyncio.sleep(LOOK_SECONDS)

    def some(self, rng: Random) -> list[Follower]:
        """Answer one follower at least, perhaps all."""
        return rng.sample(list(self.followers), rng.randint(1, len(self.followers)))


Fault = Callable[[Scene, Act, Random], Awaitable[None]]


async def perform(scene: Scene, act: Act, rng: Random) -> None:
    """Carry out an act."""
    await scene.writer.write(act.before)
    await FAULTS[act.kind](scene, act, rng)


async def _while_writing(
    scene: Scene, changes: Sequence[Change], moments: Sequence[float], do: Callable[[], Awaitable[None]]
) -> None:
    """Write, and do something each time a part of it is written."""
    start = scene.writer.done

    async def disturb() -> None:
        for moment in sorted(moments):
            enough = start + moment * len(changes)
            await eventually(partial(scene.writer.has_done, enough), within=CATCH_UP_SECONDS)
            await do()

    await asyncio.gather(scene.writer.write(changes), disturb())


async def _cut(scene: Scene, act: Act, rng: Random) -> None:
    async def do() -> None:
        for each in scene.some(rng):
            each.cut()
            scene.counts[act.kind] += 1

    await _while_writing(scene, act.during, [rng.random() for _ in range(rng.randint(1, 4))], do)


async def _cut_while_catching_up(scene: Scene, act: Act, rng: Random) -> None:
    """Hold followers back, write thousands of revisions, and cut each in the middle of catching up."""
    _hold_back(scene.followers, rng)
    await scene.writer.write(act.during)
    expected = {name: _lasting(state) for name, state in (await scene.expected()).items()}

    async def interrupt(each: Follower, times: int) -> None:
        each.release()
        for _ in range(times):
            each.hold_after(rng.randrange(20_000, len(act.during) * EVENT_BYTES // 2))
            await eventually(
                lambda: each.is_held or _lasting(each.state) == expected[each.name], within=CATCH_UP_SECONDS
            )
            scene.counts[act.kind] += each.is_held
            each.release()

    await asyncio.gather(*(interrupt(each, rng.randint(1, 3)) for each in scene.followers))


async def _refuse(scene: Scene, act: Act, rng: Random) -> None:
    """Refuse a few reconnects in a row."""
    some = scene.some(rng)
    for each in some:
        each.refuse()
    await scene.writer.write(act.during)
    failures = rng.randint(1, 3)
    for each in some:
        await eventually(partial(each.has_failed, failures), within=CATCH_UP_SECONDS)
        each.accept()
        scene.counts[act.kind] += 1


async def _black_hole(scene: Scene, act: Act, rng: Random) -> None:
    """Let all connections of followers end nowhere; new ones work."""
    for each in scene.some(rng):
        for proxy in each.proxies:
            proxy.black_hole()
        scene.counts[act.kind] += 1
    await scene.writer.write(act.during)
    await scene.caught_up()


async def _kill(scene: Scene, act: Act, rng: Random) -> None:
    async def do() -> None:
        scene.arena.servers[0].kill()
        await asyncio.sleep(rng.choice((0.0, 0.0, 0.3)))
        await scene.arena.servers[0].restart()
        scene.counts[act.kind] += 1

    await _while_writing(scene, act.during, [rng.random() for _ in range(rng.choice((1, 1, 2)))], do)


async def _freeze(scene: Scene, act: Act, rng: Random) -> None:
    async def do() -> None:
        scene.arena.servers[0].freeze()
        scene.counts[act.kind] += 1
        await asyncio.sleep(rng.uniform(0.1, 2.0))
        scene.arena.servers[0].thaw()

    await _while_writing(scene, act.during, [rng.random()], do)


async def _compact(scene: Scene, act: Act, rng: Random) -> None:
    """Compact while followers are held back, or are in the middle of catching up, or see everything."""
    how = rng.choice(("behind", "behind", "catching up", "connected"))
    if how != "connected":
        _hold_back(scene.followers, rng)
    before = await scene.chronicle.read()
    await scene.writer.write(act.during)
    newest = await scene.chronicle.read()
    if how == "catching up":
        for each in scene.followers:
            each.release()
            each.hold_after(rng.randrange(1, len(act.during) * EVENT_BYTES))
    revision = rng.choice((newest, rng.randint(max(before, scene.arena.compacted + 1), newest)))
    await scene.arena.compact(scene.store, revision)
    scene.counts[act.kind] += 1
    for each in scene.followers:
        each.release()


async def _restore(scene: Scene, act: Act, rng: Random) -> None:
    """Go back to a backup; followers have seen what is lost, or are cut off until it is all over."""
    climbs = act.kind is Kind.CLIMBED
    part = rng.randint(1, max(1, len(act.during) // 3))
    lost, after = act.during[:part], act.during[part:]
    backup = await rng.choice((scene.arena.backup, scene.arena.copy))()
    await scene.writer.write(lost)
    await scene.chronicle.read()
    if climbs or rng.choice((True, True, False)):
        await scene.caught_up()
    if climbs:
        for each in scene.followers:
            each.refuse()
    scene.chronicle.close()
    await scene.arena.restore(backup)
    scene.chronicle.begin_life(backup)
    scene.counts[act.kind] += 1
    await scene.writer.write(after)
    for each in scene.followers:
        each.accept()


async def _kill_members(scene: Scene, act: Act, rng: Random) -> None:
    """Kill every member in turn, and write while each is away."""
    servers = rng.sample(scene.arena.servers, len(scene.arena.servers))
    for n, server in enumerate(servers):
        server.kill()
        scene.counts[act.kind] += 1
        await scene.writer.write(act.during[n :: len(servers)])
        if rng.choice((True, False)):
            await scene.caught_up()
        server.launch()
        await scene.arena.answers()


async def _freeze_member(scene: Scene, act: Act, rng: Random) -> None:
    server = rng.choice(scene.arena.servers)
    server.freeze()
    scene.counts[act.kind] += 1
    await scene.writer.write(act.during)
    await scene.caught_up()
    server.thaw()
    await scene.arena.answers()


async def _black_hole_member(scene: Scene, act: Act, rng: Random) -> None:
    member = rng.randrange(len(scene.arena.servers))
    for each in scene.followers:
        each.proxies[member].black_hole()
    scene.counts[act.kind] += 1
    await scene.writer.write(act.during)
    await scene.caught_up()


def _lasting(state: State) -> State:
    """Leave out what a lease may end at any time."""
    return {key: item for key, item in state.items() if not item.lease}


def _hold_back(followers: Sequence[Follower], rng: Random) -> None:
    """Let followers hear nothing, in one of two ways: refused, or with connections left open."""
    for each in followers:
        if rng.choice((True, False)):
            each.refuse()
        else:
            each.mute()


FAULTS: dict[Kind, Fault] = {
    Kind.CUT: _cut,
    Kind.CATCHING_UP: _cut_while_catching_up,
    Kind.REFUSED: _refuse,
    Kind.BLACK_HOLE: _black_hole,
    Kind.KILL: _kill,
    Kind.FREEZE: _freeze,
    Kind.COMPACTION: _compact,
    Kind.RESTORE: _restore,
    Kind.CLIMBED: _restore,
    Kind.MEMBER_KILL: _kill_members,
    Kind.MEMBER_FREEZE: _freeze_member,
    Kind.MEMBER_BLACK_HOLE: _black_hole_member,
}
