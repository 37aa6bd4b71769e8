"""Judges what one follower delivered, batch by batch, against the lives of the store. Pure.

`running` calls it at the end of a run. It knows nothing of how a follower works: only what one may deliver.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from benchmarks.following.lives import Life, State, apply, difference, shared_up_to
from enchain.state.store import Batch

SHOWN = 3
"""Events that a complaint shows."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """What was found: a complaint, or that all is well.

    Attributes:
        complaint: Empty where nothing was lost, doubled, disordered or split.
        revisions: Revisions that came one by one.
        relists: Lists, the first included.
    """

    complaint: str
    revisions: int
    relists: int


def judge(name: str, lives: Sequence[Life], delivered: Sequence[Batch]) -> Verdict:
    """Judge a follower of a prefix or key."""
    judgement = _Judgement([life.under(name) for life in lives])
    complaint = next(filter(None, map(judgement.take, delivered)), "") or judgement.end()
    relists = sum(batch.resync for batch in delivered)
    return Verdict(f"{name}: {complaint}" if complaint else "", len(delivered) - relists, relists)


class _Judgement:
    """Where a follower may be: at one revision, in one or several lives that all fit so far."""

    def __init__(self, lives: Sequence[Life]) -> None:
        self._lives = lives
        self._fitting = {0}
        self._position = -1
        self._state: State = {}
        self._next = [0] * len(lives)
        self._shared = [[shared_up_to(one, other) for other in lives] for one in lives]

    def take(self, batch: Batch) -> str:
        """Take a batch; answer what is wrong with it, or nothing."""
        if self._position < 0 and not batch.resync:
            return f"revision {batch.revision} came before the first list"
        fits = self._fits_list if batch.resync else self._fits_next
        fitting = {n for n in range(min(self._fitting), len(self._lives)) if fits(n, batch)}
        if not fitting:
            return self._complaint(batch)
        self._fitting = fitting
        self._position = batch.revision
        apply(self._state, batch.events)
        return ""

    def end(self) -> str:
        """Answer what is missing at the end, or nothing."""
        last = len(self._lives) - 1
        if self._position < 0:
            return "nothing was delivered"
        if not self._reachable(last):
            return f"it still follows an earlier life of the store, at revision {self._position}"
        missing = self._lives[last].after(self._position)
        if missing is not None:
            return f"lost at the end: revision {missing.revision} and all after it"
        if self._state != self._lives[last].state_at(self._position):
            return "its state is not the store's"
        return ""

    def _fits_next(self, life: int, batch: Batch) -> bool:
        return self._reachable(life) and self._after(life) == batch

    def _fits_list(self, life: int, batch: Batch) -> bool:
        if life in self._fitting and batch.revision < self._position:
            return False
        state = self._lives[life].state_at(batch.revision)
        return batch.events == difference(self._state, state, batch.revision)

    def _reachable(self, life: int) -> bool:
        """Say whether a follower at this position may be in a life: it is, or there is nothing to tell it.

        So it is where the lives are still the same, and where they came to the same again: a key that was
        deleted in both, at whatever revisions.
        """
        return (
            life in self._fitting
            or any(self._position < self._shared[n][life] for n in self._fitting)
            or self._state == self._lives[life].state_at(self._position)
        )

    def _after(self, life: int) -> Batch | None:
        """Answer the batch that comes next in a life; remembers where it looked last."""
        batches, n = self._lives[life].batches, self._next[life]
        if n and batches[n - 1].revision > self._position:
            n = 0
        while n < len(batches) and batches[n].revision <= self._position:
            n += 1
        self._next[life] = n
        return batches[n] if n < len(batches) else None

    def _complaint(self, batch: Batch) -> str:
        life = max(self._fitting)
        if batch.resync:
            return f"the list at revision {batch.revision} does not tell the difference: {_shown(batch)}"
        due = self._after(life)
        if due is None:
            return f"revision {batch.revision} came behind the end, at {self._position}: {_shown(batch)}"
        if batch.revision <= self._position:
            return f"revision {batch.revision} came again, at {self._position}"
        if batch.revision > due.revision:
            return f"lost: revision {due.revision} was due at {self._position}, {batch.revision} came"
        if batch.revision == due.revision:
            return f"revision {batch.revision} came split or changed: {_shown(batch)} is not {_shown(due)}"
        return f"revision {batch.revision} came, which never was: {_shown(batch)}"


def _shown(batch: Batch) -> str:
    events = [f"{event.kind.value} {event.item.key}@{event.item.mod_revision}" for event in batch.events]
    more = f" and {len(events) - SHOWN} more" if len(events) > SHOWN else ""
    return ", ".join(events[:SHOWN]) + more
