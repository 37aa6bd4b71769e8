"""What a decision answers, and how it is committed.

Catalogues call `commit` with a function that reads and decides. Somebody else may commit between the
reading and the writing; then the compares fail, and the function is called again. Nothing is ever forced.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Generic, TypeVar

from ulid import ULID

from enchain.chains.errors import ConflictError, UnsettledError
from enchain.process.clock import Clock
from enchain.process.logs import get_logger
from enchain.state.store import Compare, Delete, Put, Store, Txn

_log = get_logger(__name__)

ATTEMPTS_MAX = 8
"""Decisions that may lose the race in a row. Past that somebody writes in a loop, and the caller should
know."""

A = TypeVar("A")


@dataclass(frozen=True, slots=True)
class Stamp:
    """When a decision is made, and a ULID that nothing else has."""

    now: datetime
    ulid: str


Stamper = Callable[[], Stamp]
"""Gives each decision its stamp. `stamper` makes the usual one; tests count up."""


def stamper(clock: Clock) -> Stamper:
    """Stamp by a clock, with ULIDs of that time."""

    def stamp() -> Stamp:
        now = clock.now()
        return Stamp(now, str(ULID.from_datetime(now)))

    return stamp


@dataclass(frozen=True, slots=True)
class Change(Generic[A]):
    """A decision: what to write if everything is still as it was read.

    Attributes:
        answer: What the caller is told once it is written.
        compares: What must still hold.
        writes: What to put and delete; empty where nothing has to change.
        audit: The record of it, written with the rest. Its key is new, so it also tells whether a transaction
            without an answer was carried out.
    """

    answer: A
    compares: tuple[Compare, ...] = ()
    writes: tuple[Put | Delete, ...] = ()
    audit: Put | None = None


async def commit(
    store: Store, decide: Callable[[], Awaitable[Change[A]]], *, validate_only: bool = False
) -> A:
    """Decide and write, again while others are faster.

    Raises:
        ConflictError: Others were faster `ATTEMPTS_MAX` times in a row.
    """
    for _ in range(ATTEMPTS_MAX):
        change = await decide()
        if validate_only or not change.writes:
            return change.answer
        if await _written(store, change):
            _log.info("change committed", keys=[write.key for write in change.writes])
            return change.answer
    raise ConflictError(
        f"others changed the same thing {ATTEMPTS_MAX} times in a row",
        reason="CONTENDED",
        remedy="Try again.",
        retry_after=1.0,
    )


async def _written(store: Store, change: Change[A]) -> bool:
    """Write a change; false where somebody was faster."""
    audit = () if change.audit is None else (change.audit,)
    try:
        result = await store.commit(Txn(compares=change.compares, success=(*change.writes, *audit)))
    except UnsettledError:
        # No answer: the audit record, which only this transaction writes, tells what came of it. Where it is
        # absent the transaction may still arrive late; then the compares of the next attempt fail, and the
        # decision after that finds its work done.
        if change.audit is None:
            raise
        return await store.get(change.audit.key) is not None
    return result.succeeded
