"""The journal of operations: everything that an owner writes, and what others ask of it.

Dispatch and rpc hold one. Each method is one transaction; all writes of an owner carry `still_owned`. A
refused condition is `DisplacedError`: another router is the owner now, and nothing was written.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from random import Random

from dataplane.journal.admitting import Admitter, Claim, Known, known
from dataplane.journal.epochs import Epoch, read_epoch
from dataplane.journal.ownership import DisplacedError, Owned, still_owned
from dataplane.journal.settling import Settler
from dataplane.routing import records
from dataplane.routing.leaving import outbox_of
from enchain.chains.errors import ConflictError, NotFoundError
from enchain.chains.names import OperationName, ResourceName
from enchain.process.clock import Clock
from enchain.state import keys
from enchain.state.codec import decode, encode
from enchain.state.store import (
    Delete,
    Op,
    Put,
    Store,
    Txn,
    TxnResult,
    absent,
    created_at,
    unchanged,
)
from enchain.v1 import operation_pb2

Operation = operation_pb2.Operation
Resource = operation_pb2.Resource
Decide = Callable[[Operation], Operation]


@dataclass(frozen=True, slots=True)
class Stored:
    """An operation as it is stored."""

    operation: Operation
    revision: int


class Journal:
    """Operations in etcd.

    Args:
        store: The store.
        clock: Time.
        rng: Jitter.
        owner: Who this router is, as its owner keys say it.
        lease: Answers the router's lease, under which its owner keys stand.
    """

    def __init__(
        self,
        store: Store,
        *,
        clock: Clock,
        rng: Random,
        owner: operation_pb2.OperationOwner,
        lease: Callable[[], int],
    ) -> None:
        self._store = store
        self._clock = clock
        self._owner = owner
        self._lease = lease
        self._settler = Settler(store, clock, rng)
        self._admitter = Admitter(store, self._settler, owner)
        self._epoch: Epoch | None = None

    async def epoch(self, *, fresh: bool = False) -> Epoch:
        """Answer the store's epoch, as it was read last; `fresh` reads it again."""
        if self._epoch is None or fresh:
            self._epoch = await read_epoch(self._store, self._clock.now())
        return self._epoch

    async def admit(self, admission: records.Admission, claim: Claim) -> Owned | Known:
        """Admit an operation in one transaction; see `Admitter.admit`."""
        return await self._admitter.admit(admission, claim, lease=self._lease())

    async def claim(self, name: OperationName, decide: Decide) -> tuple[Owned, Operation]:
        """Become the owner of an operation that has none.

        Args:
            name: The operation.
            decide: Turns the record as it is into the one to write with the claim.

        Raises:
            DisplacedError: Another router was faster, or the operation has ended.
        """
        stored, active = await self.read(name), await self._store.get(keys.active(name.operation))
        if active is None:
            raise DisplacedError(f"{name} has ended")
        operation = decide(stored.operation)
        compares = (
            absent(keys.owner(name.operation)),
            unchanged(active.key, active.mod_revision),
            unchanged(keys.record(name.tenant, name.operation), stored.revision),
            (await self.epoch()).holds(),
        )
        owned = Owned(name, token=0, record_revision=stored.revision, lease=self._lease())
        value = encode(operation)
        ops: list[Op] = [
            Put(owned.owner_key, encode(self._owner), owned.lease),
            Put(owned.record_key, value),
        ]
        marked = encode(records.active(operation))
        if marked != active.value:
            ops.append(Put(active.key, marked))
        result = await self._settler.commit(
            Txn(compares, tuple(ops)), lambda: self._settle_claim(owned, value)
        )
        if not result.succeeded:
            await self.epoch(fresh=True)
            raise DisplacedError(f"another router took {name} up")
        return replace(owned, token=result.revision, record_revision=result.revision), operation

    async def _settle_claim(self, owned: Owned, value: bytes) -> TxnResult | None:
        owner, record = await self._store.get(owned.owner_key), await self._store.get(owned.record_key)
        mine = owner is not None and owner.value == encode(self._owner)
        if mine and owner is not None and record is not None and record.value == value:
            return TxnResult(succeeded=True, revision=owner.create_revision)
        if owner is None and record is not None and record.mod_revision == owned.record_revision:
            return None
        return TxnResult(succeeded=False, revision=0)

    async def checkpoint(self, owned: Owned, operation: Operation) -> Owned:
        """Write the record.

        Raises:
            DisplacedError: This router is not the owner any more.
            UnavailableError: The store cannot be reached; nothing was written.
        """
        revision = await self._write(owned, operation, ())
        return replace(owned, record_revision=revision)

    async def hold(self, owned: Owned, operation: Operation, resource: Resource | None) -> None:
        """Write the record and the resource as held, and give up the operation.

        Raises:
            DisplacedError: This router is not the owner any more.
        """
        active = Put(keys.active(owned.name.operation), encode(records.active(operation)))
        await self._write(owned, operation, (*_resource_ops(operation, resource), active, *_leave(owned)))

    async def finish(self, owned: Owned, operation: Operation, resource: Resource | None) -> None:
        """Write the end: record, resource and outbox; `active` and `owner` go.

        Raises:
            DisplacedError: This router is not the owner any more.
        """
        ops = (
            *_resource_ops(operation, resource),
            Delete(keys.active(owned.name.operation)),
            Put(keys.outbox(owned.name.operation), encode(outbox_of(operation))),
            *_leave(owned),
        )
        await self._write(owned, operation, ops)

    async def _write(self, owned: Owned, operation: Operation, more: tuple[Op, ...]) -> int:
        value = encode(operation)
        txn = Txn(still_owned(owned), (Put(owned.record_key, value), *more))
        result = await self._settler.commit(txn, lambda: self._settle_write(owned, value))
        if not result.succeeded:
            raise DisplacedError(f"{owned.name} belongs to another router now")
        return result.revision

    async def _settle_write(self, owned: Owned, value: bytes) -> TxnResult | None:
        """Find out whether an unanswered write was done: the record says so."""
        record, owner = await self._store.get(owned.record_key), await self._store.get(owned.owner_key)
        if record is not None and record.value == value:
            return TxnResult(succeeded=True, revision=record.mod_revision)
        same = record is not None and record.mod_revision == owned.record_revision
        if same and owner is not None and owner.create_revision == owned.token:
            return None
        return TxnResult(succeeded=False, revision=0)

    async def release(self, owned: Owned) -> bool:
        """Give an operation up, so that another router takes it; answer whether it was still ours."""
        txn = Txn((created_at(owned.owner_key, owned.token),), (Delete(owned.owner_key),))
        result = await self._settler.commit(txn, lambda: self._settle_release(owned))
        return result.succeeded

    async def _settle_release(self, owned: Owned) -> TxnResult | None:
        owner = await self._store.get(owned.owner_key)
        if owner is not None and owner.create_revision == owned.token:
            return None
        return TxnResult(succeeded=True, revision=0)

    async def disown(self, operation: str, token: int) -> None:
        """Delete an owner key of ours that nobody here knows, so that the operation is adopted as usual."""
        key = keys.owner(operation)

        async def settle() -> TxnResult | None:
            return TxnResult(succeeded=True, revision=0)  # the next scan looks again

        await self._settler.commit(Txn((created_at(key, token),), (Delete(key),)), settle)

    async def read(self, name: OperationName) -> Stored:
        """Read an operation.

        Raises:
            NotFoundError: There is none.
        """
        key = keys.record(name.tenant, name.operation)
        item = await self._store.get(key)
        if item is None:
            raise NotFoundError(f"there is no {name}", reason="OPERATION_NOT_FOUND")
        return Stored(decode(Operation, item.value, key=key), item.mod_revision)

    async def read_resource(self, name: ResourceName) -> tuple[Resource | None, int]:
        """Read a resource and its mod revision; None and 0 where there is none."""
        key = keys.resource(name.tenant, name.resource)
        item = await self._store.get(key)
        if item is None:
            return None, 0
        return decode(Resource, item.value, key=key), item.mod_revision

    async def request(self, tenant: str, request_id: str, fingerprint: str) -> Known | None:
        """Answer the operation that a request id is bound to; None where it is free.

        Raises:
            AlreadyExistsError: It was used for something else.
        """
        item = await self._store.get(keys.request(tenant, request_id))
        return known(item, fingerprint) if item is not None else None

    async def owner(self, name: OperationName) -> operation_pb2.OperationOwner | None:
        """Answer who runs an operation now; None where nobody does."""
        key = keys.owner(name.operation)
        item = await self._store.get(key)
        return decode(operation_pb2.OperationOwner, item.value, key=key) if item is not None else None

    async def signal(self, name: OperationName, signal: operation_pb2.OperationSignal) -> None:
        """Ask something of an operation's owner.

        Raises:
            ConflictError: The operation has ended or is held meanwhile: nobody would take the signal.
        """
        kind = operation_pb2.OperationSignal.Kind.Name(signal.kind).removeprefix("KIND_").lower()
        active = keys.active(name.operation)
        item = await self._store.get(active)
        if item is None:
            raise ConflictError(f"{name} has ended", reason="OPERATION_ENDED")
        if decode(operation_pb2.ActiveOperation, item.value, key=active).held:
            raise ConflictError(f"{name} is held", reason="OPERATION_CHANGED", retry_after=0.1)
        key, value = keys.signal(name.operation, kind), encode(signal)
        txn = Txn((unchanged(active, item.mod_revision),), (Put(key, value),))
        result = await self._settler.commit(txn, lambda: self._settle_put(key, value))
        if not result.succeeded:
            raise ConflictError(f"{name} has changed", reason="OPERATION_CHANGED", retry_after=0.1)

    async def _settle_put(self, key: str, value: bytes) -> TxnResult | None:
        item = await self._store.get(key)
        return (
            TxnResult(succeeded=True, revision=item.mod_revision)
            if item is not None and item.value == value
            else None
        )

    async def signals(self, name: OperationName) -> list[operation_pb2.OperationSignal]:
        """Read what is asked of an operation's owner."""
        listing = await self._store.list(keys.signals_of(name.operation))
        return [decode(operation_pb2.OperationSignal, item.value, key=item.key) for item in listing.items]


def _leave(owned: Owned) -> tuple[Op, ...]:
    return Delete(owned.owner_key), Delete(keys.signals_of(owned.name.operation), prefix=True)


def _resource_ops(operation: Operation, resource: Resource | None) -> tuple[Op, ...]:
    name = ResourceName.parse(operation.resource)
    key = keys.resource(name.tenant, name.resource)
    return (Put(key, encode(resource)),) if resource is not None else (Delete(key),)
