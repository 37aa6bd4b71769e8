"""Makes, changes and removes one service; each step of it can be done again after a crash at any point.

The engine calls it. Everything here happens while the service's change lock is held, so no supervisor and no
other instance acts on the same service meanwhile. The order is the promise: port and record, then handle,
then files, then process; and backwards when it is removed.
"""

import asyncio
import random
from collections.abc import Coroutine, Mapping
from dataclasses import dataclass, replace

from enchain.chains.values import Json
from enchain.engines.process.checks import check_inputs, read_spec
from enchain.engines.process.failures import (
    files_failure,
    invalid,
    launch_failure,
    not_ready_failure,
    ports_exhausted,
    still_running,
    unproven,
)
from enchain.engines.process.files import changed_files, lay_down
from enchain.engines.process.kernel import peak_memory_bytes
from enchain.engines.process.launching import LaunchError, Launching
from enchain.engines.process.locks import locked
from enchain.engines.process.logfile import begin_anew
from enchain.engines.process.ports import choose_port, is_port_free
from enchain.engines.process.readiness import NotReadyError, wait_until_ready
from enchain.engines.process.records import (
    FILES,
    LOG,
    PREVIOUS_SPEC,
    Launch,
    Registry,
    Service,
    key_of,
    read_spec_file,
    remove_home,
    running_launch,
    write_spec_file,
)
from enchain.engines.process.secret_env import resolve_secrets
from enchain.engines.process.spec import Spec, Stop, wants_port
from enchain.engines.process.stopping import StillRunningError, members, stop_service
from enchain.process.clock import Clock
from enchain.sdk.port import CancelledStepError, Step, StepFailedError
from enchain.v1 import diagnostic_pb2

_OUTPUT_FILES_BYTES_MAX = 8 * 1024
_CLEANUP_SECONDS = 5.0


@dataclass(frozen=True, slots=True)
class Address:
    """Where services are reached: the host that they are told, and the ports to choose from."""

    host: str
    ports: range


