"""What every launcher keeps to: one function for each rule of the port, run over any launcher.

`test_our_launchers` runs them over those that ship, `test_wrong_launchers` over ones that break one each.
A rule asks a `Place`, which knows the truth by other means than the launcher's. It raises AssertionError
and nothing else; that a launcher itself fails is its own error.
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Protocol

from controlplane.switching.launchers.port import Launcher
from controlplane.switching.pool_world import launch_id
from enchain.chains.errors import CallerError, EnchainError
from enchain.v1.engine_pb2 import Engine
from enchain.v1.pool_pb2 import Launching
from tests.harness.pool_worlds import launch
from tests.harness.waiting import eventually


class Place(Protocol):
    """Where a launcher's instances run.

    Attributes:
        starts: The launcher starts instances; else others do, and it refuses to.
    """

    starts: bool

    def launcher(self) -> Launcher:
        """Answer a launcher at this place; each one is as another replica's."""

    def engine(self, *, broken: bool = False) -> Engine:
        """Answer an engine that starts here, or one that cannot."""

    async def stand_up(self, started: Launching) -> None:
        """Let an instance run that others started, where the launcher starts none."""

    async def begun(self, identifier: str) -> int:
        """Count how often an instance has really begun to run."""

    async def told(self, identifier: str) -> int:
        """Count how often an instance was really told to end."""

    async def end(self, identifier: str) -> None:
        """End an instance by itself; return once it is gone."""

    async def close(self) -> None:
        """Leave nothing behind."""


async def starting_twice_is_starting_once(place: Place) -> None:
    """Whoever starts a launch again, here or at another replica, later or at once, starts none."""
    if not place.starts:
        return
    started, launcher = launch(1), place.launcher()
    first = await launcher.start(started, place.engine())
    again = await launcher.start(started, place.engine())
    others = [_tried(place.launcher().start(started, place.engine())) for _ in range(4)]
    await asyncio.gather(*others)
    assert first == again, "it is called something else when it is started again"
    assert first, "what runs has no name"
    assert await _settled(place, launch_id(started)) == 1, "it was started more than once"


async def many_at_once_start_one(place: Place) -> None:
    """Replicas that start one launch at the same time start it once."""
    if not place.starts:
        return
    started = launch(2)
    await asyncio.gather(*(_tried(place.launcher().start(started, place.engine())) for _ in range(6)))
    assert await _settled(place, launch_id(started)) == 1


async def what_runs_is_found_by_others(place: Place) -> None:
    """Another replica at the same place finds what runs, and nothing else."""
    started = await _begun(place, 3)
    found = await place.launcher().find()
    assert list(found) == [launch_id(started)], f"found {found}"
    assert found[launch_id(started)], "what runs has no name"


async def what_ends_by_itself_is_not_found(place: Place) -> None:
    """What has died is gone from what is found, without anybody having ended it."""
    started = await _begun(place, 4)
    launcher = place.launcher()
    await place.end(launch_id(started))
    await _soon(lambda: _absent(launcher, started))


async def what_has_ended_never_starts_again(place: Place) -> None:
    """A launch that has ended is refused, by any replica: another instance is another launch."""
    if not place.starts:
        return
    started = await _begun(place, 5)
    await place.end(launch_id(started))
    for _ in range(2):
        await _refused(place.launcher().start(started, place.engine()))
    assert await _settled(place, launch_id(started)) == 1, "it was started again"


async def what_was_killed_before_it_began_never_begins(place: Place) -> None:
    """A start that comes late, such as a deposed leader's, finds that the launch was called off."""
    if not place.starts:
        return
    started = launch(6)
    await place.launcher().kill(launch_id(started))
    await _refused(place.launcher().start(started, place.engine()))
    assert await place.begun(launch_id(started)) == 0


async def draining_tells_an_instance_once(place: Place) -> None:
    """To drain again, from wherever, is no second word: an engine server would take that for `at once`."""
    started = await _begun(place, 7)
    for _ in range(3):
        await place.launcher().drain(launch_id(started))
    await _soon(lambda: _is(place.told(launch_id(started)), 1))
    await place.launcher().drain(launch_id(started))
    assert await place.told(launch_id(started)) == 1
    assert launch_id(started) in await place.launcher().find(), "it was ended, and not merely told"


