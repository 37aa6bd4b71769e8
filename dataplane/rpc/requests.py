"""What a request must keep, checked in one place per method before anything else happens.

The servicer calls it first. Whatever is wrong is told by field; what depends on chain or table is checked
where the chain is known (`check_inputs`).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta

from google.protobuf.duration_pb2 import Duration
from google.protobuf.message import Message

from enchain.chains import schemas
from enchain.chains.digests import fingerprint_of
from enchain.chains.errors import ExhaustedError, InvalidArgumentError, Violation
from enchain.chains.names import (
    REQUEST,
    RESOURCE,
    STEP,
    OperationName,
    ResourceName,
    check_id,
    tenant_id,
    tenant_name,
    workload_id,
)
from enchain.chains.units import Attributes, attributes_of
from enchain.chains.values import json_bytes
from enchain.process.identity import ANONYMOUS, DEFAULT_TENANT
from enchain.v1 import chain_pb2, origin_pb2, provisioning_pb2, value_pb2

INPUT_BYTES_MAX = 16 * 1024
ROUTING_KEY_CHARACTERS_MAX = 256
REASON_CHARACTERS_MAX = 1024
ETAG_CHARACTERS_MAX = 64
PAGE_SIZE_DEFAULT = 50
PAGE_SIZE_MAX = 1000


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a mutation asks for, taken apart.

    Attributes:
        tenant: The tenant's id.
        resource_id: The resource's id; empty where a new one is to be made up.
        request_id: The caller's own id.
        timeout: How long it may take; None where the caller does not say.
        workload: The workload's id; empty where the resource says.
        routing_key: What the cohort is hashed from.
    """

    tenant: str
    resource_id: str
    request_id: str
    timeout: timedelta | None
    workload: str = ""
    routing_key: str = ""


def provision(request: provisioning_pb2.ProvisionRequest) -> Wanted:
    """Check a provision.

    Raises:
        InvalidArgumentError: A field is missing or malformed.
        ExhaustedError: The inputs are too large.
    """
    tenant = _tenant(request.parent)
    workload = workload_id(request.workload, "workload")
    if request.resource_id:
        check_id(RESOURCE, request.resource_id, "resource_id")
    check_id(REQUEST, request.request_id, "request_id")
    _check_length(request.routing_key, ROUTING_KEY_CHARACTERS_MAX, "routing_key")
    _check_size(request.inputs)
    return Wanted(
        tenant=tenant,
        resource_id=request.resource_id,
        request_id=request.request_id,
        timeout=_timeout(request, request.timeout),
        workload=workload,
        routing_key=request.routing_key or request.resource_id or request.request_id,
    )


def update(request: provisioning_pb2.UpdateRequest) -> Wanted:
    """Check an update."""
    _check_size(request.inputs)
    return _of_resource(request, request.name, request.request_id, request.etag, request.timeout)


def deprovision(request: provisioning_pb2.DeprovisionRequest) -> Wanted:
    """Check a deprovision."""
    return _of_resource(request, request.name, request.request_id, request.etag, request.timeout)


def _of_resource(request: Message, name: str, request_id: str, etag: str, timeout: Duration) -> Wanted:
    resource = ResourceName.parse(name)
    _tenant(tenant_name(resource.tenant))
    check_id(REQUEST, request_id, "request_id")
    _check_length(etag, ETAG_CHARACTERS_MAX, "etag")
    return Wanted(resource.tenant, resource.resource, request_id, _timeout(request, timeout))


def plan(request: provisioning_pb2.PlanRequest) -> Wanted:
    """Check a plan: of a provision by workload, of anything else by resource."""
    _check_size(request.inputs)
    timeout = _timeout(request, request.timeout)
    if request.resource:
        resource = ResourceName.parse(request.resource, "resource")
        _tenant(tenant_name(resource.tenant))
        return Wanted(resource.tenant, resource.resource, "", timeout)
    if request.resource_id:
        check_id(RESOURCE, request.resource_id, "resource_id")
    _check_length(request.routing_key, ROUTING_KEY_CHARACTERS_MAX, "routing_key")
    return Wanted(
        tenant=_tenant(request.parent),
        resource_id=request.resource_id,
        request_id="",
        timeout=timeout,
        workload=workload_id(request.workload, "workload"),
        routing_key=request.routing_key or request.resource_id,
    )


