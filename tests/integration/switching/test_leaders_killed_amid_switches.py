"""The leader is killed in each state of a switch: another replica finishes it, or rolls it back.

Two real replicas, real etcd, and an engine that the replicas' launcher starts on this machine. Where a state
lasts too briefly to be hit, the leader is frozen first, and the record written as it would have been.
"""

import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path

import pytest

from controlplane.catalog.audit import Caller
from controlplane.catalog.changes import stamper
from controlplane.catalog.routes import RouteCatalog, Wish
from controlplane.switching import states
from controlplane.switching.machine import enter
from controlplane.switching.terms import Terms
from enchain.chains.names import ChainName
from enchain.process.clock import SystemClock
from enchain.state import keys
from enchain.state.codec import decode, encode
from enchain.state.store import Delete, Put, Store, Txn, put
from enchain.v1 import chain_pb2, engine_pb2, operation_pb2, pool_pb2, presence_pb2
from tests.harness.gated_engines import EngineScope, GatedInstance
from tests.harness.replicas import Replica, Replicas, leading
from tests.harness.routers import put_chain, site_chain
from tests.harness.waiting import eventually
from tests.integration.switching.conftest import launched

Switch = chain_pb2.ChainSwitch

SECONDS = timedelta(seconds=6)
"""More than a new election takes, less than a test may."""

SERVED = "workloads/site/chains/served@r1"
LAUNCHED = "workloads/site/chains/launched@r1"
OPERATION = "01J0000000000000000000000A"


@dataclass
class Scene:
    """The site, the two replicas, and what holds a switch up.

    Attributes:
        store: The store.
        folder: Where replicas and instances lie.
        first: The replica that leads, and is killed.
        second: The other one.
        gate: The launched engine begins once this file exists.
        strays: Instances that somebody else runs.
    """

    store: Store
    folder: Path
    first: Replica
    second: Replica
    gate: Path
    stack: AsyncExitStack
    strays: list[GatedInstance] = field(default_factory=list)

    async def route(self, chain: str) -> None:
        """Send the whole site to a chain."""
        name = ChainName.parse(chain)
        engine = "warm" if name.chain == "launched" else "terraform"
        await put_chain(self.store, site_chain(engine=engine), chain_id=name.chain)

    async def switch(self, chain: str, terms: Terms | None = None) -> Switch:
        """Ask for a switch."""
        catalog = RouteCatalog(self.store, stamper(SystemClock()))
        wish = Wish("site", Caller("enchain.v1.Test/Test"), terms=terms or Terms())
        return await catalog.switch(wish, ChainName.parse(chain))

    async def read(self, made: Switch) -> Switch:
        """Read a switch."""
        item = await self.store.get(key_of(made))
        assert item is not None
        return decode(Switch, item.value)

    async def until(self, made: Switch, *wanted: int, within: float = 60.0) -> Switch:
        """Wait until it is in one of some states."""

        async def check() -> list[Switch]:
            found = await self.read(made)
            return [found] if found.state in wanted else []

        return (await eventually(check, within=within))[0]

    async def hand_over(self) -> None:
        """Kill the leader, and wait until the other one leads."""
        await self.first.kill()
        await eventually(self._second_leads, within=30)

    async def _second_leads(self) -> bool:
        return await leading(self.store) == self.second.name

    async def launches(self) -> list[pool_pb2.Launching]:
        """Answer all launches of the warm engine."""
        items = (await self.store.list(f"{keys.LAUNCHES}warm/")).items
        return [decode(pool_pb2.Launching, item.value) for item in items]

    async def stray(self) -> None:
        """Run an instance of the warm engine that nobody launched."""
        scope = EngineScope("warm", "elsewhere")
        self.strays.append(GatedInstance(scope, "stray"))
        await self.strays[-1].start(self.store)


def key_of(made: Switch) -> str:
    return keys.chain_switch("site", made.name.rpartition("/")[2])


@pytest.fixture
async def scene(store: Store, replicas: Replicas, tmp_path: Path) -> AsyncIterator[Scene]:
    """The site on a chain that is served, and another one whose engine would have to be launched."""
    gate = tmp_path / "gate"
    waiting = (
        f'while [ ! -e "{gate}" ]; do sleep 0.05; done; exec "{sys.executable}" -m tests.harness.warm_engine'
    )
    engine = engine_pb2.Engine(launch=engine_pb2.Launch(process=["sh", "-c", waiting]))
    async with AsyncExitStack() as stack:
        for name in ("terraform", "process"):
            instance = GatedInstance(EngineScope(name, f"{name}-scope"), f"{name}-1")
            await instance.start(store)
            stack.push_async_callback(instance.kill, store)
        first = await replicas.start("one")
        await eventually(lambda: _leads(store, first), within=30)
        second = await replicas.start("two")
        await eventually(lambda: second.said("serving"), within=30)
        scene = Scene(store, tmp_path, first, second, gate, stack)
        await put(store, [Put(keys.engine("warm"), encode(engine))])
        await scene.route(LAUNCHED)
        await scene.route(SERVED)
        yield scene
        for stray in scene.strays:
            await stray.kill(store)


async def _leads(store: Store, replica: Replica) -> bool:
    return await leading(store) == replica.name


# --- what brings a switch into a state, and what lets it go on


async def validating(scene: Scene) -> Switch:
    scene.first.freeze()
    made = await scene.switch(LAUNCHED)
    assert made.state == states.VALIDATING
    return made