async def killing_ends_an_instance(place: Place) -> None:
    """What is killed is gone soon, also where it was drained before."""
    if not place.starts:
        return
    started, launcher = await _begun(place, 8), place.launcher()
    await launcher.drain(launch_id(started))
    await launcher.kill(launch_id(started))
    await _soon(lambda: _absent(launcher, started))


async def what_is_not_there_can_be_drained_and_killed(place: Place) -> None:
    """Ending what is gone, or never was, is no fault."""
    started, launcher = await _begun(place, 9), place.launcher()
    await place.end(launch_id(started))
    await _soon(lambda: _absent(launcher, started))
    for identifier in (launch_id(started), launch_id(launch(99))):
        await launcher.drain(identifier)
        await launcher.kill(identifier)


async def one_launch_is_not_another(place: Place) -> None:
    """What is done to one is done to no other, of the same engine either."""
    one, other = await _begun(place, 10), await _begun(place, 11)
    await place.launcher().drain(launch_id(one))
    await place.end(launch_id(one))
    await _soon(lambda: _absent(place.launcher(), one))
    assert await place.told(launch_id(other)) == 0
    assert launch_id(other) in await place.launcher().find()


async def what_cannot_be_started_is_refused_in_words(place: Place) -> None:
    """A refusal is the caller's fault, so that nobody asks again, and says what to do."""
    error = await _refused(place.launcher().start(launch(12), place.engine(broken=True)))
    assert error.message, "it says nothing"
    assert error.remedy, "it says not what to do"


async def a_place_has_one_name(place: Place) -> None:
    """Every replica at a place calls it the same: by that a launch is known to be its."""
    names = [await place.launcher().name() for _ in range(3)]
    assert len(set(names)) == 1, names
    assert names[0], "it has none"


async def forgetting_ends_nothing(place: Place) -> None:
    """What runs goes on when all that is over is forgotten, also where its record is lost."""
    started = await _begun(place, 13)
    await place.launcher().forget(frozenset())
    assert launch_id(started) in await place.launcher().find()


async def _soon(check: Callable[[], Awaitable[object]]) -> None:
    """Wait for what a launcher that keeps the rule does in a moment."""
    await eventually(check, within=5)


async def _begun(place: Place, number: int) -> Launching:
    """Let an instance run."""
    started = launch(number)
    if place.starts:
        await place.launcher().start(started, place.engine())
    else:
        await place.stand_up(started)
    await _soon(lambda: _is(place.begun(launch_id(started)), 1))
    return started


async def _settled(place: Place, identifier: str) -> int:
    """Count how often an instance has begun, once it has."""
    await _soon(lambda: place.begun(identifier))
    return await place.begun(identifier)


async def _is(counting: Awaitable[int], count: int) -> bool:
    return await counting == count


async def _absent(launcher: Launcher, started: Launching) -> bool:
    return launch_id(started) not in await launcher.find()


async def _tried(starting: Awaitable[str]) -> str:
    """Start; that somebody else is about to, or has, is no fault."""
    try:
        return await starting
    except EnchainError:
        return ""


async def _refused(starting: Awaitable[str]) -> CallerError:
    try:
        told = await starting
    except CallerError as error:
        return error
    except EnchainError as error:
        raise AssertionError(f"refused so that one would ask again: {error}") from error
    raise AssertionError(f"it was started: {told}")


RULES: tuple[Callable[[Place], Awaitable[None]], ...] = (
    starting_twice_is_starting_once,
    many_at_once_start_one,
    what_runs_is_found_by_others,
    what_ends_by_itself_is_not_found,
    what_has_ended_never_starts_again,
    what_was_killed_before_it_began_never_begins,
    draining_tells_an_instance_once,
    killing_ends_an_instance,
    what_is_not_there_can_be_drained_and_killed,
    one_launch_is_not_another,
    what_cannot_be_started_is_refused_in_words,
    a_place_has_one_name,
    forgetting_ends_nothing,
)