class Applying:
    """Does the work of steps.

    Args:
        registry: The scope's services.
        launching: Starts processes.
        address: Host and ports.
        clock: Time.
        rng: Where in the range to begin looking for a port.
    """

    def __init__(
        self, registry: Registry, launching: Launching, address: Address, clock: Clock, rng: random.Random
    ) -> None:
        self._registry = registry
        self._launching = launching
        self._address = address
        self._clock = clock
        self._rng = rng

    async def apply(self, step: Step, service: Service | None) -> Service:
        """Bring a service about as the step's inputs say. `service` is its record, where it has one.

        Raises:
            StepFailedError: It did not become ready. Nothing of it is left, or what stood before serves on.
            CancelledStepError: It was told to stop meanwhile; likewise.
        """
        faults = check_inputs(step.inputs)
        if faults:
            raise invalid(faults)
        service = await self._reserve(step, service)
        try:
            await step.handle(handle_of(service, self._registry.name))
            service = await self._bring_up(step, service)
        except (StepFailedError, CancelledStepError) as failure:
            failure.left_behind = not await self._fall_back(step, service)
            raise
        except asyncio.CancelledError:
            if step.cancelled:  # else the instance ends, and the step is taken up again from here
                await self._fall_back(step, service)
            raise
        (service.home / PREVIOUS_SPEC).unlink(missing_ok=True)
        port = service.port if wants_port(step.inputs) else None
        return self._registry.save(replace(service, port=port, wanted="up", stands=True, plan=""))

    async def destroy(self, step: Step, service: Service | None) -> None:
        """End a service and remove all of it. What is absent already is a success.

        Raises:
            StepFailedError: Its processes do not end, or their absence cannot be proven.
        """
        scope = (step.prior or {}).get("scope", self._registry.name)
        if service is None and scope != self._registry.name:
            raise unproven(f"it was made in the state scope {scope}, and this is {self._registry.name}")
        if service is not None:
            service = self._registry.save(replace(service, wanted="changing"))
        doomed = service or self.blank(step)
        spec = read_spec_file(doomed.home)
        try:
            await self._remove(doomed, spec.stop if spec else Stop(), seconds=self._seconds_left(step))
        except StillRunningError as error:
            raise still_running(error) from error
        except OSError as error:
            raise files_failure(error, left_behind=True) from error

    def variables(self, service: Service) -> dict[str, Json]:
        """Answer the engine variables of a service."""
        known: dict[str, Json] = {"host": service.host, "directory": str(service.home / FILES)}
        return known if service.port is None else {**known, "port": service.port}

    def outputs(self, service: Service) -> dict[str, Json]:
        """Answer the outputs of a service that stands."""
        spec = read_spec_file(service.home)
        launch = running_launch(service.home)
        outputs: dict[str, Json] = {"host": service.host, "directory": str(service.home / FILES)}
        if launch is not None:
            outputs["pid"] = launch.identity.pid
        if service.port is not None:
            outputs["port"] = service.port
            outputs["url"] = f"http://{service.host}:{service.port}/"
        if spec is not None and _bytes_of(spec.files) <= _OUTPUT_FILES_BYTES_MAX:
            outputs["files"] = dict(spec.files)
        return outputs

    def blank(self, step: Step) -> Service:
        """Answer the record of a service that is not there yet."""
        return Service(
            key=key_of(step.tenant, step.work_id),
            tenant=step.tenant,
            work_id=step.work_id,
            workload=step.workload,
            directory=str((step.directory / "service").absolute()),
            host=self._address.host,
            port=None,
        )

    async def _reserve(self, step: Step, service: Service | None) -> Service:
        """Write the service's record, with the port that it needs."""
        service = replace(
            service or self.blank(step),
            wanted="changing",
            plan=step.plan_digest,
            workload=step.workload,
            restarts=0,
            resting="",
        )
        if service.port is not None or not wants_port(step.inputs):
            return self._registry.save(
                service
            )  # a port no longer needed is given back once all has gone well
        async with locked(self._registry.ports_lock_path(), self._clock):
            taken = {other.port for other in self._registry.load_all() if other.port is not None}
            start = self._rng.randrange(len(self._address.ports))
            port = choose_port(self._address.ports, taken, start=start, is_free=is_port_free)
            if port is None:
                raise ports_exhausted(self._address.ports, standing=service.stands)
            return self._registry.save(replace(service, port=port))

    async def _bring_up(self, step: Step, service: Service) -> Service:
        filled = step.fill(dict(step.inputs), self.variables(service))
        faults = check_inputs(filled)
        if faults:
            raise invalid(faults)
        # Holes are gone now, so whether a port is probed was decided by the inputs as they came.
        spec = read_spec(filled, has_port=wants_port(step.inputs))
        secrets = await resolve_secrets(step.secrets, spec.secrets, tenant=step.tenant)
        begin = self._clock.monotonic()
        try:
            launch = await self._start(step, service, spec, secrets)
            await self._until_ready(step, service, spec, launch)
        except NotReadyError as error:
            code = self._launching.offspring.exit_code(launch.identity.pid) if error.ended else None
            raise not_ready_failure(error, service, secrets, exit_code=code) from error
        except LaunchError as error:
            raise launch_failure(error, service, secrets) from error
        except StillRunningError as error:
            raise still_running(error) from error
        except OSError as error:
            raise files_failure(error, left_behind=True) from error
        await self._use(step, service, seconds=self._clock.monotonic() - begin)
        return service

    async def _start(self, step: Step, service: Service, spec: Spec, secrets: Mapping[str, str]) -> Launch:
        """Lay the files down and start the process, unless it runs already just so."""
        service.home.mkdir(parents=True, exist_ok=True, mode=0o700)
        standing = read_spec_file(service.home)
        previous = read_spec_file(service.home, PREVIOUS_SPEC)
        if service.stands and standing is not None and previous is None:
            write_spec_file(service.home, standing, PREVIOUS_SPEC)
        root = service.home / FILES
        launch = running_launch(service.home)
        if (
            launch is not None
            and launch.digest == spec.runtime_digest()
            and not await asyncio.to_thread(changed_files, root, spec.files)
        ):
            write_spec_file(service.home, spec)
            step.progress("it runs already as asked")
            return launch
        rule = (standing or spec).stop
        await stop_service(self._registry, service, rule, self._clock, grace_seconds=self._seconds_left(step))
        old = {*(standing.files if standing else ()), *(previous.files if previous else ())}
        await _to_its_end(asyncio.to_thread(lay_down, root, spec.files, previous=old))
        write_spec_file(service.home, spec)
        begin_anew(service.home / LOG)
        step.progress(f"starting {spec.argv[0]}")
        return await self._launching.launch(service, spec, secrets)

    async def _until_ready(self, step: Step, service: Service, spec: Spec, launch: Launch) -> None:
        if service.port is not None:
            step.progress(f"waiting until it is ready at {service.host}:{service.port}")
        await wait_until_ready(
            spec.ready,
            launch.identity,
            (service.host, service.port),
            clock=self._clock,
            seconds=min(spec.ready.within_seconds, self._seconds_left(step)),
            members=lambda: members(self._registry, service),
            pause=lambda: _refuse_cancelled(step),
        )

    async def _fall_back(self, step: Step, service: Service) -> bool:
        """Undo what failed. True where nothing is left of it; False where an earlier service serves on."""
        previous = read_spec_file(service.home, PREVIOUS_SPEC) if service.stands else None
        if previous is None and service.stands:
            previous = read_spec_file(service.home)
        try:
            if previous is None:
                await self._remove(service, Stop(), seconds=_CLEANUP_SECONDS)
                return True
            await self._start(step, service, previous, await self._secrets_of(step, previous))
        except (OSError, LaunchError, StillRunningError, StepFailedError):
            return False  # the handle says where it is, and the failure itself is told already
        (service.home / PREVIOUS_SPEC).unlink(missing_ok=True)
        self._registry.save(replace(service, wanted="up", plan=""))
        return False

    async def _secrets_of(self, step: Step, spec: Spec) -> dict[str, str]:
        return await resolve_secrets(step.secrets, spec.secrets, tenant=step.tenant)

    async def _remove(self, service: Service, rule: Stop, *, seconds: float) -> None:
        await stop_service(self._registry, service, rule, self._clock, grace_seconds=seconds)
        await asyncio.to_thread(remove_home, service.home)
        self._registry.remove(service.key)

    async def _use(self, step: Step, service: Service, *, seconds: float) -> None:
        stats = await asyncio.to_thread(members, self._registry, service)
        usage = diagnostic_pb2.Usage(
            cpu_seconds=sum(stat.cpu_seconds + stat.children_cpu_seconds for stat in stats),
            peak_memory_bytes=sum(peak_memory_bytes(stat.pid) for stat in stats),
        )
        usage.tool_duration.FromMicroseconds(int(seconds * 1_000_000))
        step.use(usage)

    def _seconds_left(self, step: Step) -> float:
        """Answer how long may be waited, so that there is still time to clean up before the deadline."""
        left = (step.deadline - self._clock.now()).total_seconds()
        return max(0.0, left - min(_CLEANUP_SECONDS, left / 2))


async def _to_its_end(work: Coroutine[None, None, None]) -> None:
    """Await work that a cancellation must not leave going on behind our back."""
    task = asyncio.ensure_future(work)
    try:
        await asyncio.shield(task)
    except asyncio.CancelledError:
        await asyncio.wait({task})
        raise


def _refuse_cancelled(step: Step) -> None:
    if step.cancelled:
        raise CancelledStepError


def handle_of(service: Service, scope: str) -> dict[str, Json]:
    """Answer a service's locator."""
    handle: dict[str, Json] = {
        "service": service.key,
        "scope": scope,
        "directory": service.directory,
        "host": service.host,
    }
    return handle if service.port is None else {**handle, "port": service.port}


def _bytes_of(files: Mapping[str, str]) -> int:
    return sum(len(path.encode()) + len(content.encode()) for path, content in files.items())
