"""What every `Store` must do. One suite, run over the memory store and over a real etcd.

Whatever a caller may rely on stands here; what only etcd can show (crashes, cut connections, users) is in
`tests/integration/state`.
"""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import aclosing
from typing import Protocol

import pytest

from enchain.chains.errors import OurError, PreconditionError, UnavailableError
from enchain.process.clock import ManualClock
from enchain.state.etcd import open_store
from enchain.state.memory import MemoryStore
from enchain.state.store import (
    Batch,
    CompactedError,
    Compare,
    CompareTarget,
    Delete,
    DisplacedError,
    EventKind,
    Get,
    Put,
    Store,
    Txn,
    absent,
    created_at,
    put,
    unchanged,
)
from tests.harness.waiting import eventually

ROOT = "/conformance/"


class Subject(Store, Protocol):
    """A store under test: it can also be compacted."""

    async def compact(self, revision: int) -> None:
        """Forget what keys were before a revision."""


class Aging:
    """Lets time pass for a store whose clock is ours; for others time passes by itself."""

    def __init__(self) -> None:
        self.clock = ManualClock()

    def by(self, seconds: float) -> None:
        """Let so much time pass."""
        self.clock.advance(seconds)


@pytest.fixture
def aging() -> Aging:
    return Aging()


@pytest.fixture(params=["memory", "etcd"])
async def subject(request: pytest.FixtureRequest, etcd: str, aging: Aging) -> AsyncIterator[Subject]:
    if request.param == "memory":
        store: Subject = MemoryStore(clock=aging.clock)
    else:
        store = await open_store([etcd])
        await store.commit(Txn(success=(Delete(ROOT, prefix=True),)))
    yield store
    await store.close()


async def write(store: Store, **values: str) -> int:
    """Put keys under the root in one transaction; answer the revision."""
    return await put(store, [Put(f"{ROOT}{name}", value.encode()) for name, value in values.items()])


async def first(store: Store, count: int, *, start: int, name: str = ROOT) -> list[Batch]:
    """Answer the first batches of a watch."""
    found: list[Batch] = []
    async with aclosing(store.watch(name, start)) as batches, asyncio.timeout(20):
        async for batch in batches:
            found.append(batch)
            if len(found) == count:
                break
    return found


def told(batches: list[Batch]) -> list[tuple[int, str, str, bytes]]:
    """Answer what batches say, short enough to compare."""
    return [
        (batch.revision, event.kind.value, event.item.key.removeprefix(ROOT), event.item.value)
        for batch in batches
        for event in batch.events
    ]


# Reading and writing.


async def test_a_key_that_was_never_written_does_not_exist(subject: Subject) -> None:
    assert await subject.get(f"{ROOT}nothing") is None


async def test_a_written_key_tells_value_and_revisions(subject: Subject) -> None:
    first_revision = await write(subject, a="1")
    second_revision = await write(subject, a="2")

    found = await subject.get(f"{ROOT}a")

    assert found is not None
    assert (found.value, found.version, found.lease) == (b"2", 2, 0)
    assert (found.create_revision, found.mod_revision) == (first_revision, second_revision)
    assert second_revision == first_revision + 1


async def test_a_key_made_again_after_its_deletion_is_another_one(subject: Subject) -> None:
    await write(subject, a="1")
    await write(subject, a="2")
    await subject.commit(Txn(success=(Delete(f"{ROOT}a"),)))
    revision = await write(subject, a="3")

    found = await subject.get(f"{ROOT}a")

    assert found is not None
    assert (found.create_revision, found.mod_revision, found.version) == (revision, revision, 1)


async def test_keys_may_be_any_text_and_values_any_bytes(subject: Subject) -> None:
    key, value = f"{ROOT}größe/日本 {{}}", bytes(range(256))
    await put(subject, [Put(key, value)])

    found = await subject.get(key)

    assert found is not None
    assert (found.key, found.value) == (key, value)


# Transactions.


