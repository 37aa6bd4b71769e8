"""Following the keys under a prefix for ever, so that nothing is lost and nothing comes twice.

Routers follow the table and the instances with it, both planes whatever else they must see at once. It
lists at a revision, watches from the next one, and after trouble goes on behind the last event that it
delivered, once it has made sure that the store still holds that event; where that is impossible it lists
again and delivers only what differs. It never gives up, and never raises for what the store does: its
`Health` tells how it stands. What to deliver is decided in `position.py`.

It holds no queue: where the reader is slow, the watch waits, and etcd with it.
"""

from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass
from random import Random

from enchain.chains.errors import CallerError, EnchainError, PeerError, UnavailableError
from enchain.process.clock import Clock
from enchain.state.position import Position
from enchain.state.store import Batch, CompactedError, DisplacedError, Store

FIRST_DELAY_SECONDS = 0.2
"""The most that is waited after the first failure; it doubles with each further one."""

LONGEST_DELAY_SECONDS = 3.0
"""The most that is ever waited."""


@dataclass(slots=True)
class Health:
    """How a follower stands; for metrics and readiness. The follower writes it, others read it.

    Attributes:
        heard_at: Monotonic seconds of the last sign of life of the store; None before the first.
        revision: The revision delivered last.
        newest: The newest revision that the store spoke of; the difference is how far behind the follower is.
        reconnects: How often a watch was begun anew.
        relists: How often everything was listed, the first time included.
        repeated: How many revisions came that had been delivered already, and were dropped.
        failures: How many attempts failed in a row; 0 while all is well.
        last_error: What went wrong last; empty while all is well.
    """

    heard_at: float | None = None
    revision: int = 0
    newest: int = 0
    reconnects: int = 0
    relists: int = 0
    repeated: int = 0
    failures: int = 0
    last_error: str = ""

    def silence(self, monotonic: float) -> float:
        """Answer for how many seconds nothing was heard; infinite before the first sign of life."""
        return float("inf") if self.heard_at is None else monotonic - self.heard_at


def full_jitter(failures: int, rng: Random) -> float:
    """Answer how long to wait after so many failures in a row: anything up to a limit that doubles.

    Whoever lost one server must not come back to the next all at once.
    """
    return rng.uniform(0, min(LONGEST_DELAY_SECONDS, FIRST_DELAY_SECONDS * 2 ** min(failures - 1, 10)))


async def follow(
    store: Store, prefix: str, *, clock: Clock, rng: Random, health: Health | None = None
) -> AsyncGenerator[Batch, None]:
    """Deliver everything under a prefix, then every change of it, for ever.

    The first batch holds all keys; it and every later one that comes of a list has `resync` set, and such
    a one may be empty. All others are one revision each. Close it (`aclose`, or `contextlib.aclosing`)
    when done.

    Args:
        store: The store.
        prefix: A prefix that ends with a slash, or one key.
        clock: Waits between attempts, and dates signs of life.
        rng: Spreads the attempts of many followers.
        health: Where to tell how it stands; None where nobody asks.
    """
    health = health or Health()
    position = Position()
    must_list = True
    while True:
        try:
            if must_list:
                health.relists += 1
                batch = position.relist(await store.list(prefix))
                must_list = False
                _hear(health, clock, position)
                yield batch
            else:
                await _confirm(store, prefix, position)
            async with aclosing(_watch_on(store, prefix, position, clock, health)) as batches:
                async for batch in batches:
                    yield batch
        except (CompactedError, DisplacedError) as error:
            must_list = True
            _fail(health, error)
        except (PeerError, CallerError) as error:
            # What the store's operator must mend, such as a missing role, is waited for too.
            _fail(health, error)
        await clock.sleep(full_jitter(health.failures, rng))


async def _confirm(store: Store, prefix: str, position: Position) -> None:
    """Make sure, before going on, that the store still is the one whose revision the position is.

    Ids do not tell: a store that was restored from a backup keeps them, and may have written other things at
    the same revisions since. So the key that was written last must still be there, as it was. Where it was
    written at the position's very revision that is enough; else something may have come or gone between, and
    the names and revisions of all keys must be the same too. Reading all values would tell even more, but
    many followers lose their connections at once, and etcd has better to do then.

    Raises:
        DisplacedError: It is another one, or was restored from a backup.
        CompactedError: It cannot be told any more; the watch might have gone on, but a list is sure.
    """
    witness = position.witness
    try:
        if witness is not None:
            found = await store.list(witness.key, revision=position.revision)
            if found.cluster_id != position.cluster_id or found.items != (witness,):
                raise _another(position)
        if witness is None or witness.mod_revision != position.revision:
            found = await store.list(prefix, revision=position.revision, keys_only=True)
            if found.cluster_id != position.cluster_id or not position.holds_the_same_keys(found):
                raise _another(position)
    except UnavailableError as error:
        if error.reason == "STORE_BEHIND":
            raise DisplacedError(f"the store has lost revision {position.revision}") from error
        raise


def _another(position: Position) -> DisplacedError:
    return DisplacedError(
        f"at revision {position.revision} the store holds something else than was delivered"
    )


async def _watch_on(
    store: Store, prefix: str, position: Position, clock: Clock, health: Health
) -> AsyncGenerator[Batch, None]:
    """Watch from where the position is until the watch ends, and move the position."""

    def heard() -> None:
        _hear(health, clock, position)

    batches = store.watch(prefix, position.next_revision, cluster_id=position.cluster_id, heard=heard)
    async with aclosing(batches):
        async for batch in batches:
            fresh = position.advance(batch)
            if fresh is None:
                health.repeated += 1
            else:
                _hear(health, clock, position)
                yield fresh


def _hear(health: Health, clock: Clock, position: Position) -> None:
    health.heard_at = clock.monotonic()
    health.revision = position.revision
    health.newest = position.newest
    health.failures = 0
    health.last_error = ""


def _fail(health: Health, error: EnchainError | CompactedError | DisplacedError) -> None:
    health.failures += 1
    health.reconnects += 1
    health.last_error = str(error)
