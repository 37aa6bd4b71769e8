"""etcd is gone in the middle of a switch: nothing moves meanwhile, and the switch goes on once it is back."""

from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from controlplane.catalog.audit import Caller
from controlplane.catalog.changes import stamper
from controlplane.catalog.routes import RouteCatalog, Wish
from enchain.chains.errors import PeerError
from enchain.chains.names import ChainName
from enchain.process.clock import SystemClock
from enchain.state import keys
from enchain.state.codec import decode, encode
from enchain.state.etcd import open_store
from enchain.state.server import LocalEtcd
from enchain.state.store import Put, Store, put
from enchain.v1 import chain_pb2, presence_pb2
from tests.harness.gated_engines import EngineScope, GatedInstance
from tests.harness.routers import put_chain, site_chain
from tests.harness.switching import leading
from tests.harness.waiting import eventually

Switch = chain_pb2.ChainSwitch


async def router_at(store: Store, revision: int) -> None:
    presence = presence_pb2.RouterPresence(name="routers/r", applied_revision=revision)
    await put(store, [Put(keys.router("r"), encode(presence))])


async def state_of(store: Store, made: Switch) -> int:
    item = await store.get(keys.chain_switch("site", made.name.rpartition("/")[2]))
    assert item is not None
    return decode(Switch, item.value).state


async def test_a_switch_outlives_its_store(tmp_path: Path) -> None:
    etcd = LocalEtcd(tmp_path / "etcd")
    store = await open_store([await etcd.start()])
    async with AsyncExitStack() as stack:
        stack.push_async_callback(etcd.stop)
        stack.push_async_callback(store.close)
        for name in ("terraform", "ansible", "process"):
            instance = GatedInstance(EngineScope(name, f"{name}-scope"), f"{name}-1")
            await instance.start(store)
            stack.push_async_callback(instance.kill, store)
        target = ChainName.parse(await put_chain(store, site_chain(engine="ansible"), chain_id="other"))
        await put_chain(store, site_chain())
        await router_at(store, 1)
        catalog = RouteCatalog(store, stamper(SystemClock()))
        wish = Wish("site", Caller("enchain.v1.Test/Test"))
        async with leading(store):
            made = await catalog.switch(wish, target)
            assert await state_of(store, made) == Switch.STATE_CONVERGING

            etcd.kill()
            with pytest.raises(PeerError):
                await catalog.switch(wish, ChainName("site", "default", "r1"))
            await etcd.restart()
            assert await state_of(store, made) == Switch.STATE_CONVERGING
            await router_at(store, 2**40)

            async def done() -> bool:
                return await state_of(store, made) == Switch.STATE_DONE

            await eventually(done, within=30)
