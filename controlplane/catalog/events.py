"""Planned events: what people know beforehand about demand.

`controlplane.rpc.events` calls it, and forecasting reads what it keeps. One that is over stays: it is what
the next of its type is learned from.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

from controlplane.catalog.audit import Caller, record
from controlplane.catalog.changes import Change, Stamp, Stamper, commit
from controlplane.catalog.documents import Document, check_etag, read, readable, same, scan, write
from controlplane.catalog.event_rules import check
from controlplane.catalog.masks import without
from controlplane.catalog.paging import Page, cut
from controlplane.catalog.removal import not_found
from enchain.chains.errors import (
    AlreadyExistsError,
    ExhaustedError,
    InvalidArgumentError,
    NotFoundError,
    Violation,
)
from enchain.chains.names import PlannedEventName
from enchain.state import keys
from enchain.state.store import Compare, Delete, Store, created_at
from enchain.v1 import event_pb2

OUTPUT_ONLY = frozenset({"name", "etag", "create_time", "update_time"})

EVENTS_MAX = 1000
"""Events of one workload. Two that are created at once may pass it by one: it bounds work, no more."""

YEAR_ONE_SECONDS = 62_135_596_800
"""From the beginning of the calendar to that of the epoch, so that every start is a positive number."""

Events = Sequence[event_pb2.PlannedEvent]


@dataclass(frozen=True, slots=True)
class Found:
    """What stands before an event is written.

    Attributes:
        key: Where the event belongs.
        event: Its document; None where there is none.
        workload: Condition: its workload is still the one that was seen.
    """

    key: str
    event: Document[event_pb2.PlannedEvent] | None
    workload: Compare


class EventCatalog:
    """The planned events of all workloads.

    Args:
        store: Where they are kept.
        stamp: Gives time and id to each decision.
    """

    def __init__(self, store: Store, stamp: Stamper) -> None:
        self._store = store
        self._stamp = stamp

    async def create(
        self,
        name: PlannedEventName,
        sent: event_pb2.PlannedEvent,
        caller: Caller,
        *,
        validate_only: bool = False,
    ) -> event_pb2.PlannedEvent:
        """Write a new event. Creating again what is there already answers it.

        Raises:
            NotFoundError: There is no such workload.
            AlreadyExistsError: There is another event of that name.
            InvalidArgumentError: It is wrong; every fault is listed.
            ExhaustedError: The workload has too many.
        """
        if sent.name not in ("", str(name)):
            fault = Violation("event.name", f"it is not {name}", "NAMES_DIFFER")
            raise InvalidArgumentError(fault.description, reason=fault.reason, violations=[fault])
        check(sent)

        async def decide() -> Change[event_pb2.PlannedEvent]:
            found = await self._find(name)
            change = decide_save(name, sent, found, self._stamp(), caller)
            if found.event is not None and change.writes:
                raise _exists(name)
            return change

        return await commit(self._store, decide, validate_only=validate_only)

    async def update(
        self,
        sent: event_pb2.PlannedEvent,
        caller: Caller,
        *,
        allow_missing: bool = False,
        validate_only: bool = False,
    ) -> event_pb2.PlannedEvent:
        """Replace an event.

        Raises:
            NotFoundError: There is none and `allow_missing` is not set, or there is no such workload.
            ConflictError: It has changed since it was read.
            InvalidArgumentError: It is wrong; every fault is listed.
            ExhaustedError: It is new, and the workload has too many.
        """
        name = PlannedEventName.parse(sent.name, "event.name")
        check(sent)

        async def decide() -> Change[event_pb2.PlannedEvent]:
            found = await self._find(name)
            if found.event is not None:
                check_etag(sent.etag, found.event, str(name))
            elif sent.etag or not allow_missing:
                raise _missing(name)
            return decide_save(name, sent, found, self._stamp(), caller)

        return await commit(self._store, decide, validate_only=validate_only)

    async def get(self, name: PlannedEventName) -> event_pb2.PlannedEvent:
        """Answer one event.

        Raises:
            NotFoundError: There is none.
        """
        document = await self._read(name)
        if document is None:
            raise _missing(name)
        return _named(document)

    async def list(self, workload: str, page: Page) -> tuple[Events, str]:
        """Answer a page of a workload's events (of all where it is empty) by their start, and the token."""
        found = sorted(await planned_events(self._store, workload), key=_position)
        return cut(found, page, _position)

    async def delete(
        self, name: PlannedEventName, etag: str, caller: Caller, *, validate_only: bool = False
    ) -> None:
        """Delete an event. What was learned from it stays.

        Raises:
            NotFoundError: There is none.
            ConflictError: It has changed since it was read.
        """
        await commit(
            self._store, partial(self._decide_delete, name, etag, caller), validate_only=validate_only
        )

    async def _decide_delete(self, name: PlannedEventName, etag: str, caller: Caller) -> Change[None]:
        document = await self._read(name)
        if document is None:
            raise _missing(name)
        check_etag(etag, document, str(name))
        audit = record(self._stamp(), caller, str(name), before=document.message, after=None)
        return Change(None, (same(document, document.key),), (Delete(document.key),), audit)

    async def _find(self, name: PlannedEventName) -> Found:
        """Read what a decision rests on.

        Raises:
            NotFoundError: There is no such workload.
            ExhaustedError: The event is new, and the workload has too many.
        """
        item = await self._store.get(keys.workload(name.workload))
        if item is None:
            raise not_found(name.workload)
        document = await self._read(name)
        if document is None:
            await self._refuse_too_many(name)
        # Edits of the workload are no matter here; that it was deleted meanwhile is.
        return Found(_key(name), document, created_at(item.key, item.create_revision))

    async def _refuse_too_many(self, name: PlannedEventName) -> None:
        prefix = keys.planned_events_of(name.workload)
        count = 0
        async for _ in scan(self._store, prefix, keys_only=True):
            count += 1
        if count >= EVENTS_MAX:
            raise ExhaustedError(
                f"workloads/{name.workload} has {count} planned events, which is the most",
                reason="TOO_MANY_EVENTS",
                remedy="Delete the oldest ones; what was learned from them stays.",
                metadata={"subject": f"workloads/{name.workload}", "limit": str(EVENTS_MAX)},
            )

    async def _read(self, name: PlannedEventName) -> Document[event_pb2.PlannedEvent] | None:
        return await read(self._store, event_pb2.PlannedEvent, _key(name))


