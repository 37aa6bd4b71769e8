"""The leader's loop that folds the outbox into what is learned, each entry exactly once.

The election runs it in each term, with a fenced store. One transaction compares the leader's key, every
outbox key of a batch, every statistic that it adds to and what these belong to; it writes the statistics and
deletes the outbox keys. So there is no read position that could be wrong: what is in the outbox has not been
counted, what is counted is not in the outbox, and a leader that dies at any point leaves one of the two. What
to write is decided in `folding.py`.

It is driven by what stands in the outbox: it follows it, sweeps it now and again, and may forget at any time
what it has seen.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from random import Random
from typing import TypeVar

from google.protobuf.message import Message

from controlplane.loops import folding, refusing
from controlplane.loops.folding import Place
from controlplane.loops.parsed import Parsed
from controlplane.loops.patience import patiently
from controlplane.loops.pending import Pending
from controlplane.loops.readers import DependentReader, Reader
from enchain.chains.errors import EnchainError, ExhaustedError, MalformedError, UnsettledError
from enchain.process.clock import Clock
from enchain.process.lifecycle import Tasks
from enchain.process.logs import get_logger
from enchain.process.telemetry import meter
from enchain.state import keys
from enchain.state.codec import decode, encode
from enchain.state.follow import follow, full_jitter
from enchain.state.store import Delete, Get, KeyValue, Put, Store, Txn, created_at, unchanged
from enchain.v1 import operation_pb2

SWEEP_SECONDS = 60.0
"""How often the whole outbox is looked through, in case something was forgotten."""

GATHER_SECONDS = 1.0
"""Between two rounds: what comes meanwhile shares transactions, since each rewrites whole statistics."""

GATHERED_MAX = 1000
"""Entries that are looked at together, so that those that add to the same statistics share transactions."""

TRANSACTION_BYTES_MAX = 1024 * 1024
"""etcd takes 1.5 MiB in one request."""

T = TypeVar("T")

_log = get_logger(__name__)
_meter = meter(__name__)
_folded = _meter.create_counter("enchain.folding.entries", "{entry}", "Outbox entries folded.")
_transactions = _meter.create_counter(
    "enchain.folding.transactions", "{transaction}", "Transactions that folded entries."
)
_conflicts = _meter.create_counter(
    "enchain.folding.conflicts", "{transaction}", "Batches decided anew because something had changed."
)
_unsettled = _meter.create_counter(
    "enchain.folding.unsettled", "{transaction}", "Batches whose answer was lost, settled by reading."
)
_overflows = _meter.create_counter(
    "enchain.folding.overflows", "{overflow}", "Times when more entries waited than are held in memory."
)
_late = _meter.create_counter(
    "enchain.folding.late",
    "{outcome}",
    "Outcomes that count nowhere, since what they belong to was deleted, by reader.",
)


@dataclass(frozen=True, slots=True)
class Waiting:
    """An entry to fold: its key as it was read, what it says, and where that belongs."""

    item: KeyValue
    entry: operation_pb2.OutboxEntry
    places: tuple[Place, ...]


@dataclass(frozen=True, slots=True)
class Known:
    """A statistic as it was read: its mod revision, and what it says."""

    revision: int
    message: Message


@dataclass(frozen=True, slots=True)
class Standing:
    """What a batch adds to, as it stands at one revision.

    Attributes:
        statistics: What was learned; what is missing is empty.
        created: Create revision of each document that statistics belong to, by its key; 0: there is none.
        documents: What these say; what cannot be read is missing.
    """

    statistics: Mapping[Place, Known]
    created: Mapping[str, int]
    documents: Mapping[Place, Message | None]


@dataclass(frozen=True, slots=True)
class Folded:
    """What folding a batch does: the transaction, what its puts say, and what comes too late to count."""

    txn: Txn
    puts: tuple[Put, ...]
    messages: tuple[Message, ...]
    late: tuple[tuple[str, Place], ...]


class OutboxLoop:
    """Folds the outbox for all its readers.

    Args:
        readers: Those who learn.
        clock: Time.
        rng: Jitter.
        gather_seconds: How long entries are gathered.
        sweep_seconds: How often the whole outbox is looked through.
    """

    name = "fold the outbox"

    def __init__(
        self,
        readers: Sequence[Reader],
        *,
        clock: Clock,
        rng: Random,
        gather_seconds: float = GATHER_SECONDS,
        sweep_seconds: float = SWEEP_SECONDS,
    ) -> None:
        self._readers = tuple(readers)
        self._kinds = {reader.name: reader.kind for reader in readers}
        self._dependent = {reader.name: reader for reader in readers if isinstance(reader, DependentReader)}
        self._parsed = Parsed()
        self._clock = clock
        self._rng = rng
        self._gather_seconds = gather_seconds
        self._sweep_seconds = sweep_seconds

    async def run(self, store: Store) -> None:
        """Fold what is there and whatever comes, for ever."""
        # A follower lists everything at once. So the outbox is swept first, page by page.
        await self._patiently(lambda: self.sweep(store))
        pending, wake = Pending(), asyncio.Event()
        async with Tasks() as tasks:
            tasks.start("follow the outbox", self._follow(store, pending, wake))
            tasks.start("ask for sweeps of the outbox", self._remind(pending, wake))
            while True:
                await wake.wait()
                wake.clear()
                await self._patiently(lambda: self._work(store, pending))
                await self._clock.sleep(self._gather_seconds)

    async def sweep(self, store: Store) -> None:
        """Fold everything that is in the outbox, page by page."""
        after = ""
        while True:
            page = await store.list(keys.OUTBOX, limit=GATHERED_MAX, start_after=after)
            await self._fold(store, page.items)
            if not page.more:
                break
            after = page.items[-1].key
        await refusing.trim(store)

    async def _follow(self, store: Store, pending: Pending, wake: asyncio.Event) -> None:
        followed = follow(store, keys.OUTBOX, clock=self._clock, rng=self._rng)
        async with aclosing(followed) as batches:
            async for batch in batches:
                overflows = pending.overflows
                pending.note(batch)
                _overflows.add(pending.overflows - overflows)
                if len(pending) or pending.sweep:
                    wake.set()

    async def _remind(self, pending: Pending, wake: asyncio.Event) -> None:
        while True:
            await self._clock.sleep(self._sweep_seconds)
            pending.sweep = True
            wake.set()

    async def _work(self, store: Store, pending: Pending) -> None:
        """Fold what waits; what is taken out and not folded is for a sweep to find."""
        try:
            if pending.sweep:
                pending.clear()
                await self.sweep(store)
            while items := pending.take(GATHERED_MAX):
                await self._fold(store, items)
        except EnchainError:
            pending.sweep = True
            raise

    async def _fold(self, store: Store, items: Sequence[KeyValue]) -> None:
        """Fold these, in as many transactions as it takes; set aside what cannot be read."""
        waiting = []
        for item in items:
            try:
                waiting.append(self._read(item))
            except Exception as error:  # noqa: BLE001 - whatever a reader trips over is set aside
                await refusing.set_aside(store, item, error, self._clock.now())
        # Whole statistics are written, so what adds to the same ones goes together.
        waiting.sort(key=lambda each: each.places)
        while waiting:
            count = folding.fitting([each.places for each in waiting])
            await self._fold_batch(store, waiting[:count])
            waiting = waiting[count:]

    def _read(self, item: KeyValue) -> Waiting:
        entry = decode(operation_pb2.OutboxEntry, item.value, key=item.key)
        folding.check(entry, self._clock.now())
        return Waiting(item, entry, tuple(folding.places(self._readers, entry)))

    async def _fold_batch(self, store: Store, batch: Sequence[Waiting]) -> None:
        """Fold one batch, however often it must be decided anew."""
        failures = 0
        while batch:
            standing = await self._known(store, batch)
            try:
                folded = self._fold_into(standing, batch)
            except Exception as error:  # noqa: BLE001 - whatever a reader trips over is set aside
                await self._isolate(store, batch, error)
                return
            if await self._commit(store, folded.txn, batch):
                for put, message in zip(folded.puts, folded.messages, strict=True):
                    self._parsed.note(put.key, put.value, message)
                _transactions.add(1)
                _folded.add(len(batch))
                _tell_late(folded.late)
                return
            _conflicts.add(1)
            failures += 1
            await self._clock.sleep(full_jitter(failures, self._rng))
            batch = await self._standing(store, batch)

    async def _known(self, store: Store, batch: Sequence[Waiting]) -> Standing:
        """Read what a batch adds to; statistics that cannot be read are set aside and begun anew."""
        wanted = sorted({place for each in batch for place in each.places})
        owners = sorted({owner for place in wanted if (owner := folding.owner_of(self._dependent, place))})
        names = [keys.learned(place.reader, place.subject) for place in wanted]
        documents = [keys.document(self._dependent[each.reader].documents, each.subject) for each in owners]
        items = await _read_all(store, [*names, *documents])
        statistics = await self._statistics(store, dict(zip(wanted, items, strict=False)))
        found = items[len(names) :]
        created = [item.create_revision if item is not None else 0 for item in found]
        return Standing(
            statistics,
            dict(zip(documents, created, strict=True)),
            self._documents(dict(zip(owners, found, strict=True))),
        )

    async def _statistics(
        self, store: Store, found: Mapping[Place, KeyValue | None]
    ) -> Mapping[Place, Known]:
        known: dict[Place, Known] = {}
        for place, item in found.items():
            if item is None:
                continue
            try:
                message = self._parsed.message(self._kinds[place.reader], item.key, item.value)
                known[place] = Known(item.mod_revision, message)
            except MalformedError as error:
                await refusing.set_aside(store, item, error, self._clock.now())
        return known

    def _documents(self, found: Mapping[Place, KeyValue | None]) -> Mapping[Place, Message | None]:
        documents: dict[Place, Message | None] = {}
        for owner, item in found.items():
            kind = self._dependent[owner.reader].document_kind
            try:
                documents[owner] = (
                    self._parsed.message(kind, item.key, item.value) if item is not None else None
                )
            except MalformedError as error:
                _log.warning(
                    "outcomes count, whatever they belong to", subject=owner.subject, fault=error.message
                )
        return documents

    def _fold_into(self, standing: Standing, batch: Sequence[Waiting]) -> Folded:
        """Say what folding a batch writes, and on what it rests.

        Raises:
            ExhaustedError: It is too large.
        """
        known = standing.statistics
        statistics = {place: each.message for place, each in known.items()}
        entries = [each.entry for each in batch]
        wanted = [
            folding.belonging(self._dependent, standing.documents, each.entry, each.places) for each in batch
        ]
        messages = folding.fold(self._readers, statistics, entries, wanted)
        compares = [unchanged(each.item.key, each.item.mod_revision) for each in batch]
        compares += [created_at(key, revision) for key, revision in standing.created.items()]
        deletes = [Delete(each.item.key) for each in batch]
        puts: list[Put] = []
        for place, message in messages.items():
            key = keys.learned(place.reader, place.subject)
            compares.append(unchanged(key, known[place].revision if place in known else 0))
            puts.append(Put(key, encode(message)))
        if sum(len(put.value) for put in puts) > TRANSACTION_BYTES_MAX:
            raise ExhaustedError("the statistics of one batch are too large for a transaction")
        late = [
            (each.entry.operation, place)
            for each, kept in zip(batch, wanted, strict=True)
            for place in each.places
            if place not in kept
        ]
        txn = Txn(tuple(compares), (*puts, *deletes))
        return Folded(txn, tuple(puts), tuple(messages.values()), tuple(late))

    async def _isolate(self, store: Store, batch: Sequence[Waiting], error: Exception) -> None:
        """Find the entry on which folding fails, set it aside, and fold the others."""
        if len(batch) > 1:
            middle = len(batch) // 2
            await self._fold_batch(store, batch[:middle])
            await self._fold_batch(store, batch[middle:])
            return
        await refusing.set_aside(store, batch[0].item, error, self._clock.now())

    async def _commit(self, store: Store, txn: Txn, batch: Sequence[Waiting]) -> bool:
        """Commit; false where something had changed. A lost answer is settled by reading."""
        try:
            return (await store.commit(txn)).succeeded
        except UnsettledError as error:
            _unsettled.add(1)
            _log.warning("folding unanswered", reason=error.message)
        # All entries stand or none does. Where they stand it was not done yet; should it be done later
        # still, it finds them unchanged, or does nothing.
        return not await self._patiently(lambda: self._standing(store, batch))

    async def _standing(self, store: Store, batch: Sequence[Waiting]) -> list[Waiting]:
        """Read a batch again: what of it is still there, and says what it said."""
        items = await _read_all(store, [each.item.key for each in batch])
        return [each for each, item in zip(batch, items, strict=True) if item == each.item]

    async def _patiently(self, work: Callable[[], Awaitable[T]]) -> T:
        return await patiently(work, self.name, clock=self._clock, rng=self._rng)


async def _read_all(store: Store, names: Sequence[str]) -> tuple[KeyValue | None, ...]:
    """Read keys as they are at one revision; with a fenced store, within the term."""
    return (await store.commit(Txn(success=tuple(Get(name) for name in names)))).got


def _tell_late(late: Sequence[tuple[str, Place]]) -> None:
    for operation, place in late:
        _late.add(1, {"reader": place.reader})
        _log.info(
            "outcome of what was deleted", operation=operation, reader=place.reader, subject=place.subject
        )
