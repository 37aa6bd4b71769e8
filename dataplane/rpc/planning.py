"""Planning: what each step of an operation would do, across engines, without changing anything.

The servicer calls it. A step whose inputs depend on outputs that nobody knows yet is deferred and names
them; known outputs of a planned step feed the next. The answer carries a token to which Provision and
Update can be held.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta
from random import Random

from dataplane.dispatch import places
from dataplane.dispatch.engines import Engines
from dataplane.journal.journal import Journal
from dataplane.routing import deadlines, plantoken
from dataplane.routing.calling import work_id
from dataplane.routing.choose import choose
from dataplane.routing.effects import Choose
from dataplane.routing.times import stamp
from dataplane.rpc import requests
from dataplane.rpc.deciding import Caller, Decider, Inputs, Resource, Tables, inputs_fingerprint
from enchain.chains import runtime
from enchain.chains.errors import InvalidArgumentError, PreconditionError, Violation
from enchain.chains.names import ResourceName, workload_name
from enchain.engine.v1 import engine_pb2
from enchain.process.clock import Clock
from enchain.process.telemetry import current_traceparent
from enchain.v1 import chain_pb2, diagnostic_pb2, operation_pb2, provisioning_pb2, value_pb2
from enchain.v1 import engine_pb2 as registry_pb2

StepPlan = provisioning_pb2.StepPlan

PLAN_TTL = timedelta(hours=1)

_UNPLANNABLE = StepPlan.OUTCOME_UNPLANNABLE


@dataclass(slots=True)
class _Draft:
    """A plan in the making.

    Attributes:
        verb: What is planned.
        chain: The chain, with its revision's name.
        resource: The resource as it is or would be.
        inputs: The operation's inputs.
        deadline: Until when the engines may plan.
        caller: Who asks.
        known: Outputs that are known, by step.
        steps: The plans so far.
        digests: The engines' plans, by step.
        scopes: Where they lie, by step.
    """

    verb: operation_pb2.Verb.ValueType
    chain: chain_pb2.Chain
    chain_name: str
    resource: Resource
    inputs: Inputs
    call: engine_pb2.StepCall
    known: dict[str, dict[str, value_pb2.Value]] = field(default_factory=dict)
    steps: list[StepPlan] = field(default_factory=list)
    digests: dict[str, str] = field(default_factory=dict)
    scopes: dict[str, str] = field(default_factory=dict)


class Planner:
    """Plans.

    Args:
        tables: The table.
        decider: Looks resources and chains up.
        journal: Knows the epoch.
        engines: Asks.
        instances: Answers the instances of an engine.
        clock: Time.
        rng: The dice of choosing.
        new_ulid: Makes ids.
        plan_key: Signs tokens.
    """

    def __init__(
        self,
        tables: Tables,
        decider: Decider,
        journal: Journal,
        engines: Engines,
        *,
        instances: Callable[[str], Sequence[registry_pb2.EngineInstance]],
        clock: Clock,
        rng: Random,
        new_ulid: Callable[[], str],
        plan_key: bytes,
    ) -> None:
        self._tables = tables
        self._decider = decider
        self._journal = journal
        self._engines = engines
        self._instances = instances
        self._clock = clock
        self._rng = rng
        self._new_ulid = new_ulid
        self._plan_key = plan_key

    async def plan(
        self, request: provisioning_pb2.PlanRequest, caller: Caller
    ) -> provisioning_pb2.PlanResponse:
        """Say what each step would do.

        Raises:
            EnchainError: The request is refused, or an engine cannot plan what it says it can.
        """
        wanted = requests.plan(request)
        verb = request.verb or operation_pb2.VERB_PROVISION
        if (verb == operation_pb2.VERB_PROVISION) == bool(request.resource):
            told = "a provision is planned by workload, anything else by resource"
            raise InvalidArgumentError(
                told, reason="WRONG_VERB", violations=[Violation("resource", told, "WRONG_VERB")]
            )
        if verb == operation_pb2.VERB_PROVISION:
            return await self._provision(request, wanted, caller)
        return await self._existing(request, wanted, caller, verb)

    async def _provision(
        self, request: provisioning_pb2.PlanRequest, wanted: requests.Wanted, caller: Caller
    ) -> provisioning_pb2.PlanResponse:
        resource_id = wanted.resource_id or f"r-{self._new_ulid().lower()}"
        wanted = replace(wanted, routing_key=wanted.routing_key or resource_id)
        asked = requests.attributes(request, wanted, caller.identity)
        routed = choose(self._tables.table, wanted.workload, asked)
        inputs = requests.check_inputs(routed.content, request.inputs)
        resource = Resource(
            name=str(ResourceName(wanted.tenant, resource_id)),
            uid=self._new_ulid(),
            workload=workload_name(wanted.workload),
            chain=routed.chain,
            arm=routed.arm,
            bucket=routed.bucket,
        )
        verb = operation_pb2.VERB_PROVISION
        draft = await self._draft(verb, routed.content, resource, inputs, wanted, caller)
        for step in routed.content.steps:
            draft.steps.append(await self._apply_step(draft, step, made=None))
        return self._answer(draft, etag="")

    async def _existing(
        self,
        request: provisioning_pb2.PlanRequest,
        wanted: requests.Wanted,
        caller: Caller,
        verb: operation_pb2.Verb.ValueType,
    ) -> provisioning_pb2.PlanResponse:
        resource, revision = await self._decider.resource(wanted)
        chain = await self._decider.chain_of(resource)
        if verb == operation_pb2.VERB_DEPROVISION:
            draft = await self._draft(verb, chain, resource, resource.inputs, wanted, caller)
            for made in reversed(resource.steps):
                draft.steps.append(await self._destroy_step(draft, made))
            return self._answer(draft, etag=str(revision))
        self._decider.check_updatable(resource)
        inputs = requests.check_inputs(chain, request.inputs)
        draft = await self._draft(verb, chain, resource, inputs, wanted, caller)
        for made in resource.steps:
            draft.steps.append(await self._apply_step(draft, _step_of(chain, made), made))
        return self._answer(draft, etag=str(revision))

    async def _draft(
        self,
        verb: operation_pb2.Verb.ValueType,
        chain: chain_pb2.Chain,
        resource: Resource,
        inputs: Inputs,
        wanted: requests.Wanted,
        caller: Caller,
    ) -> _Draft:
        deadline = self._clock.now() + deadlines.operation_timeout(wanted.timeout, chain)
        call = engine_pb2.StepCall(
            verb=verb,
            generation=resource.generation + 1,
            token=engine_pb2.FencingToken(epoch=(await self._journal.epoch()).number),
            deadline=stamp(deadline),
            tenant=wanted.tenant,
            identity=caller.identity,
            workload=resource.workload,
            chain=resource.chain,
            traceparent=current_traceparent(),
        )
        return _Draft(verb, chain, resource.chain, resource, inputs, call)

    async def _apply_step(
        self, draft: _Draft, step: chain_pb2.ChainStep, made: operation_pb2.ResourceStep | None
    ) -> StepPlan:
        """Plan one Apply, or say why it cannot be planned yet."""
        name = step.steps[0]
        known = {of: frozenset(outputs) for of, outputs in draft.known.items()}
        unknown = runtime.unknowns(step, known)
        if unknown:
            return StepPlan(
                step=name,
                engine=step.engine,
                outcome=StepPlan.OUTCOME_DEFERRED,
                unknown=unknown,
                summary=f"waits for {', '.join(unknown)}",
            )
        request = engine_pb2.PlanRequest(
            call=_call(draft, list(step.steps)),
            inputs=runtime.render_inputs(step, self._scope(draft)),
            artifacts=step.artifacts,
            prior=made.handle if made is not None and made.HasField("handle") else None,
        )
        scope = made.scope if made is not None else ""
        wanted = Choose(0, step.engine, version=step.version, scope=scope, update=made is not None)
        return await self._ask(draft, list(step.steps), wanted, request)

    async def _destroy_step(self, draft: _Draft, made: operation_pb2.ResourceStep) -> StepPlan:
        request = engine_pb2.PlanRequest(
            call=_call(draft, list(made.steps)), prior=made.handle if made.HasField("handle") else None
        )
        schema = made.handle.schema
        version = "" if schema else made.version
        wanted = Choose(0, made.engine, version=version, scope=made.scope, handle_schema=schema)
        return await self._ask(draft, list(made.steps), wanted, request)

    async def _ask(
        self, draft: _Draft, steps: list[str], wanted: Choose, request: engine_pb2.PlanRequest
    ) -> StepPlan:
        """Ask an instance, full or not: planning takes no place."""
        instance = self._instance(wanted)
        if registry_pb2.CAPABILITY_PLAN not in instance.capabilities:
            summary = f"{wanted.engine} does not plan; it will do the step"
            return StepPlan(step=steps[0], engine=wanted.engine, outcome=_UNPLANNABLE, summary=summary)
        result = await self._engines.plan(request, instance)
        plan = StepPlan()
        plan.CopyFrom(result.plan)
        plan.step, plan.engine = steps[0], wanted.engine
        plan.outcome = plan.outcome or StepPlan.OUTCOME_PLANNED
        failed = [d for d in result.diagnostics if d.severity == diagnostic_pb2.SEVERITY_ERROR]
        if failed:
            raise PreconditionError(
                f"step {steps[0]} cannot be planned: {failed[0].summary}",
                reason=failed[0].code or "PLAN_FAILED",
                remedy=failed[0].remedy,
                violations=[
                    Violation(failed[0].path or f"steps.{steps[0]}", failed[0].summary, "PLAN_FAILED")
                ],
            )
        draft.known.update({name: dict(plan.outputs) for name in steps})
        if plan.digest:
            draft.digests[steps[0]] = plan.digest
            draft.scopes[steps[0]] = instance.scope
        return plan

    def _instance(self, wanted: Choose) -> registry_pb2.EngineInstance:
        there = self._instances(wanted.engine)
        found = places.pick(there, wanted, running={}, reachable=lambda _: True, rng=self._rng)
        if found is None:
            raise PreconditionError(
                f"no instance of {wanted.engine} {wanted.version} is ready".replace("  ", " "),
                reason="NO_INSTANCE",
                remedy=f"Start an instance of engine {wanted.engine}.",
                metadata={"engine": wanted.engine, "version": wanted.version},
            )
        return found

    def _scope(self, draft: _Draft) -> runtime.Scope:
        name = ResourceName.parse(draft.resource.name)
        return runtime.scope_of(
            draft.chain,
            inputs=draft.inputs,
            outputs=draft.known,
            resource_id=name.resource,
            resource_uid=draft.resource.uid,
            tenant=name.tenant,
        )

    def _answer(self, draft: _Draft, *, etag: str) -> provisioning_pb2.PlanResponse:
        expires = self._clock.now() + PLAN_TTL
        work = plantoken.PlannedWork(
            verb=operation_pb2.Verb.Name(draft.verb),
            chain=draft.chain_name,
            inputs=inputs_fingerprint(draft.inputs),
            resource=draft.resource.name,
            resource_uid=draft.resource.uid,
            etag=etag,
            expires=int(expires.timestamp()),
            digests=draft.digests,
            scopes=draft.scopes,
        )
        return provisioning_pb2.PlanResponse(
            plan_token=plantoken.sign(work, self._plan_key),
            expire_time=stamp(expires.replace(microsecond=0)),
            chain=draft.chain_name,
            arm=draft.resource.arm,
            bucket=draft.resource.bucket,
            steps=draft.steps,
        )


def _unplanned(step: str, found: diagnostic_pb2.Diagnostic) -> PreconditionError:
    return PreconditionError(
        f"step {step} cannot be planned: {found.summary}",
        reason=found.code or "PLAN_FAILED",
        remedy=found.remedy,
        violations=[Violation(found.path or f"steps.{step}", found.summary, "PLAN_FAILED")],
    )


def _call(draft: _Draft, steps: list[str]) -> engine_pb2.StepCall:
    call = engine_pb2.StepCall()
    call.CopyFrom(draft.call)
    call.work_id = work_id(draft.resource.uid, steps[0])
    call.steps.extend(steps)
    return call


def _step_of(chain: chain_pb2.Chain, made: operation_pb2.ResourceStep) -> chain_pb2.ChainStep:
    """What the chain says of a step that was made, or of the fallback that made it."""
    for step in chain.steps:
        if list(step.steps) == list(made.steps):
            other = step.HasField("fallback") and step.engine != made.engine
            return step.fallback if other else step
    raise PreconditionError(
        f"{chain.name} has no step {made.steps[0]}",
        reason="CHAIN_STEP_MISSING",
        remedy="Deprovision the resource and provision it anew.",
    )
