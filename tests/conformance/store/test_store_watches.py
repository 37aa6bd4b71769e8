"""What every `Store` must do in a watch."""

import asyncio
from contextlib import aclosing

import pytest

from enchain.state.store import (
    CompactedError,
    Delete,
    DisplacedError,
    Put,
    Txn,
    put,
)
from tests.harness.stores import ROOT, Subject, first, told, write


async def test_a_watch_tells_the_past_and_then_the_present(subject: Subject) -> None:
    start = await write(subject, a="1")
    await write(subject, a="2")

    async with aclosing(subject.watch(ROOT, start)) as batches:
        past = [await anext(batches), await anext(batches)]
        await write(subject, a="3")
        present = await anext(batches)

    assert told([*past, present]) == [
        (start, "put", "a", b"1"),
        (start + 1, "put", "a", b"2"),
        (start + 2, "put", "a", b"3"),
    ]


async def test_a_watch_delivers_a_transaction_as_one_batch_in_key_order(subject: Subject) -> None:
    await write(subject, gone="1")
    txn = Txn(success=(Put(f"{ROOT}z", b"1"), Delete(f"{ROOT}gone"), Put(f"{ROOT}a", b"1")))
    result = await subject.commit(txn)
    await write(subject, later="1")

    found = await first(subject, 2, start=result.revision)

    assert told(found[:1]) == [
        (result.revision, "put", "a", b"1"),
        (result.revision, "delete", "gone", b""),
        (result.revision, "put", "z", b"1"),
    ]
    assert found[1].revision == result.revision + 1
    assert not any(batch.resync for batch in found)


async def test_a_large_transaction_is_one_batch_too(subject: Subject) -> None:
    value = b"x" * 16_000
    revision = await put(subject, [Put(f"{ROOT}{n:03}", value) for n in range(80)])
    await write(subject, later="1")

    found = await first(subject, 2, start=revision)

    assert [len(batch.events) for batch in found] == [80, 1]


async def test_an_event_tells_the_key_as_a_read_does(subject: Subject) -> None:
    lease = await subject.grant(60)
    await write(subject, a="1")
    revision = await put(subject, [Put(f"{ROOT}a", b"2", lease)])

    (batch,) = await first(subject, 1, start=revision)

    assert batch.events[0].item == await subject.get(f"{ROOT}a")
    assert batch.events[0].item.lease == lease


async def test_a_watch_tells_nothing_of_other_prefixes(subject: Subject) -> None:
    start = await put(subject, [Put(f"{ROOT}a/1", b"1"), Put(f"{ROOT}b/1", b"1")])
    await put(subject, [Put(f"{ROOT}a", b"1"), Put(f"{ROOT}a0", b"1")])
    last = await put(subject, [Put(f"{ROOT}a/2", b"1")])

    found = await first(subject, 2, start=start, name=f"{ROOT}a/")

    assert [(revision, key) for revision, _, key, _ in told(found)] == [(start, "a/1"), (last, "a/2")]


async def test_a_watch_of_one_key_tells_of_that_key_only(subject: Subject) -> None:
    start = await put(subject, [Put(f"{ROOT}a0", b""), Put(f"{ROOT}a/1", b"")])
    revision = await put(subject, [Put(f"{ROOT}a", b"")])

    found = await first(subject, 1, start=start, name=f"{ROOT}a")

    assert [(revision, key) for revision, _, key, _ in told(found)] == [(revision, "a")]


async def test_a_watch_of_what_is_compacted_says_so(subject: Subject) -> None:
    start = await write(subject, a="1")
    await write(subject, a="2")
    newest = await write(subject, a="3")
    await subject.compact(newest)

    with pytest.raises(CompactedError) as caught:
        await first(subject, 1, start=start)

    assert caught.value.compact_revision == newest
    assert told(await first(subject, 1, start=newest)) == [(newest, "put", "a", b"3")]


async def test_a_watch_from_a_revision_that_the_store_never_had_says_so(subject: Subject) -> None:
    revision = await write(subject, a="1")

    with pytest.raises(DisplacedError):
        await first(subject, 1, start=revision + 100)


async def test_a_watch_that_began_on_another_cluster_says_so(subject: Subject) -> None:
    revision = await write(subject, a="1")
    cluster_id = (await subject.list(ROOT)).cluster_id

    assert cluster_id == (await subject.status()).cluster_id
    async with aclosing(subject.watch(ROOT, revision, cluster_id=cluster_id)) as same:
        assert (await anext(same)).revision == revision
    async with aclosing(subject.watch(ROOT, revision, cluster_id=cluster_id + 1)) as other:
        with pytest.raises(DisplacedError):
            await anext(other)


async def test_a_watch_shows_that_it_stands_before_anything_happens(subject: Subject) -> None:
    revision = await write(subject, a="1")
    heard = asyncio.Event()

    async with aclosing(subject.watch(ROOT, revision + 1, heard=heard.set)) as batches:
        following = asyncio.ensure_future(anext(batches))
        await asyncio.wait_for(heard.wait(), 20)
        assert not following.done()
        await write(subject, a="2")
        batch = await asyncio.wait_for(following, 20)

    assert batch.revision == revision + 1


async def test_a_watch_that_nobody_reads_holds_up_nobody(subject: Subject) -> None:
    start = await write(subject, a="0")

    async with aclosing(subject.watch(ROOT, start)) as slow:
        assert (await anext(slow)).revision == start
        for n in range(50):
            await write(subject, a=str(n))
        others = await first(subject, 50, start=start + 1)
        rest = [await anext(slow) for _ in range(50)]

    assert rest == others
