"""Setting aside what cannot be folded, so that it blocks nothing and can still be read.

The folding loop calls it with its fenced store. What is set aside lies under `learned/refused/`, with the
reason; an operator who has mended it puts it back under its key.
"""

from datetime import datetime

from enchain.chains.errors import EnchainError
from enchain.process.logs import get_logger
from enchain.process.telemetry import meter
from enchain.state import keys
from enchain.state.codec import encode
from enchain.state.store import Delete, KeyValue, Put, Store, Txn, unchanged
from enchain.v1 import learned_pb2

KEPT_MAX = 1000
"""How many refused values are kept; the oldest go first."""

CHARACTERS_MAX = 4096
"""What is kept of a value: twice what an outbox entry may have."""

PER_TRANSACTION = 100

_log = get_logger(__name__)
_meter = meter(__name__)
_refused = _meter.create_counter("enchain.folding.refused", "{value}", "Values set aside because of a fault.")
_dropped = _meter.create_counter("enchain.folding.dropped", "{value}", "Refused values that became too many.")


async def set_aside(store: Store, item: KeyValue, error: Exception, now: datetime) -> None:
    """Move a value out of the way, unless it has changed since it was read."""
    reason = error.reason if isinstance(error, EnchainError) else "FOLDING_FAILED"
    text = item.value.decode(errors="replace")
    refused = learned_pb2.RefusedValue(
        key=item.key,
        reason=reason,
        description=str(error)[:CHARACTERS_MAX],
        value=text[:CHARACTERS_MAX],
        truncated=len(text) > CHARACTERS_MAX,
    )
    refused.time.FromDatetime(now)
    moved = Txn(
        (unchanged(item.key, item.mod_revision),),
        (Delete(item.key), Put(keys.refused(item.key), encode(refused))),
    )
    if (await store.commit(moved)).succeeded:
        _refused.add(1, {"reason": reason})
        ours = isinstance(error, EnchainError)
        _log.error(
            "value set aside", key=item.key, reason=reason, fault=str(error), exc_info=None if ours else error
        )


async def trim(store: Store) -> None:
    """Drop the oldest of what was set aside where it is too much."""
    listing = await store.list(keys.REFUSED, keys_only=True)
    surplus = len(listing.items) - KEPT_MAX
    if surplus <= 0:
        return
    oldest = sorted(listing.items, key=lambda item: item.mod_revision)[:surplus]
    for start in range(0, surplus, PER_TRANSACTION):
        some = oldest[start : start + PER_TRANSACTION]
        await store.commit(Txn(success=tuple(Delete(item.key) for item in some)))
    _dropped.add(surplus)
