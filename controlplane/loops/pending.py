"""Outbox entries that were seen and wait to be folded: bounded, and never the truth. Pure.

The folding loop's follower fills it, the loop empties it. Where more come than it holds they are forgotten,
and the outbox is swept instead, which finds them all.
"""

from enchain.state.store import Batch, EventKind, KeyValue

PENDING_MAX = 2000
"""Entries of at most 2 KiB."""


class Pending:
    """A queue without doubles.

    Args:
        size_max: How many it holds; what comes beyond is forgotten, and a sweep asked for.

    Attributes:
        sweep: The outbox must be swept: something may be in it that is not in here.
        overflows: How often it was full.
    """

    def __init__(self, size_max: int = PENDING_MAX) -> None:
        self._size_max = size_max
        self._items: dict[str, KeyValue] = {}
        self.sweep = False
        self.overflows = 0

    def __len__(self) -> int:
        return len(self._items)

    def note(self, batch: Batch) -> None:
        """Take what a follower saw."""
        for event in batch.events:
            if event.kind is EventKind.DELETE:
                self._items.pop(event.item.key, None)
            elif len(self._items) < self._size_max or event.item.key in self._items:
                self._items[event.item.key] = event.item
            elif not self.sweep:
                self.sweep = True
                self.overflows += 1

    def take(self, count: int) -> list[KeyValue]:
        """Take out the oldest."""
        return [self._items.pop(key) for key in list(self._items)[:count]]

    def clear(self) -> None:
        """Forget all: a sweep begins, and finds them."""
        self._items.clear()
        self.sweep = False
