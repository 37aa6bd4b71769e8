"""The process engine: starts, supervises, measures and stops real local services.

The SDK's server calls it. It answers schema, plan and observation here, leaves the doing to `applying` and
the keeping to `supervising`. It never ends a service because the engine itself ends.
"""

import asyncio
import os
import random
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path

from enchain.chains.errors import PreconditionError
from enchain.chains.values import Json
from enchain.engines.process.applying import Address, Applying
from enchain.engines.process.checks import check_inputs, read_spec
from enchain.engines.process.failures import invalid, unproven
from enchain.engines.process.files import changed_files
from enchain.engines.process.launching import Launching
from enchain.engines.process.locks import locked, try_lock
from enchain.engines.process.measuring import Measurement
from enchain.engines.process.namespaces import Presence
from enchain.engines.process.planning import Change, plan_apply, plan_destroy, plan_digest, summary_of
from enchain.engines.process.records import (
    FILES,
    Registry,
    Service,
    key_of,
    read_spec_file,
    running_launch,
)
from enchain.engines.process.schema import INPUTS, OUTPUTS, VARIABLES
from enchain.engines.process.secret_env import SecretSource
from enchain.engines.process.spec import Spec, wants_port
from enchain.engines.process.stopping import members
from enchain.engines.process.supervising import Pace, Supervisor
from enchain.engines.process.telemetry import ServiceMetrics
from enchain.process.clock import Clock, SystemClock
from enchain.process.telemetry import meter
from enchain.sdk.port import Engine, Finding, Host, Observation, PlannedStep, PlanStaleError, Step
from enchain.v1 import engine_pb2, operation_pb2

DEFAULT_PORTS = range(20000, 30000)


@dataclass(frozen=True, slots=True)
class ProcessSettings:
    """How an instance of the engine behaves.

    Attributes:
        ports: What services' ports are chosen from. All instances of a scope should have the same.
        host: The address that services are told and probed at. Loopback, unless others shall reach them.
        pace: How often the supervisor looks.
    """

    ports: range = DEFAULT_PORTS
    host: str = "127.0.0.1"
    pace: Pace = field(default_factory=Pace)


