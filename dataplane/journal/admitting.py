"""Admission: one transaction in which an operation comes to be, or nothing does.

The rpc rooms call it through the journal. The transaction binds the request id, writes record, `active` and
`owner`, claims the resource, and holds only if route, epoch and resource are still what was decided on.
"""

from dataclasses import dataclass

from dataplane.journal.epochs import Epoch
from dataplane.journal.ownership import Owned
from dataplane.journal.settling import Settler
from dataplane.routing import records
from dataplane.routing.leaving import outbox_of
from dataplane.routing.times import moment
from enchain.chains.errors import (
    AlreadyExistsError,
    ConflictError,
    MalformedError,
    UnavailableError,
)
from enchain.chains.names import OperationName, ResourceName, workload_id
from enchain.state import keys
from enchain.state.codec import decode, encode
from enchain.state.store import (
    Compare,
    Delete,
    Get,
    KeyValue,
    Op,
    Put,
    Store,
    Txn,
    TxnResult,
    absent,
    unchanged,
)
from enchain.v1 import operation_pb2

Operation = operation_pb2.Operation
Resource = operation_pb2.Resource


class RouteMovedError(ConflictError):
    """The route is not the one that was decided on: read it, decide again."""

    default_reason = "ROUTE_MOVED"

    def __init__(self, item: KeyValue | None) -> None:
        super().__init__("the route moved while the request was being admitted", retry_after=0.1)
        self.item = item


class EpochChangedError(ConflictError):
    """The store was restored meanwhile: read the epoch, decide again."""

    default_reason = "EPOCH_CHANGED"


@dataclass(frozen=True, slots=True)
class Held:
    """A held operation whose resource a deprovision takes over."""

    operation: Operation
    revision: int


@dataclass(frozen=True, slots=True)
class Claim:
    """On what an admission rests.

    Attributes:
        epoch: The store's epoch.
        resource_revision: Mod revision of the resource as it was read; 0: it does not exist.
        route_revision: Mod revision of the route; None where no route decided.
        held: The held operation that is superseded.
    """

    epoch: Epoch
    resource_revision: int = 0
    route_revision: int | None = None
    held: Held | None = None


@dataclass(frozen=True, slots=True)
class Known:
    """The request id is known: this is its operation."""

    operation: str


UNANSWERED = TxnResult(succeeded=False, revision=0)
"""Nobody answered, and the record is not there."""


class Admitter:
    """Writes admissions.

    Args:
        store: The store.
        settler: Commits.
        owner: What the owner key says.
    """

    def __init__(self, store: Store, settler: Settler, owner: operation_pb2.OperationOwner) -> None:
        self._store = store
        self._settler = settler
        self._owner = owner

    async def admit(self, admission: records.Admission, claim: Claim, *, lease: int) -> Owned | Known:
        """Admit an operation.

        Raises:
            AlreadyExistsError: The request id was used for something else, or the resource exists.
            ConflictError: The resource is busy or has changed.
            RouteMovedError: The route moved.
            EpochChangedError: The epoch was raised.
            UnavailableError: The store cannot be reached; nothing was admitted.
        """
        operation = admission.operation
        name = OperationName.parse(operation.name)
        txn = self._txn(admission, claim, lease)
        result = await self._settler.commit(txn, lambda: self._settle(name))
        if result is UNANSWERED:
            raise UnavailableError(
                "the store did not answer; the request may or may not have been admitted",
                reason="ADMISSION_UNANSWERED",
                remedy="Send the same request again, with the same request id.",
                retry_after=1.0,
            )
        if result.succeeded:
            return Owned(name, token=result.revision, record_revision=result.revision, lease=lease)
        return self._refused(admission, claim, result)

    def _txn(self, admission: records.Admission, claim: Claim, lease: int) -> Txn:
        operation, resource = admission.operation, admission.resource
        name = OperationName.parse(operation.name)
        request = keys.request(name.tenant, operation.request_id)
        compares = [
            absent(request),
            unchanged(_resource_key(resource), claim.resource_revision),
            claim.epoch.holds(),
        ]
        route = keys.route(workload_id(operation.workload))
        if claim.route_revision is not None:
            compares.append(unchanged(route, claim.route_revision))
        success: list[Op] = [
            Put(request, encode(records.request_claim(operation))),
            Put(keys.record(name.tenant, name.operation), encode(operation)),
            Put(keys.active(name.operation), encode(records.active(operation))),
            Put(keys.owner(name.operation), encode(self._owner), lease),
            Put(_resource_key(resource), encode(resource)),
        ]
        if claim.held is not None:
            more, held = _supersede(claim.held, operation)
            compares += more
            success += held
        reads = (Get(request), Get(_resource_key(resource)), Get(route), Get(keys.EPOCH))
        return Txn(tuple(compares), tuple(success), reads)

    async def _settle(self, name: OperationName) -> TxnResult | None:
        """The operation's id is ours alone: where its record is, the transaction was done.

        Where it is not, the transaction might still come; then the router's own scan takes the operation up.
        """
        item = await self._store.get(keys.record(name.tenant, name.operation))
        if item is not None:
            return TxnResult(succeeded=True, revision=item.create_revision)
        return UNANSWERED

    def _refused(self, admission: records.Admission, claim: Claim, result: TxnResult) -> Known:
        request, resource, route, epoch = result.got
        if request is not None:
            return known(request, admission.operation.fingerprint)
        revision = resource.mod_revision if resource is not None else 0
        if revision != claim.resource_revision:
            raise _resource_refused(admission, resource)
        if epoch is None or epoch.mod_revision != claim.epoch.revision:
            raise EpochChangedError("the store was restored while the request was being admitted")
        if claim.route_revision is not None:
            raise RouteMovedError(route)
        raise ConflictError("the held operation has changed", reason="RESOURCE_CHANGED", retry_after=0.1)