def attributes(
    request: provisioning_pb2.ProvisionRequest | provisioning_pb2.PlanRequest,
    wanted: Wanted,
    identity: origin_pb2.Identity,
) -> Attributes:
    """What experiments may go by. A subject that nobody vouches for is none."""
    return Attributes(
        routing_key=wanted.routing_key,
        tenant=wanted.tenant,
        requester="" if identity.subject == ANONYMOUS else identity.subject,
        groups=identity.groups,
        region=request.locality.region,
        zone=request.locality.zone,
        account=request.target.account,
        host=request.target.host,
        inputs=request.inputs,
    )


def attributes_asked(request: provisioning_pb2.ExplainRouteRequest) -> Attributes | None:
    """What a question says of the request that it is about; None where it says nothing."""
    if not request.HasField("attributes"):
        return None
    _check_size(request.attributes.inputs)
    return attributes_of(request.attributes, request.key)


def operation(name: str) -> OperationName:
    """Check an operation's name."""
    parsed = OperationName.parse(name)
    _tenant(tenant_name(parsed.tenant))
    return parsed


def resource(name: str) -> ResourceName:
    """Check a resource's name."""
    parsed = ResourceName.parse(name)
    _tenant(tenant_name(parsed.tenant))
    return parsed


def reason(text: str) -> str:
    """Check a reason that people give."""
    _check_length(text, REASON_CHARACTERS_MAX, "reason")
    return text


def from_step(text: str) -> str:
    """Check the step of a retry; empty means where it stopped."""
    return check_id(STEP, text, "from_step") if text else ""


def parent(name: str) -> str:
    """Check the parent of a list; answer the tenant's id."""
    return _tenant(name)


def page_size(size: int) -> int:
    """Check a page's size; 0 means the default."""
    if size < 0:
        raise _refuse("page_size", "a page has 0 or more entries", "INVALID_PAGE_SIZE")
    return min(size or PAGE_SIZE_DEFAULT, PAGE_SIZE_MAX)


def fingerprint(request: Message) -> str:
    """What tells a repeated request from another one with its id: what is asked for, and by which method."""
    return f"{request.DESCRIPTOR.name}:{fingerprint_of(request)}"


def check_inputs(chain: chain_pb2.Chain, inputs: Mapping[str, value_pb2.Value]) -> dict[str, value_pb2.Value]:
    """Check inputs by the chain's schema and answer them with their defaults.

    Raises:
        InvalidArgumentError: They are off the schema.
        ExhaustedError: With their defaults they are too large.
    """
    whole = schemas.check_inputs(chain.inputs, inputs)
    _check_size(whole)
    return whole


def _tenant(name: str) -> str:
    """Until identities bring tenants there is one."""
    tenant = tenant_id(name)
    if tenant != DEFAULT_TENANT:
        told = f"there is no {name}; write {tenant_name(DEFAULT_TENANT)}"
        raise _refuse("parent", told, "UNKNOWN_TENANT")
    return tenant


def _timeout(request: Message, timeout: Duration) -> timedelta | None:
    if not request.HasField("timeout"):
        return None
    try:
        return timeout.ToTimedelta()
    except (ValueError, OverflowError) as error:
        raise _refuse("timeout", "this is no duration", "INVALID_DURATION") from error


def _check_length(text: str, limit: int, field: str) -> None:
    if len(text) > limit:
        raise _refuse(field, f"at most {limit} characters are taken, not {len(text)}", "TOO_LONG")


def _check_size(inputs: Mapping[str, value_pb2.Value]) -> None:
    size = json_bytes(inputs)
    if size > INPUT_BYTES_MAX:
        told = f"the inputs take {size} bytes; at most {INPUT_BYTES_MAX} are taken"
        raise ExhaustedError(
            told,
            reason="INPUTS_TOO_LARGE",
            remedy="Send large content as an artifact, or a reference to it.",
            metadata={"size": str(size), "limit": str(INPUT_BYTES_MAX), "subject": "inputs"},
            violations=[Violation("inputs", told, "INPUTS_TOO_LARGE")],
        )


def _refuse(field: str, told: str, code: str) -> InvalidArgumentError:
    return InvalidArgumentError(told, reason=code, violations=[Violation(field, told, code)])
