"""What really happened to the store: its lives, and what a follower may have seen of them. Pure.

A store that is restored from a backup begins a new life, which shares its first revisions with the one
before. `judging` asks what holds in which life.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from enchain.state.position import in_key_order
from enchain.state.store import Batch, Event, EventKind, KeyValue, is_prefix

State = dict[str, KeyValue]


def lies_under(key: str, name: str) -> bool:
    """Say whether a key is meant by a prefix, or by the name of one key."""
    return key.startswith(name) if is_prefix(name) else key == name


def apply(state: State, events: Iterable[Event]) -> None:
    """Do to a state what events say."""
    for event in events:
        if event.kind is EventKind.PUT:
            state[event.item.key] = event.item
        else:
            state.pop(event.item.key, None)


def difference(old: State, new: State, revision: int) -> tuple[Event, ...]:
    """Answer the events that a list at a revision stands for, where the old state was delivered before."""
    put = [Event(EventKind.PUT, item) for key, item in new.items() if old.get(key) != item]
    gone = [
        Event(EventKind.DELETE, KeyValue(key, b"", 0, revision, version=0)) for key in old.keys() - new.keys()
    ]
    return in_key_order([*put, *gone])


@dataclass(slots=True)
class Life:
    """One unbroken history of the store, under one prefix or one key, in order of revision."""

    batches: list[Batch] = field(default_factory=list)

    def under(self, name: str) -> "Life":
        """Answer what of it a follower of a prefix or key sees."""
        seen = [
            Batch(batch.revision, events)
            for batch in self.batches
            if (events := tuple(event for event in batch.events if lies_under(event.item.key, name)))
        ]
        return Life(seen)

    def after(self, revision: int) -> Batch | None:
        """Answer the first batch after a revision; None where there is none."""
        return next((batch for batch in self.batches if batch.revision > revision), None)

    def state_at(self, revision: int) -> State:
        """Answer the keys as they were at a revision."""
        state: State = {}
        for batch in self.batches:
            if batch.revision > revision:
                break
            apply(state, batch.events)
        return state

    @property
    def last(self) -> int:
        """The last revision; 0 where there is none."""
        return self.batches[-1].revision if self.batches else 0


def shared_up_to(one: Life, other: Life) -> float:
    """Answer the revision below which two lives are the same; infinite where they never differ."""
    for left, right in zip(one.batches, other.batches, strict=False):
        if left != right:
            return min(left.revision, right.revision)
    shorter = min(len(one.batches), len(other.batches))
    rest: Sequence[Batch] = (one.batches if len(one.batches) > shorter else other.batches)[shorter:]
    return rest[0].revision if rest else float("inf")
