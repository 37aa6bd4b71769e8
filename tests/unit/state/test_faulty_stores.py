"""The stores that fail on purpose fail as they say, and only so."""

import asyncio

import pytest

from enchain.chains.errors import UnavailableError, UnsettledError
from enchain.state.faults import CutStore, DroppingStore, LosingStore
from enchain.state.store import Put, Store, put


async def test_a_losing_store_does_what_it_does_not_answer(memory_store: Store) -> None:
    losing = LosingStore(memory_store)
    losing.losing = 1

    with pytest.raises(UnsettledError):
        await put(losing, [Put("/a", b"1")])

    assert await memory_store.get("/a") is not None
    await put(losing, [Put("/b", b"1")])
    assert losing.lost == 1


async def test_a_dropping_store_does_not_do_what_it_does_not_answer(memory_store: Store) -> None:
    dropping = DroppingStore(memory_store)
    dropping.losing = 1

    with pytest.raises(UnsettledError):
        await put(dropping, [Put("/a", b"1")])

    assert await memory_store.get("/a") is None


async def test_a_store_that_is_cut_off_lets_nothing_through_and_ends_watches(memory_store: Store) -> None:
    cuttable = CutStore(memory_store)
    heard = asyncio.Event()
    batches = cuttable.watch("/", 2, heard=heard.set)
    following = asyncio.ensure_future(anext(batches))
    await asyncio.wait_for(heard.wait(), 10)

    cuttable.cut()

    with pytest.raises(UnavailableError):
        await following
    with pytest.raises(UnavailableError):
        await put(cuttable, [Put("/a", b"1")])
    assert await memory_store.get("/a") is None
    cuttable.mend()
    await put(cuttable, [Put("/a", b"1")])
    assert await cuttable.get("/a") is not None
