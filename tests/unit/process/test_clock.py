"""The clock that tests move by hand: it wakes sleepers in order, and never by itself."""

import asyncio
from datetime import UTC, datetime

from enchain.process.clock import ManualClock, SystemClock


async def test_sleepers_wake_in_the_order_of_their_time_and_not_before() -> None:
    clock = ManualClock()
    woken: list[str] = []

    async def sleeper(name: str, seconds: float) -> None:
        await clock.sleep(seconds)
        woken.append(name)

    tasks = [asyncio.create_task(sleeper(*pair)) for pair in (("late", 3), ("early", 1), ("also early", 1))]
    await clock.asleep(3)
    clock.advance(0.5)
    await asyncio.sleep(0)
    assert woken == []

    clock.advance(0.5)
    await asyncio.gather(*tasks[1:])
    assert woken == ["early", "also early"]

    clock.advance(2)
    await tasks[0]
    assert woken[-1] == "late"
    assert clock.monotonic() == 3


async def test_a_cancelled_sleeper_sleeps_no_longer() -> None:
    clock = ManualClock()
    task = asyncio.create_task(clock.sleep(1))
    await clock.asleep()
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)

    assert clock.sleepers == 0
    clock.advance(2)


async def test_no_time_is_no_wait() -> None:
    await ManualClock().sleep(0)
    await SystemClock().sleep(-1)


def test_both_clocks_tell_aware_utc() -> None:
    start = datetime(2026, 12, 1, tzinfo=UTC)
    clock = ManualClock(start)
    clock.advance(60)

    assert clock.now() == datetime(2026, 12, 1, 0, 1, tzinfo=UTC)
    assert SystemClock().now().tzinfo is UTC
    assert SystemClock().monotonic() <= SystemClock().monotonic()
