"""Checks of what an engine says without doing anything: handshake, schema, Validate, Plan, Observe."""

import re

import jsonschema
from google.protobuf.struct_pb2 import Struct

from enchain.chains.errors import EnchainError
from enchain.chains.names import InstanceName
from enchain.chains.values import from_struct
from enchain.engine.v1 import engine_pb2
from enchain.sdk.conformance.calling import Stream
from enchain.sdk.conformance.catalogue import Group, SkippedError, require
from enchain.sdk.conformance.expecting import nothing_made, nothing_stands, paths_of
from enchain.sdk.conformance.probe import Probe, Work, told
from enchain.v1 import chain_pb2, diagnostic_pb2, provisioning_pb2
from enchain.v1 import engine_pb2 as registry_pb2

CHECKS = Group()

HEARTBEAT_SECONDS_MAX = 60.0
_HANDLE_SCHEMA = re.compile(r"[a-z][a-z0-9-]*/[0-9]+", re.ASCII)
_PRESENCES = engine_pb2.ObserveResponse.Presence


@CHECKS.add()
async def handshake_is_complete(probe: Probe) -> None:
    """Handshake says all that the router has to know of the instance.

    That is its name, engine, version, address, scope, capacity, capabilities and handle schemas, that it is
    READY, and a heartbeat interval of at most a minute.
    """
    answer = await probe.shake_hands()
    instance = answer.instance
    try:
        name = InstanceName.parse(instance.name)
    except EnchainError as error:
        require(False, f"instance.name is not `engines/ENGINE/instances/INSTANCE`: {error.message}")
        raise
    require(
        name.engine == instance.engine, f"instance.engine is {instance.engine!r}, not as in {instance.name}"
    )
    for field in ("version", "address", "scope", "handle_schemas"):
        require(getattr(instance, field), f"instance.{field} is empty")
    require(instance.capacity >= 1, f"instance.capacity is {instance.capacity}")
    require(instance.state == registry_pb2.EngineInstance.STATE_READY, "instance.state is not STATE_READY")
    capabilities = list(instance.capabilities)
    require(0 not in capabilities, "instance.capabilities holds CAPABILITY_UNSPECIFIED")
    require(len(set(capabilities)) == len(capabilities), "instance.capabilities names one twice")
    for schema in instance.handle_schemas:
        require(_HANDLE_SCHEMA.fullmatch(schema), f"the handle schema {schema!r} is not as `NAME/VERSION`")
    interval = probe.heartbeat_seconds
    require(0 < interval <= HEARTBEAT_SECONDS_MAX, f"heartbeat_interval is {interval:g} s")


@CHECKS.add()
async def schema_is_json_schema(probe: Probe) -> None:
    """GetSchema answers JSON Schemas (draft 2020-12) of inputs and outputs, the same each time.

    Its handle schemas are among those that the handshake named.
    """
    schema = await schema_of(probe)
    for field in ("inputs", "outputs", "variables"):
        rules: Struct = getattr(schema, field)
        try:
            jsonschema.Draft202012Validator.check_schema(from_struct(rules))
        except jsonschema.SchemaError as error:
            require(False, f"schema.{field} is no JSON Schema: {error.message}")
    require(from_struct(schema.inputs).get("type") == "object", "schema.inputs is not of type object")
    require(schema.handle_schemas, "schema.handle_schemas is empty")
    unknown = set(schema.handle_schemas) - set(probe.instance.handle_schemas)
    require(not unknown, f"the handshake does not name the handle schemas {sorted(unknown)}")
    again = await schema_of(probe)
    stable = schema.SerializeToString(deterministic=True) == again.SerializeToString(deterministic=True)
    require(stable, "GetSchema answers something else when asked again")


async def schema_of(probe: Probe) -> chain_pb2.EngineSchema:
    """Ask for the schema of the good sample's artifacts.

    Raises:
        SkippedError: The engine needs artifacts, and there is no good sample.
    """
    if probe.instance.artifact_inputs and "good" not in probe.inputs.samples:
        raise SkippedError("the engine takes artifacts, and the suite inputs have no sample `good`")
    artifacts = probe.sample("good").refs() if "good" in probe.inputs.samples else {}
    request = engine_pb2.GetSchemaRequest(artifacts=artifacts, steps=[probe.inputs.step])
    return (await probe.caller.get_schema(request)).schema


