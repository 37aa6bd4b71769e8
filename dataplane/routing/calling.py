"""What to ask of whom: the requests to engines and the instances that may serve them.

The pipeline machine calls it. Expressions are evaluated here, each time anew, from what the record says, so
that an adopter sends what the first owner sent. Fencing token and trace are the shell's to add.
"""

from dataplane.routing.effects import CallApply, CallDestroy, Choose
from dataplane.routing.runs import (
    Run,
    StepRun,
    chain_step_of,
    deadline_of,
    is_destroying,
    step_name,
    verb_at_hand,
)
from dataplane.routing.times import stamp
from enchain.chains import runtime
from enchain.chains.errors import OurError
from enchain.chains.names import OperationName, ResourceName
from enchain.engine.v1 import engine_pb2
from enchain.v1 import chain_pb2, diagnostic_pb2, operation_pb2, value_pb2


def work_id(resource_uid: str, step: str) -> str:
    """The name by which everything that a step made can be found."""
    return f"{resource_uid}/{step}"


def choose(run: Run, index: int) -> Choose:
    """Say which instances may do a step."""
    step = run.operation.steps[index]
    if is_destroying(run.operation):
        schema = located(step).schema
        return Choose(
            index,
            step.engine,
            version="" if schema else step.version,
            scope=step.intent.scope,
            handle_schema=schema,
        )
    updating = run.operation.verb == operation_pb2.VERB_UPDATE
    return Choose(index, step.engine, version=step.version, scope=step.intent.scope, update=updating)


def located(step: StepRun) -> diagnostic_pb2.Handle:
    """The newest handle of a step; empty where none is known and `work_id` must do."""
    return step.handle if step.HasField("handle") else step.prior


def call(run: Run, index: int, *, again: bool) -> CallApply | CallDestroy:
    """Make the request for the step at hand.

    Raises:
        EnchainError: An expression cannot be evaluated.
    """
    if is_destroying(run.operation):
        return _destroy(run, index, again=again)
    return _apply(run, index, again=again)


def check_inputs(run: Run, index: int) -> None:
    """Evaluate the inputs of a step before anything is written for it.

    Raises:
        EnchainError: An expression cannot be evaluated.
    """
    if not is_destroying(run.operation):
        inputs_of(run, index)


def inputs_of(run: Run, index: int) -> dict[str, value_pb2.Value]:
    """Evaluate the inputs of a step."""
    return dict(runtime.render_inputs(_chain_step(run, index), scope_of(run, index)))


def outputs_of(run: Run) -> dict[str, value_pb2.Value]:
    """Evaluate what the resource answers, once every step has run."""
    return dict(runtime.render_outputs(chain_of(run), scope_of(run, len(run.operation.steps))))


def scope_of(run: Run, index: int) -> runtime.Scope:
    """What expressions of a step may see: inputs, resource, and outputs of the steps before it."""
    operation = run.operation
    known: dict[str, dict[str, value_pb2.Value]] = {}
    for step in list(operation.steps)[:index]:
        known.update({name: dict(step.outputs) for name in step.steps})
    resource = ResourceName.parse(operation.resource)
    return runtime.scope_of(
        chain_of(run),
        inputs=operation.inputs,
        outputs=known,
        resource_id=resource.resource,
        resource_uid=operation.resource_uid,
        tenant=resource.tenant,
    )


def chain_of(run: Run) -> chain_pb2.Chain:
    """The chain; only a deprovision may be without."""
    if run.chain is None:
        raise OurError(f"{run.operation.name} lost its chain", reason="CHAIN_MISSING")
    return run.chain


def _chain_step(run: Run, index: int) -> chain_pb2.ChainStep:
    found = chain_step_of(run, index)
    if found is None:
        step = step_name(run.operation.steps[index])
        raise OurError(f"{run.operation.chain} has no step {step}", reason="CHAIN_STEP_MISSING")
    return found


def _apply(run: Run, index: int, *, again: bool) -> CallApply:
    step, chain_step = run.operation.steps[index], _chain_step(run, index)
    request = engine_pb2.ApplyRequest(
        call=step_call(run, index),
        inputs=inputs_of(run, index),
        artifacts=chain_step.artifacts,
        plan_digest=run.operation.plan_digests.get(step_name(step), ""),
        prior=step.prior if step.HasField("prior") else None,
    )
    return CallApply(index, request, again=again)


def _destroy(run: Run, index: int, *, again: bool) -> CallDestroy:
    step = run.operation.steps[index]
    request = engine_pb2.DestroyRequest(call=step_call(run, index))
    if step.HasField("handle") or step.HasField("prior"):
        request.handle.CopyFrom(located(step))
    return CallDestroy(index, request, again=again)


def step_call(run: Run, index: int) -> engine_pb2.StepCall:
    """What every call about a step carries, but for token and trace."""
    operation, step = run.operation, run.operation.steps[index]
    return engine_pb2.StepCall(
        work_id=work_id(operation.resource_uid, step_name(step)),
        verb=verb_at_hand(operation),
        generation=step.generation,
        deadline=stamp(deadline_of(run, index)),
        tenant=OperationName.parse(operation.name).tenant,
        identity=operation.identity if operation.HasField("identity") else None,
        locality=operation.locality if operation.HasField("locality") else None,
        target=operation.target if operation.HasField("target") else None,
        operation=operation.name,
        workload=operation.workload,
        chain=operation.chain,
        steps=step.steps,
    )
