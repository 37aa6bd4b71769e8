"""What a request would write: routed or looked up, checked against chain and resource. It writes nothing.

Admission calls it, again where something moved meanwhile. Each method answers everything that one
transaction needs.
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Protocol

from dataplane.journal.admitting import Claim, Held, busy, exists
from dataplane.journal.epochs import Epoch
from dataplane.journal.journal import Journal
from dataplane.routing import deadlines, plantoken, records
from dataplane.routing.choose import Routed, RouteTable, choose
from dataplane.routing.runs import Operation
from dataplane.rpc import requests
from enchain.chains.digests import fingerprint_of
from enchain.chains.errors import ConflictError, MalformedError, NotFoundError, PreconditionError
from enchain.chains.names import OperationName, ResourceName, workload_name
from enchain.process.clock import Clock
from enchain.process.logs import get_logger
from enchain.process.telemetry import current_traceparent
from enchain.v1 import chain_pb2, engine_pb2, operation_pb2, origin_pb2, provisioning_pb2, value_pb2

Resource = operation_pb2.Resource
Inputs = Mapping[str, value_pb2.Value]
Mutation = (
    provisioning_pb2.ProvisionRequest | provisioning_pb2.UpdateRequest | provisioning_pb2.DeprovisionRequest
)

_log = get_logger(__name__)


class Table(RouteTable, Protocol):
    """What deciding needs of a table."""

    @property
    def revision(self) -> int:
        """The newest revision that it has decided on."""

    def route_revision(self, workload: str) -> int:
        """When the workload's route was last written, as the table knows it."""


class Tables(Protocol):
    """What deciding needs of the table's follower."""

    @property
    def table(self) -> Table:
        """The table in force."""

    async def wait_for(self, revision: int) -> object:
        """Wait until the table has decided on a revision."""


@dataclass(frozen=True, slots=True)
class Caller:
    """Who asks.

    Attributes:
        identity: As the transport says.
    """

    identity: origin_pb2.Identity


@dataclass(frozen=True, slots=True)
class Decided:
    """What a request would write, and on what it rests; `routed` for a provision, which is sent somewhere."""

    admission: records.Admission
    claim: Claim
    chain: chain_pb2.Chain | None
    routed: Routed | None = None