async def warming(scene: Scene) -> Switch:
    return await scene.until(await scene.switch(LAUNCHED), states.WARMING)


async def activating(scene: Scene) -> Switch:
    made = await scene.until(await scene.switch(LAUNCHED), states.WARMING)
    scene.first.freeze()
    record = await scene.read(made)
    enter(record, states.ACTIVATING, "every instance is ready and answers", SystemClock().now(), "one")
    await put(scene.store, [Put(key_of(made), encode(record))])
    return record


async def converging(scene: Scene) -> Switch:
    await scene.route(LAUNCHED)
    await router_at(scene, 1)
    return await scene.until(await scene.switch(SERVED), states.CONVERGING)


async def draining(scene: Scene) -> Switch:
    active = operation_pb2.ActiveOperation(
        operation=f"tenants/default/operations/{OPERATION}", chain=LAUNCHED, workload="workloads/site"
    )
    await scene.route(LAUNCHED)
    await put(scene.store, [Put(keys.active(OPERATION), encode(active))])
    return await scene.until(await scene.switch(SERVED), states.DRAINING)


async def retiring(scene: Scene) -> Switch:
    await scene.route(LAUNCHED)
    await scene.stray()
    return await scene.until(await scene.switch(SERVED), states.RETIRING)


async def open_gate(scene: Scene) -> None:
    scene.gate.touch()


async def router_follows(scene: Scene) -> None:
    await router_at(scene, 2**40)


async def operation_ends(scene: Scene) -> None:
    await scene.store.commit(Txn(success=(Delete(keys.active(OPERATION)),)))


async def stray_ends(scene: Scene) -> None:
    await scene.strays.pop().kill(scene.store)


async def router_at(scene: Scene, revision: int) -> None:
    presence = presence_pb2.RouterPresence(name="routers/r", applied_revision=revision)
    await put(scene.store, [Put(keys.router("r"), encode(presence))])


Act = Callable[[Scene], Awaitable[None]]


@pytest.mark.parametrize(
    ("into", "onwards", "target"),
    [
        pytest.param(validating, open_gate, LAUNCHED, marks=pytest.mark.exhaustive),
        (warming, open_gate, LAUNCHED),
        pytest.param(activating, open_gate, LAUNCHED, marks=pytest.mark.exhaustive),
        pytest.param(converging, router_follows, SERVED, marks=pytest.mark.exhaustive),
        (draining, operation_ends, SERVED),
        pytest.param(retiring, stray_ends, SERVED, marks=pytest.mark.exhaustive),
    ],
    ids=["VALIDATING", "WARMING", "ACTIVATING", "CONVERGING", "DRAINING", "RETIRING"],
)
async def test_another_replica_finishes_what_a_killed_leader_left(
    scene: Scene, into: Callable[[Scene], Awaitable[Switch]], onwards: Act, target: str
) -> None:
    made = await into(scene)

    await scene.hand_over()
    await onwards(scene)
    done = await scene.until(made, states.DONE, states.ROLLED_BACK)

    route = await scene.store.get(keys.route("site"))
    assert route is not None
    assert done.state == states.DONE, done.rollback_reason
    assert [share.chain for share in decode(chain_pb2.Route, route.value).shares] == [target]
    assert done.phases[-1].leader == "controlplanes/two"
    assert [phase.state for phase in done.phases] == sorted({phase.state for phase in done.phases})
    if target == LAUNCHED:
        # Whatever was killed when: one instance was launched, once, and the record names it.
        (launch,) = await scene.launches()
        assert list(done.launches) == [launch.name]
        assert len(launched(scene.folder)) == 1


async def test_instances_of_the_old_chain_go_after_its_last_operation(scene: Scene) -> None:
    scene.gate.touch()
    await scene.route(LAUNCHED)
    await eventually(lambda: serves(scene), within=60)
    made = await draining(scene)
    kept = len(launched(scene.folder))

    await operation_ends(scene)
    done = await scene.until(made, states.DONE, states.ROLLED_BACK)

    assert (kept, done.state) == (1, states.DONE)
    assert [each.engine for each in done.holds] == ["warm"]
    assert done.phases[-1].description == "nothing is left of it to do"
    await eventually(lambda: nothing_left(scene), within=30)


async def serves(scene: Scene) -> bool:
    """Whether an instance of the launched engine is ready."""
    return bool((await scene.store.list(f"{keys.INSTANCES}warm/")).items)


async def test_another_replica_rolls_back_what_cannot_be_finished(scene: Scene) -> None:
    made = await scene.switch(LAUNCHED, Terms(warm=SECONDS))
    await scene.until(made, states.WARMING)

    await scene.hand_over()
    ended = await scene.until(made, states.ROLLED_BACK, states.DONE)

    route = await scene.store.get(keys.route("site"))
    assert route is not None
    assert ended.rollback_reason.startswith("WARMING_TIMEOUT: ")
    assert "warm 1: 0 of 1 ready" in ended.rollback_reason
    assert [share.chain for share in decode(chain_pb2.Route, route.value).shares] == [SERVED]
    await eventually(lambda: nothing_left(scene), within=30)


async def nothing_left(scene: Scene) -> bool:
    """Whether no hold stands, and nothing that was launched runs."""
    pools = [decode(pool_pb2.Pool, item.value) for item in (await scene.store.list(keys.POOLS)).items]
    assert not any(pool.holds for pool in pools)
    return not launched(scene.folder)
