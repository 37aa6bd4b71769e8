"""Leaders that keep pools, for tests: the loop over any store and launcher, and what stands in the store.

Tests of the loop run it over the memory store and the memory launcher, those of the whole over real ones.
"""

import asyncio
from collections.abc import Callable
from random import Random

from controlplane.loops.pools import PoolLoop
from controlplane.switching.launch_states import Patience
from controlplane.switching.launchers.memory import MemoryLauncher, Places
from controlplane.switching.launchers.port import Launcher
from controlplane.switching.launchers.static import StaticLauncher
from controlplane.switching.pool_world import launch_id
from enchain.chains.decision_names import PoolName
from enchain.process.clock import Clock, SystemClock
from enchain.state import keys
from enchain.state.codec import decode, encode
from enchain.state.store import Delete, Put, Store, Txn, put
from enchain.v1.engine_pb2 import Engine, EngineInstance, Launch, PoolBounds
from enchain.v1.pool_pb2 import Launching, Pool

QUICK = Patience(start=20.0, drain=20.0, silent=5.0, stable=2.0, first_backoff=0.2, longest_backoff=1.0)
"""Patience for real time in tests."""


class Leader:
    """One leader's loop, in this process.

    Args:
        store: Where pools are.
        launcher: Starts instances.
        patience: How long things may take.
        clock: Time.
    """

    def __init__(
        self, store: Store, launcher: Launcher, *, patience: Patience = QUICK, clock: Clock | None = None
    ) -> None:
        self._loop = PoolLoop(
            launcher,
            StaticLauncher(store),
            clock=clock or SystemClock(),
            rng=Random(1),
            patience=patience,
        )
        self._task: asyncio.Task[None] | None = None
        self._store = store

    def start(self) -> None:
        """Begin a term."""
        self._task = asyncio.create_task(self._loop.run(self._store), name="keep pools, as leader")

    async def stop(self) -> None:
        """End the term, wherever it stands."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    def check(self) -> None:
        """Raise what ended it."""
        if self._task is not None and self._task.done():
            self._task.result()


class MemoryPlace(MemoryLauncher):
    """The memory launcher, whose instances register themselves a moment after they began.

    Args:
        store: Where they register.
        version: By engine, the version that they say to be; 1.0 where nothing is said.
        mute: Engines whose instances never register.
    """

    def __init__(self, store: Store, places: Places | None = None) -> None:
        super().__init__(places)
        self._store = store
        self.version: dict[str, str] = {}
        self.mute: set[str] = set()
        self.after_start: Callable[[], None] = lambda: None

    async def start(self, launch: Launching, engine: Engine) -> str:
        """Start and register."""
        place = await super().start(launch, engine)
        self.after_start()
        if launch.engine not in self.mute:
            await self.register(launch.engine, launch_id(launch))
        return place

    async def register(self, engine: str, identifier: str, *, draining: bool = False) -> None:
        """Let an instance say who it is."""
        states = EngineInstance.STATE_READY, EngineInstance.STATE_DRAINING
        told = EngineInstance(
            name=f"engines/{engine}/instances/{identifier}",
            engine=engine,
            version=self.version.get(engine, "1.0"),
            state=states[draining],
        )
        await put(self._store, [Put(keys.instance(engine, identifier), encode(told))])

    async def drain(self, launch: str) -> None:
        """Drain, and end at once: there is no work."""
        await super().drain(launch)
        if launch in self.places.running:
            await self.lose(launch)

    async def lose(self, launch: str) -> None:
        """End an instance with its registration."""
        engine = self.places.running[launch].engine
        self.places.die(launch)
        await self._store.commit(Txn(success=(Delete(keys.instance(engine, launch)),)))


async def save_engine(
    store: Store, command: list[str], *, name: str = "tool", least: int = 0, most: int = 5
) -> None:
    """Write an engine's document."""
    document = Engine(
        name=f"engines/{name}", launch=Launch(process=command), pool=PoolBounds(min=least, max=most)
    )
    await put(store, [Put(keys.engine(name), encode(document))])


async def set_target(store: Store, count: int, *, engine: str = "tool", version: str = "-") -> None:
    """Set a pool's target by hand, and leave what else it says as it is."""
    key = keys.pool(engine, version)
    item = await store.get(key)
    record = decode(Pool, item.value) if item else Pool(name=str(PoolName(engine, version)))
    record.target = count
    await put(store, [Put(key, encode(record))])


async def pools(store: Store) -> dict[str, Pool]:
    """All records of pools, by `engine@version`."""
    items = (await store.list(keys.POOLS)).items
    return {item.key.removeprefix(keys.POOLS).replace("/", "@"): decode(Pool, item.value) for item in items}


async def launches(store: Store, engine: str = "tool") -> list[Launching]:
    """The launches of an engine, oldest first."""
    items = (await store.list(f"{keys.LAUNCHES}{engine}/")).items
    return [decode(Launching, item.value) for item in items]


async def states(store: Store, engine: str = "tool") -> list[str]:
    """The states of an engine's launches, oldest first."""
    return [Launching.State.Name(each.state).removeprefix("STATE_") for each in await launches(store, engine)]


async def ready(store: Store, engine: str = "tool") -> list[str]:
    """Ids of the instances of an engine that are registered as ready."""
    items = (await store.list(f"{keys.INSTANCES}{engine}/")).items
    told = [decode(EngineInstance, item.value) for item in items]
    return [each.name.rpartition("/")[2] for each in told if each.state == EngineInstance.STATE_READY]
