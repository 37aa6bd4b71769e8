"""What admission writes: the operation's record, the claimed resource, and the keys beside them.

The rpc rooms call it once a request has passed all checks. Ids, time and trace are arguments.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from dataplane.routing import budgets, journaling
from dataplane.routing.choose import Routed
from dataplane.routing.times import stamp
from enchain.chains.names import OperationName, ResourceName
from enchain.v1 import (
    chain_pb2,
    diagnostic_pb2,
    operation_pb2,
    origin_pb2,
    value_pb2,
    workload_pb2,
)

Operation = operation_pb2.Operation
Resource = operation_pb2.Resource
StepRun = operation_pb2.StepRun


@dataclass(frozen=True, slots=True)
class Asked:
    """A request that has passed its checks, with all that admission adds to it.

    Attributes:
        tenant: The tenant's id.
        operation: ULID of the operation to be.
        request_id: The caller's own id of the request.
        fingerprint: Digest of what is asked for.
        now: The time of admission.
        deadline: When it must have ended.
        epoch: The store's epoch.
        identity: Who asks.
        traceparent: The trace that it belongs to.
        locality: Where it wants to be served.
        target: What account or host it is about.
        plan_digests: The plans to apply exactly, by step.
        plan_scopes: The scopes that keep them, by step.
    """

    tenant: str
    operation: str
    request_id: str
    fingerprint: str
    now: datetime
    deadline: datetime
    epoch: int
    identity: origin_pb2.Identity
    traceparent: str = ""
    locality: origin_pb2.Locality | None = None
    target: origin_pb2.Target | None = None
    plan_digests: Mapping[str, str] = field(default_factory=dict)
    plan_scopes: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Admission:
    """What one admission writes."""

    operation: Operation
    resource: Resource


def provision(
    asked: Asked,
    *,
    routed: Routed,
    workload: str,
    resource_id: str,
    resource_uid: str,
    inputs: Mapping[str, value_pb2.Value],
) -> Admission:
    """Make the record of a new resource's first operation. Where it goes, it stays."""
    enrolled = routed.enrolled
    name = str(ResourceName(asked.tenant, resource_id))
    resource = Resource(
        name=name,
        uid=resource_uid,
        state=Resource.STATE_PROVISIONING,
        workload=workload,
        chain=routed.chain,
        arm=routed.arm,
        bucket=routed.bucket,
        routing_key=routed.key,
        experiment=enrolled.experiment if enrolled else "",
        experiment_phase=enrolled.phase if enrolled else 0,
        experiment_seed=enrolled.place.seed if enrolled and enrolled.place else "",
        experiment_forced=enrolled.forced if enrolled else False,
        inputs=inputs,
        generation=1,
        create_time=stamp(asked.now),
        identity=asked.identity,
        target=asked.target,
    )
    steps = [_first(step, asked) for step in routed.content.steps]
    return _admission(asked, operation_pb2.VERB_PROVISION, resource, steps, routed.content)


def _first(step: chain_pb2.ChainStep, asked: Asked) -> StepRun:
    scope = asked.plan_scopes.get(step.steps[0], "")
    return StepRun(
        steps=step.steps,
        engine=step.engine,
        version=step.version,
        state=StepRun.STATE_PENDING,
        intent=operation_pb2.StepIntent(scope=scope) if scope else None,
        generation=1,
        attempt=1,
    )


def update(
    asked: Asked,
    *,
    resource: Resource,
    chain: chain_pb2.Chain,
    inputs: Mapping[str, value_pb2.Value],
) -> Admission:
    """Make the record of a change along the chain that made the resource."""
    claimed = Resource()
    claimed.CopyFrom(resource)
    claimed.state = Resource.STATE_UPDATING
    claimed.generation += 1
    steps = [_next(made, chain, claimed.generation) for made in resource.steps]
    return _admission(asked, operation_pb2.VERB_UPDATE, claimed, steps, chain, inputs)


