"""Keeps services up: watches each one's process, starts it again by its rule, bounds its log, measures it.

One supervisor per engine instance. A service is watched by whichever instance holds its watch lock, so by
exactly one; when that instance dies, the lock is free and another one's sweep takes the service over. A
watcher is level-triggered: it reads the service's record anew before it acts, and acts only while it holds
the change lock, so it never meets a step half-way. It never ends a service: services outlive
their supervisor.
"""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from enchain.engines.process.kernel import age_seconds, ended
from enchain.engines.process.launching import LaunchError, Launching
from enchain.engines.process.locks import FileLock, locked, try_lock
from enchain.engines.process.logfile import LIMIT_BYTES
from enchain.engines.process.measuring import Measurement, Tally, Watched, list_open_flows, take_samples
from enchain.engines.process.records import (
    LOG,
    Launch,
    Registry,
    Service,
    launches,
    read_spec_file,
    running_launch,
)
from enchain.engines.process.restarts import Rest, decide
from enchain.engines.process.secret_env import SecretSource
from enchain.engines.process.sockets import Closings
from enchain.engines.process.spec import Stop
from enchain.engines.process.stopping import StillRunningError, stop_service
from enchain.process.bounded_logs import rotate
from enchain.process.clock import Clock
from enchain.process.logs import get_logger

_LEFTOVERS = Stop(within_seconds=2.0)
_log = get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Pace:
    """How often the supervisor looks.

    Attributes:
        sweep_seconds: Between looks at all services: for those that nobody watches, and at their logs. What
            an instance leaves by dying is taken over within it.
        measure_seconds: Between samples.
    """

    sweep_seconds: float = 2.0
    measure_seconds: float = 5.0


@dataclass(slots=True)
class _Watch:
    lock: FileLock
    task: asyncio.Task[None]
    tally: Tally = field(default_factory=Tally)
    service: Service | None = None


