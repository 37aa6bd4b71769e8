"""The store's epoch: raised by a restore, so that tokens from before it lose.

The router reads it at start and compares it at admission and claim. Whoever finds it missing begins it at
1.
"""

from dataclasses import dataclass
from datetime import datetime

from dataplane.routing.times import stamp
from enchain.chains.errors import UnsettledError
from enchain.state import keys
from enchain.state.codec import decode, encode
from enchain.state.store import Compare, Put, Store, Txn, absent, unchanged
from enchain.v1 import presence_pb2


@dataclass(frozen=True, slots=True)
class Epoch:
    """The epoch, and the revision at which it was written."""

    number: int
    revision: int

    def holds(self) -> Compare:
        """Condition: the epoch is still this one."""
        return unchanged(keys.EPOCH, self.revision)


async def read_epoch(store: Store, now: datetime) -> Epoch:
    """Answer the epoch; begin it where the store is new.

    Raises:
        UnavailableError: The store cannot be reached.
    """
    while True:
        item = await store.get(keys.EPOCH)
        if item is not None:
            stored = decode(presence_pb2.StoreEpoch, item.value, key=keys.EPOCH)
            return Epoch(stored.epoch, item.mod_revision)
        first = presence_pb2.StoreEpoch(epoch=1, time=stamp(now), reason="the store is new")
        try:
            await store.commit(Txn(compares=(absent(keys.EPOCH),), success=(Put(keys.EPOCH, encode(first)),)))
        except UnsettledError:
            continue  # reading again settles it: the write is conditional on absence