def _next(made: operation_pb2.ResourceStep, chain: chain_pb2.Chain, generation: int) -> StepRun:
    planned = next((step for step in chain.steps if list(step.steps) == list(made.steps)), None)
    return StepRun(
        steps=made.steps,
        engine=made.engine,
        version=made.version,
        state=StepRun.STATE_PENDING,
        intent=operation_pb2.StepIntent(scope=made.scope),
        generation=generation,
        attempt=1,
        prior=made.handle if made.HasField("handle") else None,
        fallback=planned is not None and planned.engine != made.engine,
    )


def deprovision(asked: Asked, *, resource: Resource, chain: chain_pb2.Chain | None) -> Admission:
    """Make the record of a deprovision: the recorded steps, in reverse."""
    claimed = Resource()
    claimed.CopyFrom(resource)
    claimed.state = Resource.STATE_DEPROVISIONING
    claimed.generation += 1
    steps = [
        StepRun(
            steps=made.steps,
            engine=made.engine,
            version=made.version,
            state=StepRun.STATE_PENDING,
            intent=operation_pb2.StepIntent(scope=made.scope),
            generation=claimed.generation,
            attempt=1,
            handle=made.handle if made.HasField("handle") else None,
        )
        for made in reversed(resource.steps)
    ]
    return _admission(asked, operation_pb2.VERB_DEPROVISION, claimed, steps, chain)


def _admission(
    asked: Asked,
    verb: operation_pb2.Verb.ValueType,
    resource: Resource,
    steps: list[StepRun],
    chain: chain_pb2.Chain | None,
    inputs: Mapping[str, value_pb2.Value] | None = None,
) -> Admission:
    """Put together what every verb has."""
    name = str(OperationName(asked.tenant, asked.operation))
    resource.operation = name
    resource.update_time.CopyFrom(stamp(asked.now))
    resource.ClearField("etag")
    policy = chain.on_failure if chain is not None else workload_pb2.ON_FAILURE_UNSPECIFIED
    operation = Operation(
        name=name,
        verb=verb,
        state=Operation.STATE_RUNNING,
        workload=resource.workload,
        resource=resource.name,
        resource_uid=resource.uid,
        chain=resource.chain,
        arm=resource.arm,
        bucket=resource.bucket,
        routing_key=resource.routing_key,
        experiment=resource.experiment,
        experiment_phase=resource.experiment_phase,
        experiment_seed=resource.experiment_seed,
        experiment_forced=resource.experiment_forced,
        inputs=resource.inputs if inputs is None else inputs,
        steps=steps,
        request_id=asked.request_id,
        fingerprint=asked.fingerprint,
        identity=asked.identity,
        locality=asked.locality,
        target=asked.target if asked.target is not None else resource.target,
        create_time=stamp(asked.now),
        deadline=stamp(asked.deadline),
        traceparent=asked.traceparent,
        on_failure=workload_pb2.OnFailure.Name(policy or workload_pb2.ON_FAILURE_COMPENSATE),
        plan_digests=asked.plan_digests,
        epoch=asked.epoch,
    )
    journaling.admitted(operation, asked.now)
    budgets.fit(operation)
    return Admission(operation, resource)


def superseded(held: Operation, by: str, now: datetime) -> Operation:
    """End a held operation whose resource is being deprovisioned by another one."""
    ended = Operation()
    ended.CopyFrom(held)
    ended.ClearField("etag")
    ended.diagnostics.append(
        diagnostic_pb2.Diagnostic(
            severity=diagnostic_pb2.SEVERITY_INFO,
            code="SUPERSEDED",
            domain="enchain",
            summary=f"{by} deprovisions what it left",
        )
    )
    journaling.ended(ended, Operation.STATE_FAILED, now)
    budgets.fit(ended)
    return ended


def request_claim(operation: Operation) -> operation_pb2.RequestClaim:
    """Bind the request's id to its operation."""
    return operation_pb2.RequestClaim(operation=operation.name, fingerprint=operation.fingerprint)


def active(operation: Operation) -> operation_pb2.ActiveOperation:
    """Say that an operation has begun and not ended."""
    return operation_pb2.ActiveOperation(
        operation=operation.name,
        chain=operation.chain,
        workload=operation.workload,
        held=operation.state == Operation.STATE_HELD,
    )
