"""A follower, whatever happens between it and the store, ends up with what the store holds.

The store is the memory store's pure state; connections break at any event, answers are cut into fragments
at any place, history is compacted at any revision. Checked after every history: nothing missing, nothing
twice.
"""

from hypothesis import given
from hypothesis import strategies as st

from enchain.state.memory_state import MemoryState
from enchain.state.position import Joiner, Position
from enchain.state.store import Batch, Delete, Event, EventKind, KeyValue, Listing, Op, Put, Txn

KEYS = ("a", "b", "c")
CHANGES = st.dictionaries(st.sampled_from(KEYS), st.sampled_from(["put", "delete"]), min_size=1)
READS = st.tuples(
    st.integers(min_value=1, max_value=9),  # events in a fragment
    st.integers(min_value=0, max_value=12),  # fragments until the connection breaks
)
STEPS = st.one_of(CHANGES, READS, st.just("compact"))


@given(st.lists(STEPS, max_size=40))
def test_a_follower_has_what_the_store_has_and_got_each_revision_once(steps: list[object]) -> None:
    state, position = MemoryState(), Position()
    delivered: list[Batch] = [position.relist(everything(state))]
    count = 0
    for step in steps:
        if isinstance(step, dict):
            count += 1
            state.commit(Txn(success=tuple(operation(key, kind, count) for key, kind in step.items())))
        elif isinstance(step, tuple):
            delivered += read_some(state, position, *step)
        elif state.revision > state.compacted:
            state.compact(state.revision)

    delivered += read_some(state, position, 100, 100)

    assert position.items == state.items
    assert replay(delivered) == {key: item.value for key, item in state.items.items()}
    revisions = [batch.revision for batch in delivered if not batch.resync]
    assert revisions == sorted(set(revisions))


def operation(key: str, kind: str, count: int) -> Op:
    return Put(key, str(count).encode()) if kind == "put" else Delete(key)


def everything(state: MemoryState) -> Listing:
    return Listing(tuple(state.items[key] for key in sorted(state.items)), state.revision)


def read_some(state: MemoryState, position: Position, size: int, fragments: int) -> list[Batch]:
    """Do what the follow loop does over one connection that breaks after so many fragments."""
    if position.next_revision < state.compacted:
        return [position.relist(everything(state))]
    events: list[Event] = [event for batch in state.since(position.next_revision) for event in batch.events]
    joiner, found = Joiner(), []
    pieces = [events[start : start + size] for start in range(0, len(events), size)][:fragments]
    for piece in pieces:
        is_last = piece[-1] is events[-1]
        for batch in joiner.take(piece, fragment=not is_last):
            fresh = position.advance(batch)
            assert fresh is not None, "a store without faults sends nothing twice"
            assert fresh.events == whole(state, batch.revision), "a revision comes whole or not at all"
            found.append(fresh)
    return found


def whole(state: MemoryState, revision: int) -> tuple[Event, ...]:
    return next(batch for batch in state.since(revision)).events


def replay(batches: list[Batch]) -> dict[str, bytes]:
    items: dict[str, KeyValue] = {}
    for batch in batches:
        for event in batch.events:
            if event.kind is EventKind.PUT:
                items[event.item.key] = event.item
            else:
                items.pop(event.item.key, None)
    return {key: item.value for key, item in items.items()}
