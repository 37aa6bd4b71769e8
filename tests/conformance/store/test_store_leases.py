"""What every `Store` must do with leases, and at its end."""

import asyncio
from collections.abc import Callable
from contextlib import aclosing

import pytest

from enchain.chains.errors import PreconditionError, UnavailableError
from enchain.state.memory import MemoryStore
from enchain.state.store import (
    EventKind,
    Put,
    Store,
    Txn,
    put,
)
from tests.harness.stores import ROOT, Aging, Subject, first, write
from tests.harness.waiting import eventually

# Leases.


async def test_revoking_a_lease_deletes_its_keys_in_one_revision(subject: Subject) -> None:
    lease = await subject.grant(60)
    await put(subject, [Put(f"{ROOT}b", b"", lease), Put(f"{ROOT}a", b"", lease), Put(f"{ROOT}stays", b"")])
    before = (await subject.list(ROOT)).revision

    await subject.revoke(lease)

    (batch,) = await first(subject, 1, start=before + 1)
    kinds = [(event.kind, event.item.key.removeprefix(ROOT)) for event in batch.events]
    assert kinds == [(EventKind.DELETE, "a"), (EventKind.DELETE, "b")]
    assert [item.key for item in (await subject.list(ROOT)).items] == [f"{ROOT}stays"]


async def test_a_lease_that_is_gone_is_told_and_cannot_be_used(subject: Subject) -> None:
    lease = await subject.grant(60)
    assert await subject.keep_alive(lease) == 60
    await subject.revoke(lease)
    revision = await write(subject, a="1")

    assert await subject.keep_alive(lease) == 0
    await subject.revoke(lease)
    with pytest.raises(PreconditionError) as caught:
        await put(subject, [Put(f"{ROOT}a", b"2"), Put(f"{ROOT}b", b"", lease)])

    assert caught.value.reason == "LEASE_GONE"
    assert (await subject.list(ROOT)).revision == revision


async def test_a_key_written_again_without_the_lease_outlives_it(subject: Subject) -> None:
    lease = await subject.grant(60)
    await put(subject, [Put(f"{ROOT}a", b"1", lease), Put(f"{ROOT}b", b"1", lease)])
    await put(subject, [Put(f"{ROOT}a", b"2")])

    await subject.revoke(lease)

    assert [item.key for item in (await subject.list(ROOT)).items] == [f"{ROOT}a"]


async def test_a_lease_that_nobody_keeps_alive_ends_with_its_keys(subject: Subject, aging: Aging) -> None:
    lease = await subject.grant(2)
    revision = await put(subject, [Put(f"{ROOT}a", b"", lease)])

    async with aclosing(subject.watch(ROOT, revision + 1)) as batches:
        following = asyncio.ensure_future(anext(batches))
        await eventually(lambda: aging.clock.sleepers > 0 or not isinstance(subject, MemoryStore))
        aging.by(3)
        batch = await asyncio.wait_for(following, 30)

    assert [(event.kind, event.item.key) for event in batch.events] == [(EventKind.DELETE, f"{ROOT}a")]
    assert await subject.keep_alive(lease) == 0


# Its end.


@pytest.mark.parametrize(
    "call",
    [
        lambda store: store.get(f"{ROOT}a"),
        lambda store: store.list(ROOT),
        lambda store: store.commit(Txn()),
        lambda store: store.grant(10),
        lambda store: store.keep_alive(1),
        lambda store: store.revoke(1),
        lambda store: store.status(),
    ],
    ids=["get", "list", "commit", "grant", "keep_alive", "revoke", "status"],
)
async def test_a_closed_store_does_nothing(subject: Subject, call: Callable[[Store], object]) -> None:
    await subject.close()

    with pytest.raises(UnavailableError) as caught:
        await call(subject)  # type: ignore[misc]  # every call is awaitable

    assert caught.value.reason == "STORE_CLOSED"


async def test_closing_a_store_ends_its_watches(subject: Subject) -> None:
    revision = await write(subject, a="1")
    heard = asyncio.Event()
    batches = subject.watch(ROOT, revision + 1, heard=heard.set)
    following = asyncio.ensure_future(anext(batches))
    await asyncio.wait_for(heard.wait(), 20)

    await subject.close()

    with pytest.raises(UnavailableError):
        await asyncio.wait_for(following, 20)


async def test_a_store_says_what_it_is(subject: Subject) -> None:
    revision = await write(subject, a="1")

    status = await subject.status()

    assert status.version
    assert status.revision == revision