class Supervisor:
    """Watches the services of a scope, together with the other instances' supervisors.

    Args:
        registry: The scope's services.
        launching: Starts their processes.
        secrets: Resolves the secrets that a service needs when it is started again.
        clock: Time.
        pace: How often it looks.
    """

    def __init__(
        self,
        registry: Registry,
        launching: Launching,
        secrets: SecretSource,
        clock: Clock,
        pace: Pace = Pace(),
    ) -> None:
        self._registry = registry
        self._launching = launching
        self._secrets = secrets
        self._clock = clock
        self._pace = pace
        self._watches: dict[str, _Watch] = {}
        self._closings = Closings()
        self._measuring = asyncio.Lock()
        self._sweeping: asyncio.Task[None] | None = None
        self._measured = clock.monotonic()

    def start(self) -> None:
        """Take over what nobody watches, now and from time to time."""
        self._closings.open()
        self.sweep()
        self._sweeping = asyncio.create_task(self._sweep_for_ever(), name="supervision sweep")
        self._sweeping.add_done_callback(_report_end)

    async def stop(self) -> None:
        """Let go of all services; they go on serving, and other instances take them over."""
        if self._sweeping is not None:
            await _cancelled(self._sweeping)
        for key in list(self._watches):
            await self.drop(key)
        self._closings.close()
        self._launching.offspring.reap()

    def look(self, key: str) -> None:
        """Watch a service from now on, unless an instance does already."""
        if key in self._watches:
            return
        lock = try_lock(self._registry.lock_path(key, "watch"))
        if lock is None:
            return
        task = asyncio.create_task(self._watch(key), name=f"watch {key}")
        self._watches[key] = _Watch(lock, task)

    async def drop(self, key: str) -> None:
        """Watch a service no longer."""
        watch = self._watches.pop(key, None)
        if watch is not None:
            await _cancelled(watch.task)
            watch.lock.release()

    def watched(self) -> frozenset[str]:
        """Answer the services that this instance watches."""
        return frozenset(self._watches)

    def sweep(self) -> None:
        """Take over the services that nobody watches; keep the logs of ours bounded."""
        for key in self._registry.all_keys():
            self.look(key)
        for key, watch in list(self._watches.items()):
            if watch.task.done():
                self._give_up(key, watch)
            elif watch.service is not None and rotate(watch.service.home / LOG, limit_bytes=LIMIT_BYTES):
                _log.info("log cut", key=watch.service.key, workload=watch.service.workload)
        self._launching.offspring.reap()

    def _give_up(self, key: str, watch: _Watch) -> None:
        # A watcher ends with its service; one that ended otherwise met a bug, and the sweep begins anew.
        _log.error(
            "watch ended", key=key, exc_info=None if watch.task.cancelled() else watch.task.exception()
        )
        del self._watches[key]
        watch.lock.release()

    async def measure(self) -> None:
        """Take a sample of every service that this instance watches."""
        async with self._measuring:  # a sample that overtakes an older one would count connections twice
            await self._measure()

    async def _measure(self) -> None:
        watched = [
            Watched(key, launch.identity if launch else None, watch.service.port)
            for key, watch in self._watches.items()
            if watch.service is not None
            for launch in [running_launch(watch.service.home)]
        ]
        flows = await asyncio.to_thread(list_open_flows) if watched and self._closings.listening else None
        closed = self._closings.drain()
        for key, sample in (await asyncio.to_thread(take_samples, watched, flows, closed)).items():
            if watch := self._watches.get(key):
                watch.tally.add(sample)

    def measurements(self) -> Mapping[str, tuple[Service, Measurement]]:
        """Answer the newest totals of the services that this instance watches, by key."""
        return {
            key: (watch.service, watch.tally.measurement(restarts=watch.service.restarts))
            for key, watch in list(self._watches.items())
            if watch.service is not None
        }

    async def _sweep_for_ever(self) -> None:
        while True:
            await self._clock.sleep(self._pace.sweep_seconds)
            try:
                self.sweep()
                if self._clock.monotonic() - self._measured >= self._pace.measure_seconds:
                    self._measured = self._clock.monotonic()
                    await self.measure()
            except OSError as error:  # a full disk or a lack of descriptors must not end supervision
                _log.warning("sweep failed", error=str(error))

    async def _watch(self, key: str) -> None:
        while (service := self._registry.load(key)) is not None:
            self._watches[key].service = service
            launch = running_launch(service.home)
            try:
                if launch is not None:
                    await ended(launch.identity)
                    await self._after_end(service, launch, stood=age_seconds(launch.identity.start_ticks))
                elif service.wanted == "up" and not service.resting:
                    found = launches(service.home)
                    await self._after_end(service, found[-1] if found else None, stood=0.0)
                else:
                    await self._clock.sleep(self._pace.sweep_seconds)
            except (OSError, LaunchError, StillRunningError) as error:
                _log.warning("supervision failed", key=key, workload=service.workload, error=str(error))
                await self._clock.sleep(self._pace.sweep_seconds)
        self._watches.pop(key).lock.discard()

    async def _after_end(self, seen: Service, launch: Launch | None, *, stood: float) -> None:
        code = self._launching.offspring.exit_code(launch.identity.pid) if launch else None
        service = self._registry.load(seen.key)
        spec = read_spec_file(seen.home)
        if service is None or service.wanted != "up" or spec is None:
            await self._clock.sleep(0)  # a step is at it; the watch looks again
            return
        choice = decide(spec.restart, exit_code=code, restarts=service.restarts, stood_seconds=stood)
        named = {"key": service.key, "workload": service.workload, "exit_code": code}
        if isinstance(choice, Rest):
            _log.warning("service rests", why=choice.reason, **named)
            await self._settle(service, launch, replace(service, resting=choice.reason))
            return
        _log.warning("service ended", restart=choice.restarts, after_seconds=choice.after_seconds, **named)
        await self._clock.sleep(choice.after_seconds)
        await self._settle(service, launch, replace(service, restarts=choice.restarts))

    async def _settle(self, seen: Service, launch: Launch | None, wanted: Service) -> None:
        """Bring about what was decided, unless the world has moved on meanwhile."""
        async with locked(self._registry.lock_path(seen.key, "change"), self._clock) as lock:
            if self._registry.load(seen.key) is None:
                lock.discard()
                return
            found = launches(seen.home)
            moved = self._registry.load(seen.key) != seen or (found[-1] if found else None) != launch
            if moved or running_launch(seen.home) is not None:
                return
            self._registry.save(wanted)
            if not wanted.resting:
                await self._start_again(wanted)

    async def _start_again(self, service: Service) -> None:
        spec = read_spec_file(service.home)
        assert spec is not None  # only a step removes it, and we hold the change lock
        secret_env = await self._secrets.resolve(spec.secrets, tenant=service.tenant)
        if secret_env is None:
            why = "its secrets cannot be had"
            _log.error("service rests", key=service.key, workload=service.workload, why=why)
            self._registry.save(replace(service, resting=why))
            return
        await stop_service(self._registry, service, _LEFTOVERS, self._clock)
        launch = await self._launching.launch(service, spec, secret_env)
        _log.info(
            "service started again", key=service.key, workload=service.workload, pid=launch.identity.pid
        )


def _report_end(task: asyncio.Task[None]) -> None:
    if not task.cancelled():
        _log.critical("eternal task ended", task=task.get_name(), exc_info=task.exception())


async def _cancelled(task: asyncio.Task[None]) -> None:
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