class Decider:
    """Decides what requests would write.

    Args:
        tables: The table.
        journal: Reads resources.
        find_chain: Answers a chain by its name, from table or store; None where it is gone.
        instances: Answers the instances of an engine.
        clock: Time.
        new_ulid: Makes ids.
        plan_key: Verifies plan tokens.
    """

    def __init__(
        self,
        tables: Tables,
        journal: Journal,
        *,
        find_chain: Callable[[str], Awaitable[chain_pb2.Chain | None]],
        instances: Callable[[str], Sequence[engine_pb2.EngineInstance]],
        clock: Clock,
        new_ulid: Callable[[], str],
        plan_key: bytes,
    ) -> None:
        self._tables = tables
        self._journal = journal
        self._find_chain = find_chain
        self._instances = instances
        self._clock = clock
        self._new_ulid = new_ulid
        self._plan_key = plan_key

    async def provision(
        self,
        request: provisioning_pb2.ProvisionRequest,
        wanted: requests.Wanted,
        caller: Caller,
        epoch: Epoch,
    ) -> Decided:
        """Decide on a new resource."""
        table = self._tables.table
        planned = self._planned(request.plan_token)
        if not request.routing_key and (planned_id := _planned_id(planned)):
            wanted = replace(wanted, routing_key=planned_id)  # what the plan was hashed from
        routed = choose(table, wanted.workload, requests.attributes(request, wanted, caller.identity))
        inputs = requests.check_inputs(routed.content, request.inputs)
        timeout = deadlines.operation_timeout(wanted.timeout, routed.content)
        resource_id = wanted.resource_id or _planned_id(planned) or f"r-{self._new_ulid().lower()}"
        name = ResourceName(wanted.tenant, resource_id)
        if planned is not None:
            _check_plan(planned, "VERB_PROVISION", routed.chain, inputs, str(name), etag="")
        admission = records.provision(
            self._asked(request, wanted, caller, epoch, timeout, planned),
            routed=routed,
            workload=workload_name(wanted.workload),
            resource_id=resource_id,
            resource_uid=planned.resource_uid if planned else self._new_ulid(),
            inputs=inputs,
        )
        if request.validate_only:
            await self._check_free(name)
        claim = Claim(epoch, route_revision=table.route_revision(wanted.workload))
        return Decided(admission, claim, routed.content, routed)

    async def update(
        self, request: provisioning_pb2.UpdateRequest, wanted: requests.Wanted, caller: Caller, epoch: Epoch
    ) -> Decided:
        """Decide on a change of a resource."""
        resource, revision = await self.resource(wanted, request.etag)
        if resource.operation:
            raise busy(resource)
        chain = await self.chain_of(resource)
        self.check_updatable(resource)
        inputs = requests.check_inputs(chain, request.inputs)
        timeout = deadlines.operation_timeout(wanted.timeout, chain)
        planned = self._planned(request.plan_token)
        if planned is not None:
            _check_plan(planned, "VERB_UPDATE", resource.chain, inputs, resource.name, etag=str(revision))
        asked = self._asked(request, wanted, caller, epoch, timeout, planned)
        admission = records.update(asked, resource=resource, chain=chain, inputs=inputs)
        return Decided(admission, Claim(epoch, resource_revision=revision), chain)

    async def deprovision(
        self,
        request: provisioning_pb2.DeprovisionRequest,
        wanted: requests.Wanted,
        caller: Caller,
        epoch: Epoch,
    ) -> Decided:
        """Decide on the end of a resource. What a held operation left may be deprovisioned."""
        resource, revision = await self.resource(wanted, request.etag)
        held = await self._held_by(resource)
        chain = await self._chain_if_readable(resource.chain)
        timeout = deadlines.operation_timeout(wanted.timeout, chain)
        asked = self._asked(request, wanted, caller, epoch, timeout, None)
        admission = records.deprovision(asked, resource=resource, chain=chain)
        return Decided(admission, Claim(epoch, resource_revision=revision, held=held), chain)

    def _asked(
        self,
        request: Mutation,
        wanted: requests.Wanted,
        caller: Caller,
        epoch: Epoch,
        timeout: timedelta,
        planned: plantoken.PlannedWork | None,
    ) -> records.Asked:
        now = self._clock.now()
        provision = request if isinstance(request, provisioning_pb2.ProvisionRequest) else None
        return records.Asked(
            tenant=wanted.tenant,
            operation=self._new_ulid(),
            request_id=wanted.request_id,
            fingerprint=requests.fingerprint(request),
            now=now,
            deadline=now + timeout,
            epoch=epoch.number,
            identity=caller.identity,
            traceparent=current_traceparent(),
            locality=provision.locality if provision and provision.HasField("locality") else None,
            target=provision.target if provision and provision.HasField("target") else None,
            plan_digests=planned.digests if planned else {},
            plan_scopes=planned.scopes if planned else {},
        )

    # --- what planning looks up and checks, too

    async def resource(self, wanted: requests.Wanted, etag: str = "") -> tuple[Resource, int]:
        """Read the resource that a request names, and check the etag.

        Raises:
            NotFoundError: There is none.
            ConflictError: It changed since the caller read it.
        """
        name = ResourceName(wanted.tenant, wanted.resource_id)
        resource, revision = await self._journal.read_resource(name)
        if resource is None:
            raise NotFoundError(f"there is no {name}", reason="RESOURCE_NOT_FOUND")
        if etag and etag != str(revision):
            raise ConflictError(
                f"{name} has changed since it was read",
                reason="ETAG_MISMATCH",
                remedy="Read it again, decide again.",
                metadata={"resource": str(name)},
            )
        return resource, revision

    async def chain_of(self, resource: Resource) -> chain_pb2.Chain:
        """Answer the chain that made a resource.

        Raises:
            PreconditionError: It is gone.
        """
        chain = await self._find_chain(resource.chain)
        if chain is None:
            raise PreconditionError(
                f"{resource.chain}, which made {resource.name}, is gone",
                reason="CHAIN_MISSING",
                remedy="Deprovision the resource and provision it anew.",
            )
        return chain

    async def _chain_if_readable(self, name: str) -> chain_pb2.Chain | None:
        """A deprovision goes by what the resource says; a chain that was broken since must not stop it."""
        try:
            return await self._find_chain(name)
        except MalformedError as error:
            _log.warning("chain cannot be read", chain=name, reason=error.message)
            return None

    def check_updatable(self, resource: Resource) -> None:
        """Refuse an update that some step's engine is known not to be capable of.

        Raises:
            PreconditionError: Its instances are there and cannot update.
        """
        for made in resource.steps:
            fit = [
                instance
                for instance in self._instances(made.engine)
                if instance.version == made.version and instance.scope == made.scope
            ]
            if fit and not any(engine_pb2.CAPABILITY_UPDATE in i.capabilities for i in fit):
                raise PreconditionError(
                    f"engine {made.engine} {made.version} cannot change what step {made.steps[0]} made",
                    reason="UPDATE_NOT_SUPPORTED",
                    remedy="Deprovision the resource and provision it anew.",
                    metadata={"step": made.steps[0], "engine": made.engine},
                )

    async def _check_free(self, name: ResourceName) -> None:
        resource, _ = await self._journal.read_resource(name)
        if resource is not None:
            raise busy(resource) if resource.operation else exists(resource)

    async def _held_by(self, resource: Resource) -> Held | None:
        """The held operation that a deprovision takes over from; None for an idle resource."""
        if not resource.operation:
            return None
        if resource.state != Resource.STATE_HELD:
            raise busy(resource)
        stored = await self._journal.read(OperationName.parse(resource.operation))
        if stored.operation.state != Operation.STATE_HELD:
            raise busy(resource)
        return Held(stored.operation, stored.revision)

    def _planned(self, token: str) -> plantoken.PlannedWork | None:
        return plantoken.verify(token, self._plan_key, self._clock.now()) if token else None


def _planned_id(planned: plantoken.PlannedWork | None) -> str:
    """The id that a plan made up, where the request names none either."""
    return ResourceName.parse(planned.resource).resource if planned else ""


def _check_plan(
    planned: plantoken.PlannedWork, verb: str, chain: str, inputs: Inputs, resource: str, *, etag: str
) -> None:
    asked = plantoken.PlannedWork(
        verb=verb,
        chain=chain,
        inputs=inputs_fingerprint(inputs),
        resource=resource,
        resource_uid=planned.resource_uid,
        etag=etag,
        expires=planned.expires,
    )
    plantoken.check(planned, asked)


def inputs_fingerprint(inputs: Inputs) -> str:
    """Digest of inputs with their defaults."""
    return fingerprint_of(value_pb2.MapValue(fields=inputs))
