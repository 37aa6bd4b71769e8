"""The Launcher port in memory: the fake that ships. It keeps the rules of the port, and does as it is told.

Tests and simulations use it. `Places` is what outlives a launcher, as a machine does; several launchers
over one, each with the same name, are replicas at the same place.
"""

import asyncio
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

from controlplane.switching.pool_world import launch_id
from enchain.chains.errors import EnchainError, PreconditionError
from enchain.v1.engine_pb2 import Engine
from enchain.v1.pool_pb2 import Launching


@dataclass
class Places:
    """What stands at a place, and how it behaves.

    Attributes:
        name: What the place is called.
        running: What runs: the launch, by its id.
        over: Ids that have ended, or must not begin.
        drained: Ids that were told to end, as often as they were told.
        started: Ids in the order in which they were started.
        refusals: By engine, what `start` raises.
        hanging: Engines whose start never answers.
        silent: Nothing is answered at all while it is set.
    """

    name: str = "memory"
    running: dict[str, Launching] = field(default_factory=dict)
    over: set[str] = field(default_factory=set)
    drained: list[str] = field(default_factory=list)
    started: list[str] = field(default_factory=list)
    refusals: dict[str, EnchainError] = field(default_factory=dict)
    hanging: set[str] = field(default_factory=set)
    silent: bool = False

    def die(self, launch: str) -> None:
        """End what runs, by itself."""
        self.running.pop(launch, None)
        self.over.add(launch)


class MemoryLauncher:
    """Runs nothing, and says that it does.

    Args:
        places: What outlives it.
    """

    def __init__(self, places: Places | None = None) -> None:
        self.places = places or Places()

    async def name(self) -> str:
        """Answer what the place is called."""
        return self.places.name

    async def start(self, launch: Launching, engine: Engine) -> str:
        """Say that an instance runs.

        Raises:
            PreconditionError: It has ended.
            EnchainError: What a test said.
        """
        del engine
        await self._answering()
        identifier, places = launch_id(launch), self.places
        if launch.engine in places.hanging:
            await asyncio.Event().wait()
        if launch.engine in places.refusals:
            raise places.refusals[launch.engine]
        if identifier in places.over:
            raise PreconditionError("it has ended", reason="ENDED")
        if identifier not in places.running:
            places.running[identifier] = launch
            places.started.append(identifier)
        return f"place {identifier}"

    async def find(self) -> Mapping[str, str]:
        """Answer what runs."""
        await self._answering()
        return {identifier: f"place {identifier}" for identifier in self.places.running}

    async def drain(self, launch: str) -> None:
        """Note that an instance was told to end; it ends when a test says so."""
        await self._answering()
        if launch in self.places.running and launch not in self.places.drained:
            self.places.drained.append(launch)

    async def kill(self, launch: str) -> None:
        """End an instance."""
        await self._answering()
        self.places.die(launch)

    async def forget(self, kept: Collection[str]) -> None:
        """Forget nothing: what is over must stay over."""
        del kept

    async def _answering(self) -> None:
        if self.places.silent:
            await asyncio.Event().wait()
