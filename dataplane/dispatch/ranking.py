"""Who takes up an operation first that lost its owner: rendezvous hashing over the routers. Pure.

Adoption calls it. Every router ranks all of them alike, so that they try one after the other instead of
all at once.
"""

import hashlib
from collections.abc import Iterable

DELAY_SECONDS = 0.4
"""How long each router waits for the one ranked before it."""

RANKS_MAX = 8
"""Ranks behind this one wait no longer: somebody must try even where the list of routers is wrong."""


def rank(operation: str, router: str, routers: Iterable[str]) -> int:
    """Answer this router's rank for an operation, from 0."""
    mine = _weight(operation, router)
    return sum(_weight(operation, other) > mine for other in routers if other != router)


def delay(operation: str, router: str, routers: Iterable[str]) -> float:
    """Answer how many seconds to wait before trying."""
    return min(rank(operation, router, routers), RANKS_MAX) * DELAY_SECONDS


def _weight(operation: str, router: str) -> bytes:
    return hashlib.sha256(f"{operation}/{router}".encode()).digest()
