"""For each rule of the port a launcher that breaks it, no more than it must.

`test_wrong_launchers` shows with them that the suite sees what it is there for.
"""

import asyncio
import itertools
from collections.abc import Collection, Mapping

from controlplane.switching.launchers.memory import MemoryLauncher, Places
from controlplane.switching.pool_world import launch_id
from enchain.chains.errors import NotFoundError, PreconditionError, UnavailableError
from enchain.v1.engine_pb2 import Engine
from enchain.v1.pool_pb2 import Launching

_REPLICAS = itertools.count()


class StartsAgain(MemoryLauncher):
    """Starts what runs once more."""

    async def start(self, launch: Launching, engine: Engine) -> str:
        runs = launch_id(launch) in self.places.running
        place = await super().start(launch, engine)
        if runs:
            self.places.started.append(launch_id(launch))
        return place


class LooksFirst(MemoryLauncher):
    """Looks whether it runs, and starts it a moment later."""

    async def start(self, launch: Launching, engine: Engine) -> str:
        if launch_id(launch) in self.places.running:
            return await super().start(launch, engine)
        await asyncio.sleep(0)
        self.places.running.pop(launch_id(launch), None)
        return await super().start(launch, engine)


class RemembersItself(MemoryLauncher):
    """Finds only what it has started itself, as if its memory were the place."""

    def __init__(self, places: Places) -> None:
        super().__init__(places)
        self._own: set[str] = set()

    async def start(self, launch: Launching, engine: Engine) -> str:
        self._own.add(launch_id(launch))
        return await super().start(launch, engine)

    async def find(self) -> Mapping[str, str]:
        return {
            identifier: place
            for identifier, place in (await super().find()).items()
            if identifier in self._own
        }


class RemembersWhatWasAsked(MemoryLauncher):
    """Finds what was once started, whether it still runs or not."""

    async def find(self) -> Mapping[str, str]:
        return {identifier: f"place {identifier}" for identifier in self.places.started}


class StartsWhatHasEnded(MemoryLauncher):
    """Starts an instance anew under the launch that has ended."""

    async def start(self, launch: Launching, engine: Engine) -> str:
        if launch_id(launch) in self.places.started:
            self.places.over.discard(launch_id(launch))
        return await super().start(launch, engine)


class ForgetsWhatWasCalledOff(MemoryLauncher):
    """Kills what runs, and forgets what is yet to begin."""

    async def kill(self, launch: str) -> None:
        if launch in self.places.running:
            await super().kill(launch)


class DrainsAgain(MemoryLauncher):
    """Tells an instance as often as it is asked."""

    async def drain(self, launch: str) -> None:
        if launch in self.places.running:
            self.places.drained.append(launch)


class OnlyAsks(MemoryLauncher):
    """Does not kill what was told to end: it will, surely."""

    async def kill(self, launch: str) -> None:
        if launch not in self.places.drained:
            await super().kill(launch)


class MissesWhatIsGone(MemoryLauncher):
    """Complains of what is not there."""

    async def drain(self, launch: str) -> None:
        if launch not in self.places.running:
            raise NotFoundError(f"there is no {launch}")
        await super().drain(launch)


class DrainsTheEngine(MemoryLauncher):
    """Drains all instances of an engine."""

    async def drain(self, launch: str) -> None:
        del launch
        self.places.drained.extend(set(self.places.running) - set(self.places.drained))


class RefusesForNow(MemoryLauncher):
    """Says of what can never be started that it cannot be started yet."""

    async def start(self, launch: Launching, engine: Engine) -> str:
        try:
            return await super().start(launch, engine)
        except PreconditionError as error:
            if error.reason == "ENDED":
                raise
            raise UnavailableError(error.message) from error


class NewNames(MemoryLauncher):
    """Is called by each replica's own name."""

    async def name(self) -> str:
        return f"replica {next(_REPLICAS)}"


class TidiesUp(MemoryLauncher):
    """Ends what it has no reason to keep."""

    async def forget(self, kept: Collection[str]) -> None:
        for identifier in set(self.places.running) - set(kept):
            self.places.die(identifier)


WRONG: tuple[tuple[str, type[MemoryLauncher]], ...] = (
    ("starting_twice_is_starting_once", StartsAgain),
    ("many_at_once_start_one", LooksFirst),
    ("what_runs_is_found_by_others", RemembersItself),
    ("what_ends_by_itself_is_not_found", RemembersWhatWasAsked),
    ("what_has_ended_never_starts_again", StartsWhatHasEnded),
    ("what_was_killed_before_it_began_never_begins", ForgetsWhatWasCalledOff),
    ("draining_tells_an_instance_once", DrainsAgain),
    ("killing_ends_an_instance", OnlyAsks),
    ("what_is_not_there_can_be_drained_and_killed", MissesWhatIsGone),
    ("one_launch_is_not_another", DrainsTheEngine),
    ("what_cannot_be_started_is_refused_in_words", RefusesForNow),
    ("a_place_has_one_name", NewNames),
    ("forgetting_ends_nothing", TidiesUp),
)
"""The rule that each breaks."""
