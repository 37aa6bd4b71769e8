"""What every `Store` must do with keys, transactions and lists."""

import asyncio

import pytest

from enchain.chains.errors import OurError
from enchain.state.store import (
    CompactedError,
    Compare,
    CompareTarget,
    Delete,
    Get,
    Put,
    Txn,
    absent,
    created_at,
    put,
    unchanged,
)
from tests.harness.stores import ROOT, Subject, write

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