class ProcessEngine(Engine):
    """Makes a step a running service.

    Args:
        settings: How it behaves.
        clock: Time.
        rng: Where in the range of ports to begin looking.
    """

    name = "process"
    version = version("enchain")
    capabilities = frozenset(
        {
            engine_pb2.CAPABILITY_OBSERVE,
            engine_pb2.CAPABILITY_UPDATE,
            engine_pb2.CAPABILITY_CANCEL,
            engine_pb2.CAPABILITY_REATTACH,
            engine_pb2.CAPABILITY_PLAN,
        }
    )
    handle_schema = "process/1"
    inputs = INPUTS
    outputs = OUTPUTS
    variables = VARIABLES
    repeatable = True

    def __init__(
        self,
        settings: ProcessSettings | None = None,
        *,
        clock: Clock | None = None,
        rng: random.Random | None = None,
    ) -> None:
        self._settings = settings or ProcessSettings()
        self._clock = clock or SystemClock()
        self._rng = rng or random.Random()  # noqa: S311 - spreads ports, guards nothing
        self._running: _Running | None = None

    async def start(self, host: Host) -> None:
        """Take over the services of the scope that no instance watches."""
        registry = Registry(host.scope)
        presence = Presence.join(host.scope / "process")
        launching = Launching(
            registry, self._clock, new_id=lambda: secrets.token_hex(8), environ=dict(os.environ)
        )
        address = Address(self._settings.host, self._settings.ports)
        supervisor = Supervisor(
            registry, launching, SecretSource(host.secrets), self._clock, self._settings.pace
        )
        applying = Applying(registry, launching, address, self._clock, self._rng)
        self._running = _Running(registry, presence, supervisor, applying)
        ServiceMetrics(meter("enchain.engines.process"), supervisor.measurements)
        supervisor.start()

    async def stop(self) -> None:
        """Let go of the services; they go on serving."""
        if self._running is not None:
            await self._running.supervisor.stop()
            self._running.presence.leave()
            self._running = None

    async def validate(
        self,
        inputs: Mapping[str, Json],
        artifacts: Mapping[str, Path],  # noqa: ARG002 - the port's; this engine takes none
    ) -> Sequence[Finding]:
        """Check what the schema cannot say: paths, names, texts, durations."""
        return check_inputs(inputs)

    async def apply(self, step: Step) -> Mapping[str, Json]:
        """Start the service, change it, or find that it runs just so."""
        running = self._started()
        key = key_of(step.tenant, step.work_id)
        async with locked(running.registry.lock_path(key, "change"), self._clock) as lock:
            service = running.registry.load(key)
            self._refuse_stale(step, service)
            try:
                service = await running.applying.apply(step, service)
            finally:
                if running.registry.load(key) is None:
                    await self._forget(running, key)
                    lock.discard()
            outputs = running.applying.outputs(service)
        running.supervisor.look(key)
        return outputs

    async def destroy(self, step: Step) -> None:
        """End the service with all its processes; give its port back; remove its directory."""
        running = self._started()
        key = key_of(step.tenant, step.work_id)
        async with locked(running.registry.lock_path(key, "change"), self._clock) as lock:
            await running.applying.destroy(step, running.registry.load(key))
            await self._forget(running, key)
            lock.discard()

    async def plan(self, step: Step) -> PlannedStep:
        """Say which files, which command and which port."""
        running = self._started()
        service = running.registry.load(key_of(step.tenant, step.work_id))
        standing = read_spec_file(service.home) if service else None
        port = service.port if service else None
        if step.verb == operation_pb2.VERB_DEPROVISION:
            changes = plan_destroy(standing, port=port)
        else:
            changes = self._plan_apply(step, running, service, standing)
        known = running.applying.outputs(service) if service and service.stands else {}
        return PlannedStep(
            changes=changes,
            outputs={name: known[name] for name in ("url", "host", "port", "directory") if name in known},
            digest=self._digest(step, service),
            summary=summary_of(changes),
        )

    async def observe(self, step: Step) -> Observation:
        """Look whether the service runs, and whether its files are as they were laid down."""
        running = self._started()
        service = running.registry.load(key_of(step.tenant, step.work_id))
        if service is None:
            return await self._observe_unrecorded(step, running)
        spec = read_spec_file(service.home)
        if spec is None:
            return Observation(present=None)
        drift = await asyncio.to_thread(_drift, service, spec)
        return Observation(present=True, drift=drift, outputs=running.applying.outputs(service))

    async def measure(self, work_id: str, *, tenant: str = "default") -> Measurement | None:
        """Answer what a service has used up by now; None where another instance watches it, or none."""
        running = self._started()
        await running.supervisor.measure()
        found = running.supervisor.measurements().get(key_of(tenant, work_id))
        return found[1] if found else None

    def watched(self) -> frozenset[str]:
        """Answer the keys of the services that this instance watches."""
        return self._started().supervisor.watched()

    async def _observe_unrecorded(self, step: Step, running: "_Running") -> Observation:
        scope = (step.prior or {}).get("scope", running.registry.name)
        if scope != running.registry.name:
            raise unproven(f"it was made in the state scope {scope}, and this is {running.registry.name}")
        blank = running.applying.blank(step)
        left = await asyncio.to_thread(members, running.registry, blank)
        return Observation(present=bool(left))

    def _plan_apply(
        self, step: Step, running: "_Running", service: Service | None, standing: Spec | None
    ) -> list[Change]:
        faults = check_inputs(step.inputs)
        if faults:
            raise invalid(faults)
        needs_port = wants_port(step.inputs)
        blank = service or running.applying.blank(step)
        known = {"port": "PORT", **running.applying.variables(blank)}  # before it is allotted, a word for it
        wanted = read_spec(step.fill(dict(step.inputs), known), has_port=needs_port)
        runs = service is not None and running_launch(service.home) is not None
        return plan_apply(wanted, standing if runs else None, port=blank.port, needs_port=needs_port)

    def _digest(self, step: Step, service: Service | None) -> str:
        standing = read_spec_file(service.home) if service else None
        runs = service is not None and running_launch(service.home) is not None
        inputs = {} if step.verb == operation_pb2.VERB_DEPROVISION else step.inputs
        return plan_digest(inputs, standing, port=service.port if service else None, running=runs)

    def _refuse_stale(self, step: Step, service: Service | None) -> None:
        taken_up = service is not None and service.wanted == "changing" and service.plan == step.plan_digest
        if step.plan_digest and not taken_up and self._digest(step, service) != step.plan_digest:
            raise PlanStaleError("the service is no longer as it was when the plan was made")

    async def _forget(self, running: "_Running", key: str) -> None:
        await running.supervisor.drop(key)
        lock = try_lock(running.registry.lock_path(key, "watch"), create=False)
        if lock is not None:  # else another instance watches it; it sees that the record is gone, and lets go
            lock.discard()

    def _started(self) -> "_Running":
        if self._running is None:
            raise PreconditionError(
                "the engine was not started", reason="NOT_STARTED", remedy="Call `start` first."
            )
        return self._running


@dataclass(frozen=True, slots=True)
class _Running:
    registry: Registry
    presence: Presence
    supervisor: Supervisor
    applying: Applying


def _drift(service: Service, spec: Spec) -> list[Change]:
    drift = [
        Change(action=Change.ACTION_UPDATE, address=f"files/{path}", detail="it is not as it was laid down")
        for path in changed_files(service.home / FILES, spec.files)
    ]
    launch = running_launch(service.home)
    if launch is None:
        why = service.resting or "its process is gone"
        drift.append(Change(action=Change.ACTION_CREATE, address="process", detail=why))
    elif launch.digest != spec.runtime_digest():
        why = "it runs with another command, environment or other files"
        drift.append(Change(action=Change.ACTION_REPLACE, address="process", detail=why))
    return drift
