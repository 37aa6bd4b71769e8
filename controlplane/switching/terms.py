"""On which terms a route is moved: how the old chain is drained, how long the new one is watched. Pure.

The service reads them off a request, the catalogue of routes writes them into the record.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta

from google.protobuf.duration_pb2 import Duration

from controlplane.switching.records import Switch
from enchain.chains.decision_names import PoolName
from enchain.chains.errors import InvalidArgumentError, Violation
from enchain.v1 import chain_pb2

WATCH_PLANNED = timedelta(minutes=10)
"""How long a switch that carries out a recommendation is watched, where it says nothing."""

LONGEST = timedelta(days=7)
"""The longest that anything may be asked to take."""


@dataclass(frozen=True, slots=True)
class Terms:
    """What whoever switches may say about how.

    Attributes:
        drain_policy: What becomes of operations that still run on the old chain when draining must end.
        drain: How long they may go on; None: until they end by themselves.
        watch: How long the new chain is watched; None: as is usual.
        warm: How long instances may take to be ready; None: as is usual.
        recommendation: What it carries out; empty where a person decided.
        instances: How many instances a plan wants of each version.
    """

    drain_policy: chain_pb2.DrainPolicy.ValueType = chain_pb2.DRAIN_POLICY_UNSPECIFIED
    drain: timedelta | None = None
    watch: timedelta | None = None
    warm: timedelta | None = None
    recommendation: str = ""
    instances: Mapping[PoolName, int] = field(default_factory=dict)


USUAL = Terms()


def terms_of(request: chain_pb2.SwitchChainRequest) -> Terms:
    """Read the terms off a request.

    Raises:
        InvalidArgumentError: They cannot be kept; every fault is listed.
    """
    terms = Terms(
        drain_policy=request.drain_policy,
        drain=_given(request.drain_timeout) if request.HasField("drain_timeout") else None,
        watch=_given(request.watch_timeout) if request.HasField("watch_timeout") else None,
        warm=_given(request.warm_timeout) if request.HasField("warm_timeout") else None,
    )
    faults = _faults(terms)
    if faults:
        raise InvalidArgumentError(faults[0].description, reason=faults[0].reason, violations=faults)
    return terms


def write_terms(terms: Terms, switch: Switch) -> None:
    """Write terms into a record, with what is usual where nothing is said."""
    handed = chain_pb2.DRAIN_POLICY_HAND_OVER if terms.drain is not None else chain_pb2.DRAIN_POLICY_FINISH
    switch.drain_policy = terms.drain_policy or handed
    if terms.drain is not None:
        switch.drain_timeout.FromTimedelta(terms.drain)
    watch = terms.watch
    if watch is None and terms.recommendation:
        watch = WATCH_PLANNED
    if watch:
        switch.watch_timeout.FromTimedelta(watch)
    if terms.warm is not None:
        switch.warm_timeout.FromTimedelta(terms.warm)
    switch.recommendation = terms.recommendation


def _given(duration: Duration) -> timedelta:
    return timedelta(seconds=duration.seconds, microseconds=duration.nanos // 1000)


def _faults(terms: Terms) -> list[Violation]:
    faults = []
    for name, given in (("drain", terms.drain), ("watch", terms.watch), ("warm", terms.warm)):
        if given is not None and not timedelta() <= given <= LONGEST:
            told = f"{name}_timeout is {given.total_seconds():g} s; write 0 s to {LONGEST.days} days"
            faults.append(Violation(f"{name}_timeout", told, "OUT_OF_RANGE"))
    if terms.drain_policy not in chain_pb2.DrainPolicy.values():
        faults.append(Violation("drain_policy", "there is no such policy", "UNKNOWN_POLICY"))
    waits = terms.drain_policy == chain_pb2.DRAIN_POLICY_FINISH
    if waits and terms.drain is not None:
        told = "operations that finish are waited for however long they take; leave the timeout out"
        faults.append(Violation("drain_timeout", told, "CONTRADICTION"))
    ends = terms.drain_policy in {chain_pb2.DRAIN_POLICY_HAND_OVER, chain_pb2.DRAIN_POLICY_ABORT}
    if ends and terms.drain is None:
        told = "say after which time operations are handed over or aborted; 0 s is at once"
        faults.append(Violation("drain_timeout", told, "REQUIRED"))
    return faults
