"""Forgetting operations that ended long ago, with their request ids; and outbox lines that nobody folded.

The router owns the task `run`. Every router prunes; doing it twice deletes nothing twice. Held operations
and running ones are never touched.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from random import Random

from dataplane.routing.runs import FINAL, Operation
from dataplane.routing.times import moment
from enchain.chains.errors import EnchainError, MalformedError
from enchain.chains.names import OperationName
from enchain.process.clock import Clock
from enchain.process.logs import get_logger
from enchain.process.telemetry import meter
from enchain.state import keys
from enchain.state.codec import decode
from enchain.state.store import Delete, KeyValue, Store, Txn
from enchain.v1 import operation_pb2

AGE_MIN = timedelta(hours=24)
"""A request id must be known for so long, so that a client's late retry is not done twice."""

PER_TRANSACTION = 60
"""Operations per transaction: two keys each, and etcd takes 128 requests."""

PAGE = 200
PAGES_MAX = 50
"""Keys read in one round, at most this often; the rest is for the next one."""

EVERY_SECONDS = 600.0

_log = get_logger(__name__)
_meter = meter(__name__)
_pruned = _meter.create_counter("enchain.journal.pruned", "{operation}", "Operations pruned by age or bytes.")
_unfolded = _meter.create_counter(
    "enchain.outbox.dropped", "{entry}", "Outbox entries that nobody folded before they were too old."
)


@dataclass(frozen=True, slots=True)
class Retention:
    """How long what has ended is kept.

    Attributes:
        age: Records older than this go; at least a day.
        bytes_max: Beyond so many bytes of ended records the oldest go, never younger than a day.
        outbox_age: Outbox entries older than this go.
    """

    age: timedelta = timedelta(days=7)
    bytes_max: int = 512 * 1024 * 1024
    outbox_age: timedelta = timedelta(days=7)


class Pruner:
    """Prunes.

    Args:
        store: What is pruned.
        retention: How long things are kept.
        clock: Time.
        rng: Spreads the rounds of many routers.
    """

    def __init__(self, store: Store, retention: Retention, *, clock: Clock, rng: Random) -> None:
        self._store = store
        self._retention = retention
        self._clock = clock
        self._rng = rng

    async def run(self) -> None:
        """Prune now and again, for ever."""
        while True:
            await self._clock.sleep(EVERY_SECONDS * (0.5 + self._rng.random()))
            try:
                await self.prune()
            except EnchainError as error:
                _log.warning("pruning failed", reason=error.message)

    async def prune(self) -> int:
        """Prune once; answer how many operations went."""
        await self._prune_outbox()
        ended: list[tuple[datetime, int, str, Operation]] = []
        after = ""
        for _ in range(PAGES_MAX):
            listing = await self._store.list(keys.RECORDS, limit=PAGE, start_after=after)
            for item in listing.items:
                after = item.key
                operation = _ended(item)
                if operation is not None:
                    ended.append((moment(operation.end_time), len(item.value), item.key, operation))
            if not listing.more:
                break
        doomed = self._doomed(ended)
        for start in range(0, len(doomed), PER_TRANSACTION):
            batch = doomed[start : start + PER_TRANSACTION]
            await self._store.commit(Txn(success=tuple(d for pair in batch for d in pair)))
        _pruned.add(len(doomed))
        return len(doomed)

    def _doomed(self, ended: list[tuple[datetime, int, str, Operation]]) -> list[tuple[Delete, Delete]]:
        """Keys of what is too old, or among the oldest of what is too much."""
        now = self._clock.now()
        oldest_kept = now - max(self._retention.age, AGE_MIN)
        surplus = sum(size for _, size, _, _ in ended) - self._retention.bytes_max
        doomed = []
        for end, size, key, operation in sorted(ended, key=lambda entry: entry[:3]):
            if end >= oldest_kept and not (surplus > 0 and end < now - AGE_MIN):
                break
            surplus -= size
            tenant = OperationName.parse(operation.name).tenant
            doomed.append((Delete(key), Delete(keys.request(tenant, operation.request_id))))
        return doomed

    async def _prune_outbox(self) -> None:
        """Drop lines that nobody folded: a statistic is worth less than a full store."""
        limit = self._clock.now() - self._retention.outbox_age
        listing = await self._store.list(keys.OUTBOX, limit=PAGE * PAGES_MAX)
        old = [item.key for item in listing.items if _is_older(item, limit)]
        for start in range(0, len(old), PER_TRANSACTION):
            batch = old[start : start + PER_TRANSACTION]
            await self._store.commit(Txn(success=tuple(Delete(key) for key in batch)))
        _unfolded.add(len(old))


def _ended(item: KeyValue) -> Operation | None:
    """The operation, where it has ended; what cannot be read is left for people."""
    try:
        operation = decode(Operation, item.value, key=item.key)
    except MalformedError as error:
        _log.error("record cannot be read", key=item.key, reason=error.message)
        return None
    return operation if operation.state in FINAL and operation.HasField("end_time") else None


def _is_older(item: KeyValue, limit: datetime) -> bool:
    try:
        entry = decode(operation_pb2.OutboxEntry, item.value, key=item.key)
    except MalformedError:
        return False
    return entry.HasField("end_time") and moment(entry.end_time) < limit
