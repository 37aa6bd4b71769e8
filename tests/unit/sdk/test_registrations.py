"""How an instance makes itself known: ready, draining, gone, and back again when its lease was lost."""

import asyncio
from datetime import UTC, datetime

from enchain.process.clock import ManualClock
from enchain.sdk.registration import Registration, instance_message
from enchain.state import keys
from enchain.state.codec import decode
from enchain.state.memory import MemoryStore
from enchain.v1 import engine_pb2
from tests.harness.appending import AppendingEngine
from tests.harness.waiting import eventually

KEY = keys.instance("appending", "i")


def make(store: MemoryStore, clock: ManualClock) -> Registration:
    message = instance_message(
        AppendingEngine(),
        instance="i",
        address="127.0.0.1:1",
        scope="s",
        capacity=2,
        start_time=datetime(2026, 1, 1, tzinfo=UTC),
    )
    return Registration(store, clock=clock, instance_id="i", message=message)


async def registered(store: MemoryStore) -> engine_pb2.EngineInstance | None:
    item = await store.get(KEY)
    return decode(engine_pb2.EngineInstance, item.value) if item else None


async def test_an_instance_says_what_it_is_under_a_lease(memory_store: MemoryStore) -> None:
    registration = make(memory_store, ManualClock())
    await registration.start()

    item, message = await memory_store.get(KEY), await registered(memory_store)

    assert item is not None
    assert item.lease
    assert message is not None
    assert message.name == "engines/appending/instances/i"
    assert message.state == engine_pb2.EngineInstance.STATE_READY
    assert message.handle_schemas == ["appending/1"]
    await registration.stop()


async def test_it_says_that_it_drains_and_deletes_its_key_at_the_end(memory_store: MemoryStore) -> None:
    registration = make(memory_store, ManualClock())
    await registration.start()

    await registration.drain()
    draining = await registered(memory_store)
    await registration.stop()

    assert draining is not None
    assert draining.state == engine_pb2.EngineInstance.STATE_DRAINING
    assert await registered(memory_store) is None


async def test_it_registers_again_when_its_lease_was_lost(memory_store: MemoryStore) -> None:
    clock = ManualClock()
    registration = make(memory_store, clock)
    await registration.start()
    maintaining = asyncio.create_task(registration.maintain(), name="registration")
    first = await memory_store.get(KEY)
    assert first is not None

    await memory_store.revoke(first.lease)
    await clock.asleep()
    clock.advance(10)

    async def back() -> bool:
        item = await memory_store.get(KEY)
        return item is not None and item.lease != first.lease

    await eventually(back)
    maintaining.cancel()
    await asyncio.wait({maintaining})
    await registration.stop()
