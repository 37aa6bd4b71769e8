"""A switch whose engine cannot be started is rolled back, and its record says why instances did not come."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import timedelta

from controlplane.catalog.audit import Caller
from controlplane.catalog.changes import stamper
from controlplane.catalog.routes import RouteCatalog, Wish
from controlplane.switching import states
from controlplane.switching.terms import Terms
from enchain.chains.names import ChainName
from enchain.process.clock import SystemClock
from enchain.state import keys
from enchain.state.codec import decode
from enchain.state.store import Store
from enchain.v1.chain_pb2 import ChainSwitch
from tests.harness.gated_engines import EngineScope, GatedInstance
from tests.harness.pools import save_engine
from tests.harness.routers import put_chain, site_chain
from tests.harness.switching import leading
from tests.harness.waiting import eventually
from tests.integration.pools.conftest import Machine

WARM = timedelta(seconds=3)
"""Time for some attempts."""


@asynccontextmanager
async def served(store: Store, *engines: str) -> AsyncIterator[None]:
    """Run an instance of each engine that somebody else has started."""
    async with AsyncExitStack() as stack:
        for engine in engines:
            instance = GatedInstance(EngineScope(engine, engine), f"{engine}-1")
            await instance.start(store)
            stack.push_async_callback(instance.kill, store)
        yield


async def test_why_an_engine_does_not_start_is_in_the_record(machine: Machine) -> None:
    await save_engine(machine.store, ["enchain-no-such-engine"], name="broken")
    new = await put_chain(machine.store, site_chain(engine="broken"), chain_id="other")
    await put_chain(machine.store, site_chain())
    machine.lead()
    catalog = RouteCatalog(machine.store, stamper(SystemClock()))

    async with served(machine.store, "terraform", "process"), leading(machine.store):
        wish = Wish("site", Caller("enchain.v1.Test/Test"), terms=Terms(warm=WARM))
        made = await catalog.switch(wish, ChainName.parse(new))

        async def ended() -> list[ChainSwitch]:
            item = await machine.store.get(keys.chain_switch("site", made.name.rpartition("/")[2]))
            assert item is not None
            found = decode(ChainSwitch, item.value)
            return [found] if states.is_end(found.state) else []

        (found,) = await eventually(ended, within=30)

    assert found.state == states.ROLLED_BACK
    assert found.rollback_reason.startswith("WARMING_TIMEOUT: ")
    assert "broken 1: 0 of 1 ready (COMMAND_NOT_FOUND: there is no program" in found.rollback_reason
