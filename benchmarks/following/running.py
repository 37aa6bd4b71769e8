"""Carries out runs: one from its seed, or many, on several arenas side by side.

`benchmarks/follow_suite.py` and the tests call it. A run that fails tells its seed and its schedule.
"""

import asyncio
import time
import traceback
from collections import Counter, deque
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.following.arenas import Arena, Ports
from benchmarks.following.chronicle import Chronicle
from benchmarks.following.faults import Scene, perform
from benchmarks.following.followers import Follower
from benchmarks.following.judging import judge
from benchmarks.following.planning import Kind, Plan, plan
from benchmarks.following.writing import Writer
from enchain.state.etcd import EtcdStore, open_store
from enchain.state.store import Delete, Txn
from tests.harness.waiting import eventually

CALL_SECONDS = 1.0
"""How long the writer waits for an answer: members freeze, and there is more to write."""

TRACE_CALLS = 4
"""Of what broke a run, so many of the innermost calls are told."""

RUNS_EACH = 40
"""Runs after which an arena is replaced, so that its data does not grow without end."""


@dataclass(slots=True)
class Outcome:
    """What came of a run.

    Attributes:
        plan: What it did.
        complaints: What was lost, doubled, out of order or split; empty where all is well.
        faults: How many of each kind.
        figures: Revisions, batches and what else is counted, by name.
        seconds: How long it took.
    """

    plan: Plan
    complaints: list[str] = field(default_factory=list)
    faults: Counter[Kind] = field(default_factory=Counter)
    figures: Counter[str] = field(default_factory=Counter)
    seconds: float = 0.0


async def run_many(
    seeds: Sequence[int], directory: Path, *, lanes: dict[int, int], told: Callable[[Outcome], None]
) -> list[Outcome]:
    """Carry out a run for each seed.

    Args:
        seeds: The seeds.
        directory: Where servers keep their data.
        lanes: By the number of members: how many arenas of that size run side by side.
        told: Called with each outcome as it comes.
    """
    plans = [plan(seed) for seed in seeds]
    ports = Ports()
    outcomes: list[Outcome] = []

    def take(outcome: Outcome) -> None:
        outcomes.append(outcome)
        told(outcome)

    async with asyncio.TaskGroup() as group:
        for members, count in lanes.items():
            waiting = deque(each for each in plans if each.members == members)
            for n in range(min(count, len(waiting))):
                lane = _lane(members, directory / f"lane-{members}-{n}", ports, waiting, take)
                group.create_task(lane, name=f"lane {n} of {members} members")
    return sorted(outcomes, key=lambda outcome: outcome.plan.seed)


async def _lane(
    members: int, directory: Path, ports: Ports, waiting: deque[Plan], told: Callable[[Outcome], None]
) -> None:
    """Carry out one run after the other, on one arena until it has served its time or a run has failed."""
    built = 0
    while waiting:
        built += 1
        async with Arena(members, directory / f"arena-{built}", ports) as arena:
            for _ in range(RUNS_EACH):
                outcome = await run(waiting.popleft(), arena)
                told(outcome)
                if outcome.complaints or not waiting:
                    break


async def run(plan: Plan, arena: Arena) -> Outcome:
    """Carry out one run, and judge it."""
    outcome, begun = Outcome(plan), time.monotonic()
    try:
        async with _scene(plan, arena) as scene:
            outcome.faults = scene.counts
            await _perform(plan, scene)
            _judge(outcome, scene)
            await scene.store.commit(Txn(success=(Delete(plan.root, prefix=True),)))
    except Exception as error:  # noqa: BLE001 - whatever it is, the seed must be told
        where = "".join(traceback.format_tb(error.__traceback__)[-TRACE_CALLS:])
        outcome.complaints.append(f"{type(error).__name__}: {error}\n{where}")
    outcome.seconds = time.monotonic() - begun
    return outcome


@asynccontextmanager
async def _scene(plan: Plan, arena: Arena) -> AsyncIterator[Scene]:
    async with AsyncExitStack() as stack:
        store = await open_store(arena.addresses, rng=plan.rng("store"), call_seconds=CALL_SECONDS)
        stack.push_async_callback(store.close)
        start = (await store.list(plan.root)).revision
        writer = Writer(store, plan.root)
        await writer.write(plan.first)
        followers = [
            await stack.enter_async_context(Follower(arena.addresses, plan.root, name, plan.rng(name)))
            for name in plan.followed
        ]
        yield Scene(arena, store, writer, Chronicle(arena, plan.root, start, writer), followers)


async def _perform(plan: Plan, scene: Scene) -> None:
    for each in scene.followers:
        await eventually(each.has_begun, within=60)
    for act in plan.acts:
        await perform(scene, act, plan.rng("act", act.index))
    await scene.writer.write(plan.last)
    await eventually(lambda: _leases_are_over(scene.store, plan.root), within=60)
    # Each follower's last revision is one that it must have, so that nothing may be missing at the end.
    for name in plan.followed:
        await scene.chronicle.read(f"{name}end" if name.endswith("/") or not name else name)
    await scene.caught_up()
    scene.chronicle.close()


async def _leases_are_over(store: EtcdStore, root: str) -> bool:
    return not any(item.lease for item in (await store.list(root)).items)


def _judge(outcome: Outcome, scene: Scene) -> None:
    lives, written = scene.chronicle.lives, scene.writer.written
    outcome.complaints += scene.chronicle.complaints
    figures = outcome.figures
    for each in scene.followers:
        verdict = judge(each.name, lives, each.delivered)
        if verdict.complaint:
            outcome.complaints.append(verdict.complaint)
        figures["revisions delivered"] += verdict.revisions
        figures["lists"] += verdict.relists
        figures["reconnects"] += each.health.reconnects
        figures["repeated by etcd, dropped"] += each.health.repeated
    needless = figures["lists"] - len(scene.followers)
    displaced = sum(scene.counts[kind] for kind in (Kind.COMPACTION, Kind.RESTORE, Kind.CLIMBED))
    if needless and not displaced:
        outcome.complaints.append(f"{needless} lists without need")
    figures["followers"] += len(scene.followers)
    figures["changes"] += len(written.changes)
    figures["unanswered"] += written.unanswered
    figures["under leases"] += written.leased
    figures["revisions"] += sum(len(life.batches) for life in lives)
    figures["longest history"] = max(len(life.batches) for life in lives)