async def test_a_transaction_is_one_revision(subject: Subject) -> None:
    revision = await write(subject, a="1", b="1", c="1")

    listing = await subject.list(ROOT)

    assert {item.mod_revision for item in listing.items} == {revision}


async def test_where_all_compares_hold_the_first_branch_is_taken(subject: Subject) -> None:
    revision = await write(subject, a="1")
    compares = (
        unchanged(f"{ROOT}a", revision),
        created_at(f"{ROOT}a", revision),
        Compare(f"{ROOT}a", CompareTarget.VERSION, 1),
        absent(f"{ROOT}b"),
        unchanged(f"{ROOT}b", 0),
    )

    result = await subject.commit(Txn(compares, (Put(f"{ROOT}b", b"won"),), (Put(f"{ROOT}b", b"lost"),)))

    assert result.succeeded
    found = await subject.get(f"{ROOT}b")
    assert found is not None
    assert (found.value, found.mod_revision) == (b"won", result.revision)


@pytest.mark.parametrize(
    "wrong",
    [
        unchanged(f"{ROOT}a", 1),
        created_at(f"{ROOT}a", 1),
        Compare(f"{ROOT}a", CompareTarget.VERSION, 2),
        absent(f"{ROOT}a"),
        created_at(f"{ROOT}b", 7),
    ],
    ids=["changed", "created at another time", "another version", "present", "absent"],
)
async def test_where_one_compare_fails_the_other_branch_is_taken(subject: Subject, wrong: Compare) -> None:
    revision = await write(subject, a="1")
    right = unchanged(f"{ROOT}a", revision)

    result = await subject.commit(
        Txn((right, wrong), (Put(f"{ROOT}a", b"lost"),), (Get(f"{ROOT}a"), Get(f"{ROOT}b")))
    )

    assert not result.succeeded
    assert [item and item.value for item in result.got] == [b"1", None]
    assert result.revision == revision


async def test_reads_in_a_transaction_see_what_it_wrote_before(subject: Subject) -> None:
    await write(subject, a="old", gone="x")

    result = await subject.commit(
        Txn(
            success=(
                Get(f"{ROOT}a"),
                Put(f"{ROOT}a", b"new"),
                Delete(f"{ROOT}gone"),
                Get(f"{ROOT}a"),
                Get(f"{ROOT}gone"),
            )
        )
    )

    assert [item and item.value for item in result.got] == [b"old", b"new", None]


async def test_a_transaction_that_writes_nothing_makes_no_revision(subject: Subject) -> None:
    revision = await write(subject, a="1")

    result = await subject.commit(Txn(success=(Delete(f"{ROOT}nothing"), Get(f"{ROOT}a"))))

    assert result.revision == revision
    assert (await subject.list(ROOT)).revision == revision


async def test_deleting_a_prefix_spares_its_neighbours(subject: Subject) -> None:
    names = ["a", "a/1", "a/2", "a0", "b"]
    await put(subject, [Put(f"{ROOT}{name}", b"") for name in names])

    await subject.commit(Txn(success=(Delete(f"{ROOT}a/", prefix=True),)))

    left = [item.key.removeprefix(ROOT) for item in (await subject.list(ROOT)).items]
    assert left == ["a", "a0", "b"]


@pytest.mark.parametrize(
    "ops",
    [
        (Put(f"{ROOT}a", b"1"), Put(f"{ROOT}a", b"2")),
        (Put(f"{ROOT}a", b"1"), Delete(f"{ROOT}a")),
        (Put(f"{ROOT}a", b"1"), Delete(ROOT, prefix=True)),
        tuple(Put(f"{ROOT}{n}", b"") for n in range(129)),
    ],
    ids=["two puts", "put and delete", "put and delete of its prefix", "129 operations"],
)
async def test_a_transaction_that_contradicts_itself_or_is_too_long_does_nothing(
    subject: Subject, ops: tuple[Put | Delete, ...]
) -> None:
    revision = await write(subject, before="1")

    with pytest.raises(OurError) as caught:
        await subject.commit(Txn(success=ops))

    assert caught.value.reason == "BAD_TRANSACTION"
    assert (await subject.list(ROOT)).revision == revision


