"""Pages and their tokens. In scope: sizes, order, foreign tokens. Out of scope: what the store lists."""

import base64

import pytest

from controlplane.catalog.paging import PAGE_SIZE_DEFAULT, PAGE_SIZE_MAX, cut, page_of
from enchain.chains.errors import InvalidArgumentError

LETTERS = [chr(ord("a") + i) for i in range(7)]


def test_pages_put_together_are_the_whole_list_in_order() -> None:
    seen: list[str] = []
    token = ""
    while True:
        shown, token = cut(LETTERS, page_of("List", 3, token), str)
        seen += shown
        if not token:
            break

    assert seen == LETTERS


def test_what_is_inserted_and_deleted_meanwhile_neither_repeats_nor_hides_the_rest() -> None:
    _, token = cut(LETTERS, page_of("List", 3, ""), str)
    changed = sorted([*(letter for letter in LETTERS if letter not in "bc"), "a0"])

    shown, _ = cut(changed, page_of("List", 10, token), str)

    assert shown == ["d", "e", "f", "g"]


def test_the_last_page_has_no_token_even_where_it_is_full() -> None:
    _, token = cut(LETTERS, page_of("List", len(LETTERS), ""), str)

    assert token == ""


@pytest.mark.parametrize(
    ("asked", "given"), [(0, PAGE_SIZE_DEFAULT), (7, 7), (PAGE_SIZE_MAX + 1, PAGE_SIZE_MAX)]
)
def test_a_page_size_is_defaulted_and_capped(asked: int, given: int) -> None:
    assert page_of("List", asked, "").size == given


def test_a_negative_page_size_is_refused() -> None:
    with pytest.raises(InvalidArgumentError) as caught:
        page_of("List", -1, "")

    assert [fault.field for fault in caught.value.violations] == ["page_size"]


@pytest.mark.parametrize(
    "token",
    [
        page_of("ListOthers", 1, "").token("a"),
        "no base64 §",
        "abc",
        base64.urlsafe_b64encode(b"[1, 2]").decode(),
        base64.urlsafe_b64encode(b"\xff\xfe").decode(),
    ],
)
def test_a_token_of_another_query_or_made_up_is_refused(token: str) -> None:
    with pytest.raises(InvalidArgumentError) as caught:
        page_of("List", 1, token)

    assert caught.value.reason == "INVALID_PAGE_TOKEN"
    assert [fault.field for fault in caught.value.violations] == ["page_token"]


def test_a_position_that_should_be_a_number_and_is_none_is_refused() -> None:
    with pytest.raises(InvalidArgumentError):
        page_of("List", 1, page_of("List", 1, "").token("x")).number()
