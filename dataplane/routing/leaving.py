"""What an operation leaves when it ends or is held: its resource, and a line for statistics.

The journal stores both in the transaction that ends or holds the operation. Only proven absence removes a
resource.
"""

from collections.abc import Iterator, Sequence
from datetime import datetime

from dataplane.routing import budgets
from dataplane.routing.runs import Operation, Run, StepRun, leaves_something, newest_generation, step_name
from dataplane.routing.times import moment, span, stamp
from enchain.chains.names import OperationName
from enchain.v1 import diagnostic_pb2, operation_pb2

Resource = operation_pb2.Resource
ResourceStep = operation_pb2.ResourceStep


def resource_of(run: Run, now: datetime) -> Resource | None:
    """The resource as the operation leaves it; None where nothing is left of it."""
    operation = run.operation
    if _is_gone(operation):
        return None
    resource = Resource()
    resource.CopyFrom(run.resource)
    resource.ClearField("etag")
    resource.generation = max(resource.generation, newest_generation(operation))
    resource.update_time.CopyFrom(stamp(now))
    if operation.state == Operation.STATE_HELD:
        resource.state = Resource.STATE_HELD
        resource.operation = operation.name
        _replace_steps(resource, _held_steps(run))
        return resource
    resource.state = Resource.STATE_READY
    resource.operation = ""
    if operation.state == Operation.STATE_SUCCEEDED:
        _replace_steps(resource, [_made(step) for step in operation.steps])
        resource.inputs.clear()
        resource.outputs.clear()
        for name, value in operation.inputs.items():
            resource.inputs[name].CopyFrom(value)
        for name, value in operation.outputs.items():
            resource.outputs[name].CopyFrom(value)
    return resource


def _is_gone(operation: Operation) -> bool:
    if operation.verb == operation_pb2.VERB_DEPROVISION:
        return operation.state == Operation.STATE_SUCCEEDED
    failed = operation.state in {Operation.STATE_FAILED, Operation.STATE_CANCELLED}
    return operation.verb == operation_pb2.VERB_PROVISION and failed


def _replace_steps(resource: Resource, steps: list[ResourceStep]) -> None:
    del resource.steps[:]
    resource.steps.extend(steps)


def _made(step: StepRun) -> ResourceStep:
    return ResourceStep(
        steps=step.steps,
        engine=step.engine,
        version=step.version,
        scope=step.intent.scope,
        handle=step.handle if step.HasField("handle") else _prior(step),
        outputs=step.outputs,
        generation=step.generation,
    )


def _prior(step: StepRun) -> diagnostic_pb2.Handle | None:
    return step.prior if step.HasField("prior") else None


def _held_steps(run: Run) -> list[ResourceStep]:
    """What may stand while the operation is held, in the order in which it was made."""
    operation = run.operation
    if operation.verb == operation_pb2.VERB_DEPROVISION:
        gone = [list(s.steps) for s in operation.steps if s.state == StepRun.STATE_DONE]
        return [made for made in run.resource.steps if list(made.steps) not in gone]
    if operation.verb == operation_pb2.VERB_UPDATE:
        before = {made.steps[0]: made for made in run.resource.steps}
        return [
            _made(step) if leaves_something(step) else before.get(step_name(step), _made(step))
            for step in operation.steps
        ]
    return [_made(step) for step in operation.steps if leaves_something(step)]


def outbox_of(operation: Operation) -> operation_pb2.OutboxEntry:
    """What an ended operation leaves for statistics, within 2 KiB."""
    entry = operation_pb2.OutboxEntry(
        operation=operation.name,
        verb=operation.verb,
        state=operation.state,
        tenant=OperationName.parse(operation.name).tenant,
        workload=operation.workload,
        chain=operation.chain,
        arm=operation.arm,
        bucket=operation.bucket,
        routing_key=operation.routing_key[:256],
        create_time=operation.create_time,
        end_time=operation.end_time if operation.HasField("end_time") else None,
        steps=[
            left for step in operation.steps for left in (*_fallen_from(operation, step), _outbox_step(step))
        ],
        measures=_measures(operation),
        experiment=operation.experiment,
        experiment_phase=operation.experiment_phase,
        experiment_seed=operation.experiment_seed,
        experiment_forced=operation.experiment_forced,
        requester=operation.identity.subject[:256],
        compensated=any(step.state == StepRun.STATE_COMPENSATED for step in operation.steps),
    )
    budgets.fit_outbox(entry)
    return entry


def _fallen_from(operation: Operation, step: StepRun) -> Iterator[operation_pb2.OutboxStep]:
    """What the engine did that the step's fallback took over from, as far as the events still tell."""
    if not step.fallback:
        return
    found: operation_pb2.OutboxStep | None = None
    for event in operation.events:
        started, ended = event.step_started, event.step_ended
        if started.step == step_name(step):
            if (started.engine, started.version) == (step.engine, step.version):
                break
            found = operation_pb2.OutboxStep(
                step=started.step,
                engine=started.engine,
                version=started.version,
                attempts=started.attempt,
                steps=_joined(step),
            )
        elif found is not None and ended.step == step_name(step):
            found.outcome = ended.outcome
            found.duration.CopyFrom(ended.duration)
            found.code = _code(ended.diagnostics)
    if found is not None and found.outcome:
        yield found


def _outbox_step(step: StepRun) -> operation_pb2.OutboxStep:
    undone = step.state == StepRun.STATE_COMPENSATED
    timed = step.HasField("start_time") and step.HasField("end_time") and not undone
    return operation_pb2.OutboxStep(
        step=step_name(step),
        engine=step.engine,
        version=step.version,
        outcome=step.outcome,
        duration=span(moment(step.end_time) - moment(step.start_time)) if timed else None,
        attempts=step.attempt,
        usage=step.usage if step.HasField("usage") else None,
        code=_code(step.diagnostics),
        steps=_joined(step),
        in_flight=step.in_flight,
    )


def _joined(step: StepRun) -> Sequence[str]:
    """All steps of a call that did several."""
    return step.steps if len(step.steps) > 1 else ()


def _code(diagnostics: Sequence[diagnostic_pb2.Diagnostic]) -> str:
    return diagnostics[0].code[:64] if diagnostics else ""


def _measures(operation: Operation) -> dict[str, float]:
    """Outputs that are numbers."""
    measures = {}
    for name, value in operation.outputs.items():
        kind = value.WhichOneof("kind")
        if kind == "int_value":
            measures[name] = float(value.int_value)
        elif kind == "double_value":
            measures[name] = value.double_value
    return measures
