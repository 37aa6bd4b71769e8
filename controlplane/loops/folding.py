"""Folding a batch of outbox entries into the statistics of all readers. Pure.

`outbox.py` calls it and does what it decides: here is what a batch adds up to and how many entries one takes.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from google.protobuf.message import Message

from controlplane.loops.readers import DependentReader, Reader
from enchain.chains.errors import MalformedError
from enchain.v1 import operation_pb2

Entry = operation_pb2.OutboxEntry

ENTRIES_MAX = 50
"""Entries of one batch. Each takes a compare and a deletion, and etcd takes 128 of each."""

PLACES_MAX = 32
"""Statistics that one batch may write; each takes a compare and a put, and milliseconds to be spelled out.

What it belongs to takes another compare.
"""

AHEAD_MAX = timedelta(hours=1)
"""How far a router's clock may be ahead. One date far off would push every count out of a window."""


@dataclass(frozen=True, slots=True, order=True)
class Place:
    """Where a statistic belongs: a reader and a subject of its."""

    reader: str
    subject: str


def check(entry: Entry, now: datetime) -> None:
    """Refuse entries that no reader could make sense of.

    Raises:
        MalformedError: It has no time of admission, or one in the future.
    """
    if not entry.HasField("create_time"):
        raise MalformedError("the entry does not say when its operation was admitted", reason="NO_TIME")
    latest = int((now + AHEAD_MAX).timestamp())
    if not 0 < entry.create_time.seconds <= latest or entry.end_time.seconds > latest:
        raise MalformedError(
            "the entry's operation was admitted or ended at a time that cannot be",
            reason="IMPOSSIBLE_TIME",
            metadata={
                "create_time": str(entry.create_time.seconds),
                "end_time": str(entry.end_time.seconds),
            },
        )


def places(readers: Sequence[Reader], entry: Entry) -> list[Place]:
    """The statistics that an entry adds to.

    Raises:
        MalformedError: A reader cannot make sense of it, or it adds to more than a transaction may write.
    """
    found = [
        Place(reader.name, subject) for reader in readers for subject in sorted({*reader.subjects(entry)})
    ]
    if len(found) > PLACES_MAX:
        raise MalformedError(f"the entry adds to {len(found)} statistics", reason="TOO_MANY_STATISTICS")
    return found


def fitting(wanted: Sequence[Sequence[Place]]) -> int:
    """How many of the first entries, given by their places, make one batch: one at least."""
    taken: set[Place] = set()
    for count, found in enumerate(wanted):
        taken.update(found)
        if count and (count == ENTRIES_MAX or len(taken) > PLACES_MAX):
            return count
    return len(wanted)


def owner_of(readers: Mapping[str, DependentReader], place: Place) -> Place | None:
    """The document that a statistic belongs to, as reader and path; None where it belongs to none."""
    reader = readers.get(place.reader)
    path = reader.document_of(place.subject) if reader is not None else ""
    return Place(place.reader, path) if path else None


def belonging(
    readers: Mapping[str, DependentReader],
    documents: Mapping[Place, Message | None],
    entry: Entry,
    found: Sequence[Place],
) -> list[Place]:
    """The places of an entry, without those to whose documents it does not belong.

    Args:
        readers: Those whose statistics belong to documents, by name.
        documents: As they stand; None: there is none. Of what is missing nothing is known, and then
            an entry belongs to it.
        entry: What is folded.
        found: Its places.
    """
    kept = []
    for place in found:
        owner = owner_of(readers, place)
        if owner is None or owner not in documents or readers[place.reader].belongs(entry, documents[owner]):
            kept.append(place)
    return kept


def fold(
    readers: Sequence[Reader],
    known: Mapping[Place, Message],
    entries: Sequence[Entry],
    wanted: Sequence[Sequence[Place]],
) -> dict[Place, Message]:
    """Add a batch to all statistics that it concerns.

    Args:
        readers: Those who learn.
        known: The statistics as they stand; what is missing is empty.
        entries: The batch.
        wanted: The places of each entry, as they were when `known` was read.
    """
    by_name = {reader.name: reader for reader in readers}
    concerned: dict[Place, list[Entry]] = {}
    for entry, found in zip(entries, wanted, strict=True):
        for place in found:
            concerned.setdefault(place, []).append(entry)
    return {
        place: by_name[place.reader].fold(
            known[place] if place in known else by_name[place.reader].empty(place.subject), those
        )
        for place, those in sorted(concerned.items())
    }
