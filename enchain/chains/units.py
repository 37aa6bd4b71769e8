"""Units: what a request is, and the value of it that an experiment assigns.

`assignment` calls it; routers and clients say what the request is. A value is taken as it was sent, before
any chain adds defaults: which chain it will be is what is being decided.
"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from enchain.v1 import experiment_pb2, origin_pb2, value_pb2

RESOURCE, TENANT, REQUESTER, INPUTS = "resource", "tenant", "requester", "inputs."
KEY_CHARACTERS_MAX = 256


class Attributes(NamedTuple):
    """What a request is. Whatever it does not say is empty.

    Attributes:
        routing_key: Its own, or the resource's id.
        tenant: Id of the tenant.
        requester: Subject of the identity; empty for one that nobody vouches for.
        groups: Groups that the issuer states.
        region: Where it wants to be served.
        zone: Where in the region.
        account: What account it is about.
        host: What host it is about.
        inputs: As sent, without a chain's defaults.
    """

    routing_key: str = ""
    tenant: str = ""
    requester: str = ""
    groups: Sequence[str] = ()
    region: str = ""
    zone: str = ""
    account: str = ""
    host: str = ""
    inputs: Mapping[str, value_pb2.Value] = {}


def attributes_of(message: experiment_pb2.RequestAttributes, key: str = "") -> Attributes:
    """Read what a question says of the request that it is about; the key stands for its routing key."""
    return Attributes(
        routing_key=key,
        tenant=message.tenant,
        requester=message.requester,
        groups=message.groups,
        region=message.locality.region,
        zone=message.locality.zone,
        account=message.target.account,
        host=message.target.host,
        inputs=message.inputs,
    )


def attributes_message(attributes: Attributes) -> experiment_pb2.RequestAttributes:
    """Write what a request is into a question; the opposite of `attributes_of`, but for the routing key."""
    return experiment_pb2.RequestAttributes(
        tenant=attributes.tenant,
        requester=attributes.requester,
        groups=attributes.groups,
        locality=origin_pb2.Locality(region=attributes.region, zone=attributes.zone),
        target=origin_pb2.Target(account=attributes.account, host=attributes.host),
        inputs=attributes.inputs,
    )


def unit_of(unit: str, attributes: Attributes) -> str:
    """The unit's value in a request; empty where it has none that can be assigned."""
    if unit == RESOURCE:
        key = attributes.routing_key
    elif unit == TENANT:
        key = attributes.tenant
    elif unit == REQUESTER:
        key = attributes.requester
    else:
        key = _input(attributes.inputs, unit.removeprefix(INPUTS))
    return key if len(key) <= KEY_CHARACTERS_MAX else ""


def missing(unit: str) -> str:
    """Say why a request has no value of a unit."""
    if unit.startswith(INPUTS):
        return (
            f"it carries no {unit} that is text or a whole number of at most {KEY_CHARACTERS_MAX} characters"
        )
    if unit == REQUESTER:
        return "nobody vouches for who asks"
    return f"it carries no {unit}"


def _input(inputs: Mapping[str, value_pb2.Value], name: str) -> str:
    value = inputs.get(name)
    kind = value.WhichOneof("kind") if value is not None else None
    if value is None or kind not in ("string_value", "int_value"):
        return ""
    return value.string_value if kind == "string_value" else str(value.int_value)