async def planned_events(store: Store, workload: str = "") -> Events:
    """Read all events of a workload, or of all where it is empty, in the order of their keys."""
    prefix = keys.planned_events_of(workload) if workload else keys.EVENTS
    items = [item async for item in scan(store, prefix)]
    return [_named(document) for document in readable(event_pb2.PlannedEvent, items)]


def decide_save(
    name: PlannedEventName, wanted: event_pb2.PlannedEvent, found: Found, stamp: Stamp, caller: Caller
) -> Change[event_pb2.PlannedEvent]:
    """Decide what to write for an event that was checked: nothing where nothing differs."""
    saved = event_pb2.PlannedEvent()
    saved.CopyFrom(wanted)
    saved.name = str(name)
    saved.create_time.FromDatetime(stamp.now)
    saved.update_time.FromDatetime(stamp.now)
    before = found.event.message if found.event else None
    if before is not None:
        saved.create_time.CopyFrom(before.create_time)
        if without(saved, OUTPUT_ONLY) == without(before, OUTPUT_ONLY):
            return Change(before)
    put = write(found.key, saved)
    audit = record(stamp, caller, saved.name, before=before, after=saved)
    return Change(saved, (same(found.event, found.key), found.workload), (put,), audit)


def _key(name: PlannedEventName) -> str:
    return keys.planned_event(name.workload, name.event)


def _position(event: event_pb2.PlannedEvent) -> str:
    return f"{event.start_time.seconds + YEAR_ONE_SECONDS:012d} {event.name}"


def _named(document: Document[event_pb2.PlannedEvent]) -> event_pb2.PlannedEvent:
    """Name an event by its key; one put by hand may have left its name out."""
    workload, _, event = document.key.removeprefix(keys.EVENTS).partition("/")
    document.message.name = str(PlannedEventName(workload, event))
    return document.message


def _missing(name: PlannedEventName) -> NotFoundError:
    return NotFoundError(
        f"there is no {name}",
        reason="EVENT_NOT_FOUND",
        remedy=f"List the events of the workload: enchain events list {name.workload}.",
        metadata={"name": str(name)},
    )


def _exists(name: PlannedEventName) -> AlreadyExistsError:
    return AlreadyExistsError(
        f"{name} exists and is another one",
        reason="EVENT_EXISTS",
        remedy="Update it instead, or take another id.",
        metadata={"name": str(name)},
    )