def known(item: KeyValue, fingerprint: str) -> Known:
    """Answer the operation of a request id.

    Raises:
        AlreadyExistsError: It was used for something else.
    """
    bound = decode(operation_pb2.RequestClaim, item.value, key=item.key)
    if bound.fingerprint == fingerprint:
        return Known(bound.operation)
    raise AlreadyExistsError(
        f"the request id was used for something else: {bound.operation}",
        reason="REQUEST_ID_REUSED",
        remedy="Use a new request id for a new request.",
        metadata={"operation": bound.operation},
    )


def busy(resource: Resource) -> ConflictError:
    """The error of a resource that an operation holds."""
    held = resource.state == Resource.STATE_HELD
    return ConflictError(
        f"{resource.name} is {'held' if held else 'busy'}: {resource.operation} has it",
        reason="RESOURCE_BUSY",
        remedy="Retry that operation, or deprovision the resource."
        if held
        else "Wait for that operation, or cancel it.",
        metadata={"resource": resource.name, "operation": resource.operation},
        retry_after=None if held else 1.0,
    )


def exists(resource: Resource) -> AlreadyExistsError:
    """The error of a provision whose resource is there already."""
    return AlreadyExistsError(
        f"{resource.name} exists",
        reason="RESOURCE_EXISTS",
        remedy="Update it, or choose another resource id.",
        metadata={"resource": resource.name},
    )


def _resource_refused(
    admission: records.Admission, item: KeyValue | None
) -> ConflictError | AlreadyExistsError | MalformedError:
    if item is None:
        return ConflictError(
            f"{admission.resource.name} was deprovisioned meanwhile", reason="RESOURCE_CHANGED"
        )
    resource = decode(Resource, item.value, key=item.key)
    if resource.operation:
        return busy(resource)
    if admission.operation.verb == operation_pb2.VERB_PROVISION:
        return exists(resource)
    return ConflictError(f"{resource.name} has changed", reason="RESOURCE_CHANGED", retry_after=0.1)


def _supersede(held: Held, by: Operation) -> tuple[list[Compare], list[Op]]:
    """End the held operation in the transaction that admits its successor."""
    name = OperationName.parse(held.operation.name)
    record = keys.record(name.tenant, name.operation)
    ended = records.superseded(held.operation, by.name, moment(by.create_time))
    compares = [unchanged(record, held.revision), absent(keys.owner(name.operation))]
    return compares, [
        Put(record, encode(ended)),
        Delete(keys.active(name.operation)),
        Delete(keys.signals_of(name.operation), prefix=True),
        Put(keys.outbox(name.operation), encode(outbox_of(ended))),
    ]


def _resource_key(resource: Resource) -> str:
    name = ResourceName.parse(resource.name)
    return keys.resource(name.tenant, name.resource)
