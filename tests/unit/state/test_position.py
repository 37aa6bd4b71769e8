"""Where a follower is: joining fragments, moving on, comparing a list with what was delivered."""

import pytest

from enchain.state.position import Joiner, Position
from enchain.state.store import Batch, Event, EventKind, KeyValue, Listing


def item(key: str, revision: int, value: str = "x") -> KeyValue:
    return KeyValue(key, value.encode(), create_revision=revision, mod_revision=revision)


def written(key: str, revision: int, value: str = "x") -> Event:
    return Event(EventKind.PUT, item(key, revision, value))


def deleted(key: str, revision: int) -> Event:
    return Event(EventKind.DELETE, KeyValue(key, b"", 0, revision, version=0))


def batch(*events: Event) -> Batch:
    return Batch(events[0].item.mod_revision, events)


def listing(*items: KeyValue, revision: int, cluster_id: int = 1) -> Listing:
    return Listing(items, revision, cluster_id=cluster_id)


def names(found: Batch) -> list[tuple[str, str]]:
    return [(event.kind.value, event.item.key) for event in found.events]


# Whole revisions.


def test_an_answer_with_several_revisions_gives_one_batch_for_each() -> None:
    found = Joiner().take([written("b", 5), written("a", 5), written("a", 7)], fragment=False)

    assert [(each.revision, names(each)) for each in found] == [
        (5, [("put", "a"), ("put", "b")]),
        (7, [("put", "a")]),
    ]


def test_the_newest_revision_of_a_fragment_waits_for_the_rest_of_it() -> None:
    joiner = Joiner()

    first = joiner.take([written("a", 5), written("a", 6)], fragment=True)
    second = joiner.take([written("b", 6), written("c", 6)], fragment=True)
    third = joiner.take([written("d", 6), written("a", 7)], fragment=False)

    assert [each.revision for each in first] == [5]
    assert second == []
    assert [(each.revision, len(each.events)) for each in third] == [(6, 4), (7, 1)]


def test_an_answer_without_events_gives_nothing() -> None:
    joiner = Joiner()

    assert joiner.take([], fragment=False) == []
    assert joiner.take([], fragment=True) == []
    assert [each.revision for each in joiner.take([written("a", 5)], fragment=False)] == [5]


# Moving on.


def test_the_first_list_is_delivered_whole_and_is_where_the_watch_begins() -> None:
    position = Position()

    found = position.relist(listing(item("a", 3), item("b", 4), revision=9, cluster_id=77))

    assert found == Batch(9, (written("a", 3), written("b", 4)), resync=True)
    assert (position.next_revision, position.cluster_id) == (10, 77)


def test_the_position_is_that_of_the_last_event() -> None:
    position = Position()
    position.relist(listing(revision=9))

    position.advance(batch(written("a", 12)))

    assert position.next_revision == 13


@pytest.mark.parametrize("revision", [9, 8, 1])
def test_a_revision_that_was_delivered_is_not_delivered_again(revision: int) -> None:
    position = Position()
    position.relist(listing(item("a", 3, "newer"), revision=9))

    assert position.advance(batch(written("a", revision, "older"))) is None

    assert position.next_revision == 10
    assert position.items["a"].value == b"newer"


# Listing again.


def test_a_list_that_differs_in_nothing_delivers_nothing_but_the_revision() -> None:
    position = Position()
    position.relist(listing(item("a", 3), revision=9))

    found = position.relist(listing(item("a", 3), revision=20))

    assert found == Batch(20, (), resync=True)
    assert position.next_revision == 21


def test_a_list_delivers_what_was_written_deleted_and_made_meanwhile() -> None:
    position = Position()
    position.relist(listing(item("changed", 1), item("gone", 2), item("same", 3), revision=9))
    position.advance(batch(written("later", 10)))
    position.advance(batch(deleted("gone", 11)))

    found = position.relist(
        listing(item("changed", 15), item("gone", 16), item("new", 17), item("same", 3), revision=20)
    )

    assert names(found) == [("put", "changed"), ("put", "gone"), ("delete", "later"), ("put", "new")]
    assert found.events[2].item.mod_revision == 20


def test_after_revisions_were_lost_the_same_revision_with_another_value_is_delivered() -> None:
    position = Position()
    position.relist(listing(item("a", 3, "before the restore"), item("b", 2), revision=9))

    found = position.relist(listing(item("a", 3, "after the restore"), item("b", 2), revision=4))

    assert names(found) == [("put", "a")]
    assert position.next_revision == 5


def test_a_key_made_again_with_the_same_value_is_delivered() -> None:
    """An owner key made again by the same router has the same value and another fencing token."""
    position = Position()
    position.relist(listing(item("owner", 3), revision=9))

    found = position.relist(listing(item("owner", 12), revision=12))

    assert names(found) == [("put", "owner")]
