"""Pages: how long lists are handed out.

Every `List` method calls it. A page token is opaque and bound to the query that it was made for: sent with
another one it is refused instead of giving a page of something else. Pages follow the order of keys, so that
what is inserted or deleted meanwhile neither repeats nor hides anything else.
"""

import base64
import binascii
import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeVar

from enchain.chains.errors import InvalidArgumentError, Violation

PAGE_SIZE_DEFAULT = 50
PAGE_SIZE_MAX = 1000

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Page:
    """One page asked for: of which query, how many, and after which position."""

    query: str
    size: int
    after: str = ""

    def token(self, position: str) -> str:
        """Make the token of the page that follows a position."""
        content = json.dumps([_fingerprint(self.query), position], separators=(",", ":"))
        return base64.urlsafe_b64encode(content.encode()).decode().rstrip("=")

    def number(self) -> int | None:
        """Answer the position where it is a number; None on the first page.

        Raises:
            InvalidArgumentError: It is no number, so the token was made up.
        """
        if not self.after:
            return None
        if not self.after.isdecimal():
            raise _refused("page_token", "was not made for this query", "INVALID_PAGE_TOKEN")
        return int(self.after)


def page_of(query: str, page_size: int, page_token: str) -> Page:
    """Read what a request says of the page it wants.

    Args:
        query: The method and everything that decides what is listed, page size and token left out.
        page_size: 0 means the default; more than the maximum means the maximum.
        page_token: From the page before; empty for the first.

    Raises:
        InvalidArgumentError: The size is negative, or the token is not one that was made for this query.
    """
    if page_size < 0:
        raise _refused("page_size", "is negative", "INVALID_PAGE_SIZE")
    size = min(page_size or PAGE_SIZE_DEFAULT, PAGE_SIZE_MAX)
    return Page(query, size, _position(query, page_token) if page_token else "")


def cut(items: Sequence[T], page: Page, position: Callable[[T], str]) -> tuple[Sequence[T], str]:
    """Cut one page out of a whole list that is sorted by `position`; answer it with the next page's token."""
    rest = [item for item in items if position(item) > page.after]
    shown = rest[: page.size]
    return shown, page.token(position(shown[-1])) if len(rest) > len(shown) else ""


def _fingerprint(query: str) -> str:
    return hashlib.sha256(query.encode()).hexdigest()[:16]


def _position(query: str, token: str) -> str:
    try:
        content = json.loads(base64.b64decode(token + "=" * (-len(token) % 4), altchars=b"-_", validate=True))
    except (binascii.Error, ValueError):
        content = None
    match content:
        case [str(fingerprint), str(position)] if fingerprint == _fingerprint(query):
            return position
    raise _refused("page_token", "was not made for this query", "INVALID_PAGE_TOKEN")


def _refused(field: str, fault: str, reason: str) -> InvalidArgumentError:
    return InvalidArgumentError(
        f"{field} {fault}",
        reason=reason,
        remedy="Ask for the first page again.",
        violations=[Violation(field, fault, reason)],
    )
