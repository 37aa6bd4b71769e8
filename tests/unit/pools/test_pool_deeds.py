"""Deeds on instances: one at a time for each, killing cuts the line, and nobody waits for a launcher."""

import asyncio

from controlplane.loops.pool_deeds import AT_ONCE_MAX, Deeds
from controlplane.switching.launchers.memory import MemoryLauncher
from controlplane.switching.pool_world import Act, Deed
from enchain.process.clock import ManualClock
from enchain.process.lifecycle import Tasks
from enchain.v1.engine_pb2 import Engine
from tests.harness.pool_worlds import identifier, launch
from tests.harness.waiting import eventually

ENGINES = {"tool": Engine()}


def act(deed: Deed, number: int = 1) -> Act:
    return Act(deed, identifier(number), "tool")


def deeds_of(launcher: MemoryLauncher, tasks: Tasks) -> Deeds:
    return Deeds(launcher, MemoryLauncher(), tasks, ManualClock(), lambda: None)


async def test_killing_does_not_wait_for_a_start_that_hangs() -> None:
    launcher, started = MemoryLauncher(), {identifier(1): launch(1)}
    launcher.places.hanging.add("tool")
    async with Tasks() as tasks:
        deeds = deeds_of(launcher, tasks)
        deeds.begin([act(Deed.START)], started, ENGINES)
        await asyncio.sleep(0)

        deeds.begin([act(Deed.KILL)], started, ENGINES)

        await eventually(lambda: identifier(1) in launcher.places.over)


async def test_what_is_being_done_is_not_begun_again() -> None:
    launcher, started = MemoryLauncher(), {identifier(1): launch(1)}
    async with Tasks() as tasks:
        deeds = deeds_of(launcher, tasks)
        for _ in range(3):
            deeds.begin([act(Deed.START)], started, ENGINES)

        await eventually(lambda: launcher.places.started)
        assert len(launcher.places.started) == 1


async def test_no_more_than_so_many_are_begun_at_once_and_the_rest_later() -> None:
    numbers = range(AT_ONCE_MAX + 5)
    launcher, started = MemoryLauncher(), {identifier(number): launch(number) for number in numbers}
    acts = [act(Deed.START, number) for number in numbers]
    async with Tasks() as tasks:
        deeds = deeds_of(launcher, tasks)
        deeds.begin(acts, started, ENGINES)
        await eventually(lambda: len(launcher.places.started) == AT_ONCE_MAX)

        async def the_rest() -> bool:
            deeds.begin(acts, started, ENGINES)
            return len(launcher.places.started) == len(numbers)

        await eventually(the_rest)