@CHECKS.add("good")
async def validate_is_pure(probe: Probe) -> None:
    """Validate finds no error in good inputs, however often it is asked and whatever was done meanwhile."""
    sample = probe.sample("good")
    request = engine_pb2.ValidateRequest(inputs=sample.values(), artifacts=sample.refs())
    for moment in ("before", "again before", "after"):
        if moment == "after":
            await probe.good()
        found = (await probe.caller.validate(request)).diagnostics
        errors = [item.summary for item in found if item.severity == diagnostic_pb2.SEVERITY_ERROR]
        require(not errors, f"{moment} an Apply, Validate finds in good inputs: {'; '.join(errors)}")


@CHECKS.add("good", capability=registry_pb2.CAPABILITY_PLAN)
async def plan_changes_nothing(probe: Probe) -> None:
    """Plan ends in exactly one plan, with no handle and no result on the way, and leaves nothing behind."""
    work, stream = await planned(probe)
    kinds = [event.WhichOneof("event") for event in stream.events]
    require(kinds.count("plan") == 1, f"Plan sent {kinds.count('plan')} plans")
    require(kinds[-1] == "plan", f"Plan sent {kinds[-1]} after the plan")
    strangers = sorted({kind or "an empty event" for kind in kinds} & {"result", "handle", "an empty event"})
    require(not strangers, f"Plan sent {', '.join(strangers)}")
    await nothing_made(probe, work, "a Plan")


@CHECKS.add("good", capability=registry_pb2.CAPABILITY_PLAN)
async def plan_is_deterministic(probe: Probe) -> None:
    """Plan says the same changes and outputs when nothing has changed."""
    plans = []
    work = probe.new_work(probe.sample("good"))
    for _ in range(2):
        _, stream = await planned(probe, work)
        assert stream.plan is not None
        plan = provisioning_pb2.StepPlan()
        plan.CopyFrom(stream.plan.plan)
        plan.digest = ""  # it may name a stored plan, which is another one each time
        plans.append(plan.SerializeToString(deterministic=True))
    require(plans[0] == plans[1], "Plan says something else when asked again, though nothing has changed")


async def planned(probe: Probe, work: Work | None = None) -> tuple[Work, Stream]:
    """Plan the good sample for new work; the check fails where that gives no plan."""
    sample = probe.sample("good")
    work = work or probe.new_work(sample)
    request = engine_pb2.PlanRequest(
        call=probe.call(work.work_id), inputs=sample.values(), artifacts=sample.refs()
    )
    stream = await probe.caller.plan(request).rest()
    require(stream.refusal is None, str(stream.refusal))
    require(stream.plan is not None, "Plan ended without a plan")
    assert stream.plan is not None
    outcome = stream.plan.plan.outcome
    name = provisioning_pb2.StepPlan.Outcome.Name(outcome)
    require(outcome == provisioning_pb2.StepPlan.OUTCOME_PLANNED, f"the plan of good inputs is {name}")
    return work, stream


@CHECKS.add("good", capability=registry_pb2.CAPABILITY_OBSERVE)
async def observe_sees_what_stands(probe: Probe) -> None:
    """Observe says PRESENT, without drift, of what Apply has just made."""
    work = await probe.good()
    answer = await probe.observe(work, work.handle)
    name = _PRESENCES.Name(answer.presence)
    found = "; ".join(text for _, text in paths_of(answer.diagnostics))
    present = answer.presence == _PRESENCES.PRESENCE_PRESENT
    require(present, f"after a successful Apply, Observe says {name} {found}".rstrip())
    drift = [f"{change.address} {change.detail}".strip() for change in answer.drift]
    require(not drift, f"Observe sees drift in what was just made: {'; '.join(drift)}")


@CHECKS.add("good", capability=registry_pb2.CAPABILITY_OBSERVE)
async def observe_sees_absence(probe: Probe) -> None:
    """Observe says ABSENT of work that was never begun, and of what was destroyed."""
    await nothing_stands(probe, probe.new_work(), "nothing at all")
    work, destroyed = await probe.gone()
    require(destroyed.refusal is None, told(destroyed))
    await nothing_stands(probe, work, "a Destroy", work.handle)