async def test_of_many_that_compare_and_swap_each_wins_once(subject: Subject) -> None:
    await write(subject, counter="0")

    async def add_one() -> None:
        while True:
            found = await subject.get(f"{ROOT}counter")
            assert found is not None
            more = str(int(found.value) + 1).encode()
            swap = Txn((unchanged(found.key, found.mod_revision),), (Put(found.key, more),))
            if (await subject.commit(swap)).succeeded:
                return

    await asyncio.gather(*(add_one() for _ in range(20)))

    found = await subject.get(f"{ROOT}counter")
    assert found is not None
    assert found.value == b"20"


# Lists.


async def test_a_list_is_in_key_order_and_holds_only_what_lies_under_the_prefix(subject: Subject) -> None:
    await put(subject, [Put(f"{ROOT}{name}", b"x") for name in ["b/2", "b/1", "b", "b0", "ba/1"]])

    listing = await subject.list(f"{ROOT}b/")

    assert [item.key.removeprefix(ROOT) for item in listing.items] == ["b/1", "b/2"]
    assert not listing.more


async def test_a_name_without_a_slash_at_its_end_lists_that_key_only(subject: Subject) -> None:
    await put(subject, [Put(f"{ROOT}{name}", b"x") for name in ["b", "b/1", "b0"]])

    listing = await subject.list(f"{ROOT}b")

    assert [item.key for item in listing.items] == [f"{ROOT}b"]


async def test_pages_of_a_list_join_to_the_whole_at_one_revision(subject: Subject) -> None:
    revision = await write(subject, a="1", b="1", c="1", d="1", e="1")
    first_page = await subject.list(ROOT, limit=2)
    await write(subject, a="2", bb="2", e="2")

    second = await subject.list(
        ROOT, limit=2, start_after=first_page.items[-1].key, revision=first_page.revision
    )
    third = await subject.list(ROOT, limit=2, start_after=second.items[-1].key, revision=first_page.revision)

    pages = [first_page, second, third]
    assert [page.more for page in pages] == [True, True, False]
    assert {page.revision for page in pages} == {revision}
    found = [(item.key.removeprefix(ROOT), item.value) for page in pages for item in page.items]
    assert found == [(name, b"1") for name in "abcde"]


async def test_a_long_list_comes_whole(subject: Subject) -> None:
    names = [f"{ROOT}{n:04}" for n in range(600)]
    for start in range(0, 600, 120):
        await put(subject, [Put(name, b"x") for name in names[start : start + 120]])

    listing = await subject.list(ROOT)

    assert [item.key for item in listing.items] == names
    assert not listing.more
    limited = await subject.list(ROOT, limit=599)
    assert (len(limited.items), limited.more) == (599, True)


async def test_a_list_of_keys_only_has_no_values(subject: Subject) -> None:
    revision = await write(subject, a="long")

    (item,) = (await subject.list(ROOT, keys_only=True)).items

    assert (item.key, item.value, item.mod_revision) == (f"{ROOT}a", b"", revision)


async def test_the_past_can_be_listed_until_it_is_compacted(subject: Subject) -> None:
    old = await write(subject, a="1", b="1")
    middle = await write(subject, a="2")
    await subject.commit(Txn(success=(Delete(f"{ROOT}b"),)))

    before = await subject.list(ROOT, revision=old)
    await subject.compact(middle)
    after = await subject.list(ROOT, revision=middle)

    assert [(item.key[-1], item.value) for item in before.items] == [("a", b"1"), ("b", b"1")]
    assert [(item.key[-1], item.value) for item in after.items] == [("a", b"2"), ("b", b"1")]
    with pytest.raises(CompactedError):
        await subject.list(ROOT, revision=old)


# Watches.


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
