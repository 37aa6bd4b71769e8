"""Where a follower is and what it has delivered: the deciding part of `follow`. Pure.

`follow` and the etcd adapter call it; nothing here waits, reads a clock or talks to a store.

The rule that everything hangs on: a follower's position is the revision of the last event that it
delivered, and the revision in an answer's header never is. etcd catches a follower up in answers of at
most 1000 revisions, each with the store's *newest* revision in its header; before etcd 3.5.8 even progress
answers overtake events. Whoever goes on from a header's revision after a cut loses all that lies between,
and nothing tells.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from enchain.state.store import Batch, Event, EventKind, KeyValue, Listing


@dataclass(slots=True)
class Joiner:
    """Joins the answers of one watch into whole revisions.

    A large revision may come in several answers, all but the last marked as fragments. Events come in
    order of revision, so every revision but the newest of a fragment is whole at once; that one is held back.
    """

    _held: list[Event] = field(default_factory=list)

    def take(self, events: Sequence[Event], *, fragment: bool) -> list[Batch]:
        """Take the events of one answer; answer the revisions that are whole now."""
        self._held.extend(events)
        if not self._held:
            return []
        newest = self._held[-1].item.mod_revision if fragment else None
        whole = [event for event in self._held if event.item.mod_revision != newest]
        self._held = [event for event in self._held if event.item.mod_revision == newest]
        return by_revision(whole)


def by_revision(events: Iterable[Event]) -> list[Batch]:
    """Split events, which are in order of revision, into one batch for each revision."""
    grouped: dict[int, list[Event]] = {}
    for event in events:
        grouped.setdefault(event.item.mod_revision, []).append(event)
    return [Batch(revision, in_key_order(group)) for revision, group in grouped.items()]


def in_key_order(events: Iterable[Event]) -> tuple[Event, ...]:
    """Sort events of one revision by key."""
    return tuple(sorted(events, key=lambda event: event.item.key))


@dataclass(slots=True)
class Position:
    """What one follower has delivered.

    Attributes:
        revision: The revision delivered last; 0 before the first list.
        cluster_id: The cluster whose revision it is; 0 where that is not known.
        newest: The newest revision that the store spoke of: how far behind this is, and never where to go on.
        items: Every key as it was delivered last, the deleted ones left out.
    """

    revision: int = 0
    cluster_id: int = 0
    newest: int = 0
    items: dict[str, KeyValue] = field(default_factory=dict)

    @property
    def next_revision(self) -> int:
        """The revision to watch from."""
        return self.revision + 1

    @property
    def witness(self) -> KeyValue | None:
        """The key that was written last of those that there are, by which one knows a store again."""
        return max(self.items.values(), key=lambda item: (item.mod_revision, item.key), default=None)

    def holds_the_same_keys(self, listing: Listing) -> bool:
        """Say whether a list, values left out, has the same keys with the same revisions."""
        return sorted(map(_identity, listing.items)) == sorted(map(_identity, self.items.values()))

    def advance(self, batch: Batch) -> Batch | None:
        """Take a revision from a watch; answer it, or None where it was delivered before."""
        if batch.revision <= self.revision:
            return None
        for event in batch.events:
            if event.kind is EventKind.PUT:
                self.items[event.item.key] = event.item
            else:
                self.items.pop(event.item.key, None)
        self.revision = batch.revision
        self.newest = max(self.newest, batch.newest)
        return batch

    def relist(self, listing: Listing) -> Batch:
        """Take a list of everything; answer only what differs from what was delivered.

        Keys are compared whole, not by revision alone: in a store that was restored from a backup the same
        revision may hold another value. The list's revision becomes the position, also where it is lower.
        """
        found = {item.key: item for item in listing.items}
        put = [Event(EventKind.PUT, item) for key, item in found.items() if self.items.get(key) != item]
        gone = [
            Event(EventKind.DELETE, KeyValue(key, b"", 0, listing.revision, version=0))
            for key in self.items.keys() - found.keys()
        ]
        self.items = found
        self.revision = self.newest = listing.revision
        self.cluster_id = listing.cluster_id
        return Batch(listing.revision, in_key_order([*put, *gone]), resync=True, newest=listing.revision)


def _identity(item: KeyValue) -> tuple[str, int, int, int]:
    return item.key, item.create_revision, item.mod_revision, item.version
