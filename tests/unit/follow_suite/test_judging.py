"""The judge of the follow suite finds whatever a follower must not do, and nothing else."""

import pytest

from benchmarks.following.judging import judge
from benchmarks.following.lives import Life, difference, shared_up_to
from enchain.state.store import Batch, Event, EventKind, KeyValue


def put(key: str, revision: int, value: str = "x") -> Event:
    return Event(EventKind.PUT, KeyValue(key, value.encode(), revision, revision))


def deleted(key: str, revision: int) -> Event:
    return Event(EventKind.DELETE, KeyValue(key, b"", 0, revision, version=0))


def one(*events: Event) -> Batch:
    return Batch(events[0].item.mod_revision, events)


def listed(revision: int, *events: Event) -> Batch:
    return Batch(revision, events, resync=True)


A2, AB3, C4, A5 = put("/r/a", 2), (put("/r/a", 3), put("/r/b", 3)), put("/r/c", 4), deleted("/r/a", 5)
LIFE = Life([one(A2), one(*AB3), one(C4), one(A5)])
GOOD = [listed(2, A2), one(*AB3), one(C4), one(A5)]
RESTORED = Life([one(A2), one(put("/r/b", 3, "other")), one(put("/r/d", 9))])


def verdict(*delivered: Batch, lives: tuple[Life, ...] = (LIFE,), name: str = "/r/") -> str:
    return judge(name, lives, delivered).complaint


def test_what_really_happened_is_accepted() -> None:
    assert verdict(*GOOD) == ""
    assert verdict(one(A2), *GOOD) == "/r/: revision 2 came before the first list"
    assert judge("/r/", [LIFE], GOOD).revisions == 3


def test_a_follower_may_begin_anywhere() -> None:
    assert verdict(listed(1), one(A2), *GOOD[1:]) == ""
    assert verdict(listed(9, AB3[1], C4)) == ""


@pytest.mark.parametrize(
    ("delivered", "complaint"),
    [
        ([], "nothing was delivered"),
        (GOOD[:2], "lost at the end: revision 4"),
        ([GOOD[0], *GOOD[2:]], "lost: revision 3 was due at 2, 4 came"),
        ([*GOOD[:2], *GOOD[1:]], "revision 3 came again, at 3"),
        ([GOOD[0], GOOD[2], GOOD[1], GOOD[3]], "lost: revision 3 was due at 2"),
        ([GOOD[0], one(AB3[0]), one(AB3[1])], "revision 3 came split or changed"),
        ([GOOD[0], one(put("/r/a", 3, "y"), AB3[1])], "revision 3 came split or changed"),
        ([*GOOD, one(put("/r/a", 6))], "revision 6 came behind the end"),
    ],
)
def test_what_did_not_happen_so_is_refused(delivered: list[Batch], complaint: str) -> None:
    assert complaint in verdict(*delivered)


def test_a_later_list_may_tell_only_the_difference() -> None:
    assert verdict(GOOD[0], listed(4, *AB3, C4), GOOD[3]) == ""
    assert "does not tell the difference" in verdict(GOOD[0], listed(4, *AB3, C4, A2), GOOD[3])
    assert "does not tell the difference" in verdict(GOOD[0], listed(4, *AB3), GOOD[3])
    assert "does not tell the difference" in verdict(*GOOD[:3], listed(3, deleted("/r/c", 3)), *GOOD[2:])


def test_a_follower_sees_only_what_lies_under_its_prefix() -> None:
    assert verdict(listed(2), one(AB3[1]), name="/r/b") == ""
    assert "lost" in verdict(listed(2), name="/r/b")


def test_after_a_restore_a_follower_must_come_to_the_new_life() -> None:
    lives = (LIFE, RESTORED)
    change = difference(LIFE.state_at(4), RESTORED.state_at(9), 9)

    assert verdict(*GOOD[:3], listed(9, *change), lives=lives) == ""
    assert "earlier life" in verdict(*GOOD, lives=lives)
    assert "came" in verdict(*GOOD, one(put("/r/d", 9)), lives=lives)


def test_a_follower_that_had_seen_nothing_of_what_is_lost_may_simply_go_on() -> None:
    assert verdict(GOOD[0], *RESTORED.batches[1:], lives=(LIFE, RESTORED)) == ""


def test_a_follower_may_go_on_where_two_lives_came_to_the_same() -> None:
    deleted_in_both = Life([one(A2), one(deleted("/r/a", 3)), one(put("/r/a", 9))])
    lives = (Life([one(A2), one(deleted("/r/a", 4))]), deleted_in_both)

    assert verdict(listed(2, A2), one(deleted("/r/a", 4)), one(put("/r/a", 9)), lives=lives) == ""
    assert "came" in verdict(listed(2, A2), one(put("/r/a", 9)), lives=lives)


def test_lives_are_the_same_up_to_their_first_difference() -> None:
    assert shared_up_to(LIFE, RESTORED) == 3
    assert shared_up_to(LIFE, Life(LIFE.batches[:2])) == 4
    assert shared_up_to(LIFE, LIFE) == float("inf")
