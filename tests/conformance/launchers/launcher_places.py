"""The places that our launchers are run at: this machine, others' instances, and memory."""

import os
import signal
import sys
from pathlib import Path

from controlplane.switching.launchers.memory import MemoryLauncher, Places
from controlplane.switching.launchers.port import Launcher
from controlplane.switching.launchers.process import ProcessLauncher, Surroundings
from controlplane.switching.launchers.static import StaticLauncher
from controlplane.switching.pool_world import launch_id
from enchain.chains.errors import PreconditionError
from enchain.engine.v1 import engine_pb2 as protocol
from enchain.state import keys
from enchain.state.codec import encode
from enchain.state.memory import MemoryStore
from enchain.state.store import Put, put
from enchain.v1.engine_pb2 import Engine, EngineInstance, Launch
from enchain.v1.pool_pb2 import Launching
from tests.harness.gated_engines import EngineScope, GatedInstance
from tests.harness.waiting import eventually

PROGRAM = """
import os, pathlib, signal, sys
root = pathlib.Path(sys.argv[1])
def note(kind):
    with (root / f"{os.environ['ENCHAIN_INSTANCE']}.{kind}").open("a") as file:
        file.write("x")
signal.signal(signal.SIGTERM, lambda *_: note("told"))
note("begun")
while True:
    signal.pause()
"""
"""Stands for an engine server that has work to finish: it notes what it is told, and goes on."""


class ThisMachine:
    """Processes that note how often they begin and are told to end."""

    starts = True

    def __init__(self, root: Path) -> None:
        self._root = root

    def launcher(self) -> Launcher:
        given = Surroundings(self._root / "scopes", self._root / "artifacts", "127.0.0.1:1", dict(os.environ))
        return ProcessLauncher(self._root / "launches", given)

    def engine(self, *, broken: bool = False) -> Engine:
        program = "enchain-no-such-program" if broken else sys.executable
        return Engine(name="engines/tool", launch=Launch(process=[program, "-c", PROGRAM, str(self._root)]))

    async def stand_up(self, started: Launching) -> None:
        raise AssertionError(f"{started.name} is for the launcher to start")

    async def begun(self, identifier: str) -> int:
        return self._noted(identifier, "begun")

    async def told(self, identifier: str) -> int:
        return self._noted(identifier, "told")

    async def end(self, identifier: str) -> None:
        launcher = self.launcher()
        place = (await launcher.find())[identifier]
        os.kill(int(place.removeprefix("pid ")), signal.SIGKILL)

        async def gone() -> bool:
            return identifier not in await launcher.find()

        await eventually(gone)

    def _noted(self, identifier: str, kind: str) -> int:
        file = self._root / f"{identifier}.{kind}"
        return len(file.read_text()) if file.exists() else 0

    async def close(self) -> None:
        """Leave nothing behind."""
        for identifier in await self.launcher().find():
            await self.launcher().kill(identifier)


class InMemory:
    """The fake, which knows the truth itself."""

    starts = True

    def __init__(self) -> None:
        self.places = Places()
        self.places.refusals["broken"] = PreconditionError("it does not start", remedy="Mend it.")

    def launcher(self) -> Launcher:
        return MemoryLauncher(self.places)

    def engine(self, *, broken: bool = False) -> Engine:
        if broken:
            self.places.refusals["tool"] = self.places.refusals["broken"]
        return Engine(name="engines/tool")

    async def stand_up(self, started: Launching) -> None:
        raise AssertionError(f"{started.name} is for the launcher to start")

    async def begun(self, identifier: str) -> int:
        return self.places.started.count(identifier)

    async def told(self, identifier: str) -> int:
        return self.places.drained.count(identifier)

    async def end(self, identifier: str) -> None:
        self.places.die(identifier)

    async def close(self) -> None:
        """Nothing is left behind."""


class CountingInstance(GatedInstance):
    """An instance that others run; it counts how often it is told to end, and registers as draining then."""

    def __init__(self, identifier: str, store: MemoryStore) -> None:
        super().__init__(EngineScope("tool", "tool-scope"), identifier)
        self._store = store
        self.told = 0

    async def Drain(  # noqa: N802 - gRPC's name
        self, request: protocol.DrainRequest, context: object
    ) -> protocol.DrainResponse:
        del request, context
        self.told += 1
        self.message.state = EngineInstance.STATE_DRAINING
        await put(self._store, [Put(self._key, encode(self.message))])
        return protocol.DrainResponse()


class RunByOthers:
    """Registered instances, on real gRPC."""

    starts = False

    def __init__(self) -> None:
        self._store = MemoryStore()
        self._instances: dict[str, CountingInstance] = {}

    def launcher(self) -> Launcher:
        return StaticLauncher(self._store)

    def engine(self, *, broken: bool = False) -> Engine:
        del broken
        return Engine(name="engines/tool")

    async def stand_up(self, started: Launching) -> None:
        instance = CountingInstance(launch_id(started), self._store)
        await instance.start(self._store)
        self._instances[launch_id(started)] = instance

    async def begun(self, identifier: str) -> int:
        return int(await self._store.get(keys.instance("tool", identifier)) is not None)

    async def told(self, identifier: str) -> int:
        return self._instances[identifier].told

    async def end(self, identifier: str) -> None:
        await self._instances.pop(identifier).kill(self._store)

    async def close(self) -> None:
        """End the servers."""
        for identifier in list(self._instances):
            await self.end(identifier)
        await self._store.close()
