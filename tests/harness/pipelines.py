"""A chain of two steps and runs on it, for tests of the pipeline machine."""

from datetime import UTC, datetime, timedelta

from dataplane.routing import events, pipeline, records
from dataplane.routing.choose import Routed
from dataplane.routing.effects import Effect
from dataplane.routing.runs import Run
from enchain.chains import routes
from enchain.chains.assignment import Assignment
from enchain.chains.values import Json, to_struct, to_value_map
from enchain.engine.v1 import engine_pb2
from enchain.v1 import chain_pb2, diagnostic_pb2, operation_pb2, origin_pb2, workload_pb2

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
ANY = {"type": "object"}


def chain_of(
    *,
    on_failure: workload_pb2.OnFailure.ValueType = workload_pb2.ON_FAILURE_COMPENSATE,
    fallback: str = "",
    attempts: int = 3,
) -> chain_pb2.Chain:
    """`configure` by terraform, then `serve` by process with an output of `configure`."""
    schema = chain_pb2.EngineSchema(inputs=to_struct(ANY), outputs=to_struct(ANY))
    retry = workload_pb2.Retry(max_attempts=attempts)
    first = chain_pb2.ChainStep(
        steps=["configure"],
        engine="terraform",
        version="1",
        inputs=to_value_map({"name": "${inputs.name}"}),
        schema=schema,
        retry=retry,
    )
    if fallback:
        other = chain_pb2.ChainStep()
        other.CopyFrom(first)
        other.engine = fallback
        first.fallback.CopyFrom(other)
    second = chain_pb2.ChainStep(
        steps=["serve"],
        engine="process",
        version="1",
        inputs=to_value_map({"files": "${steps.configure.outputs.files}"}),
        schema=schema,
        retry=retry,
    )
    return chain_pb2.Chain(
        name="workloads/site/chains/default@abc",
        inputs=to_struct(ANY),
        steps=[first, second],
        outputs=to_value_map({"url": "${steps.serve.outputs.url}"}),
        on_failure=on_failure,
    )


def asked(now: datetime = NOW) -> records.Asked:
    """A request that has passed its checks."""
    return records.Asked(
        tenant="default",
        operation="01KAAAAAAAAAAAAAAAAAAAAAAA",
        request_id="r-1",
        fingerprint="sha256:1",
        now=now,
        deadline=now + timedelta(hours=1),
        epoch=1,
        identity=origin_pb2.Identity(subject="anonymous"),
    )


def routed_to(chain: chain_pb2.Chain, assignment: Assignment | None = None) -> Routed:
    """The key `k`, sent to a chain by the route or by an experiment."""
    place = assignment.place if assignment else None
    return Routed(
        chain=chain.name,
        content=chain,
        arm=place.arm if place else "default",
        bucket=7,
        key="k",
        route=routes.whole(chain.name),
        start=0,
        end=10_000,
        assignment=assignment,
    )


def provision_of(chain: chain_pb2.Chain, assignment: Assignment | None = None) -> Run:
    """A run that provisions."""
    admission = records.provision(
        asked(),
        routed=routed_to(chain, assignment),
        workload="workloads/site",
        resource_id="one",
        resource_uid="01KBBBBBBBBBBBBBBBBBBBBBBB",
        inputs=to_value_map({"name": "x"}),
    )
    return Run(admission.operation, chain, admission.resource)


def ready_resource() -> operation_pb2.Resource:
    """A resource that both steps made."""
    resource = provision_of(chain_of()).resource
    resource.state = operation_pb2.Resource.STATE_READY
    resource.operation = ""
    for name, engine in (("configure", "terraform"), ("serve", "process")):
        made = resource.steps.add(steps=[name], engine=engine, version="1", scope=f"{engine}-scope")
        made.handle.schema = f"{engine}/1"
        made.generation = 1
    return resource


def update_of(chain: chain_pb2.Chain) -> Run:
    """A run that updates that resource."""
    resource = ready_resource()
    inputs = to_value_map({"name": "y"})
    admission = records.update(asked(), resource=resource, chain=chain, inputs=inputs)
    return Run(admission.operation, chain, admission.resource)


def deprovision_of(chain: chain_pb2.Chain) -> Run:
    """A run that deprovisions that resource."""
    admission = records.deprovision(asked(), resource=ready_resource(), chain=chain)
    return Run(admission.operation, chain, admission.resource)


def chosen(step: int, instance: str = "i-1") -> events.InstanceChosen:
    """An instance is chosen for a step."""
    return events.InstanceChosen(step, scope=f"scope-{step}", instance=instance, address="127.0.0.1:1")


def answer(
    step: int,
    outcome: diagnostic_pb2.Outcome.ValueType = diagnostic_pb2.OUTCOME_SUCCEEDED,
    *,
    retryable: bool = False,
    **outputs: Json,
) -> events.StepResult:
    """The engine's result of a step."""
    result = engine_pb2.StepResult(
        outcome=outcome, outputs=to_value_map(outputs or {"files": "f", "url": "u"}), retryable=retryable
    )
    result.handle.schema = "tool/1"
    return events.StepResult(step, result)


def play(run: Run, *happened: events.Event, now: datetime = NOW) -> tuple[Run, tuple[Effect, ...]]:
    """Let events happen one after the other; answer the run and the effects of the last."""
    effects: tuple[Effect, ...] = ()
    for event in happened:
        run, effects = pipeline.step(run, event, now, 0.5)
    return run, effects


def kinds_of(effects: tuple[Effect, ...]) -> list[str]:
    """Name the kinds of effects, in their order."""
    return [type(effect).__name__ for effect in effects]
