"""Starts a service's process, recorded before it serves.

Engine and supervisor call it while they hold the service's change lock. See `launcher` for what runs in the
new process. The environment is made here: PATH, HOME, LANG, the service's own, and our mark. Secrets pass
through memory only.
"""

import os
import signal
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

from enchain.engines.process import launcher
from enchain.engines.process.kernel import Offspring, stat_of
from enchain.engines.process.records import FILES, LOG, Launch, Registry, Service, launches
from enchain.engines.process.spec import Spec
from enchain.process.clock import Clock

_POLL_SECONDS = 0.005
_TICKET_SECONDS = 30.0
_DEFAULTS = {"PATH": "/usr/local/bin:/usr/bin:/bin", "HOME": "/", "LANG": "C.UTF-8"}


class LaunchError(Exception):
    """The launcher ended, or did nothing for long, before it became the service."""


class Launching:
    """Starts services' processes.

    Args:
        registry: The scope's services.
        clock: Time.
        new_id: Makes ids that are never made again.
        environ: The engine's own environment; only PATH, HOME and LANG of it are passed on.
    """

    def __init__(
        self, registry: Registry, clock: Clock, *, new_id: Callable[[], str], environ: Mapping[str, str]
    ) -> None:
        self._registry = registry
        self._clock = clock
        self._new_id = new_id
        self._base = {name: environ.get(name, default) for name, default in _DEFAULTS.items()}
        self.offspring = Offspring()

    async def launch(self, service: Service, spec: Spec, secret_env: Mapping[str, str]) -> Launch:
        """Start a service's process; on return it is recorded and has its ticket.

        Raises:
            LaunchError: It could not be started.
        """
        launch = self._new_id()
        ticket = service.home / f"ticket-{launch}"
        ticket.touch(exist_ok=False)
        (service.home / FILES).mkdir(exist_ok=True, mode=0o700)
        try:
            pid = _spawn(service.home, launch, spec, self._environment(service, spec, secret_env))
        except OSError as error:
            ticket.unlink(missing_ok=True)
            raise LaunchError(f"the launcher cannot be started: {error}") from error
        self.offspring.adopt(pid)
        await self._until_taken(ticket, pid)
        for found in launches(service.home):
            if found.launch == launch:
                return found
        raise LaunchError("the launcher left no record")

    async def _until_taken(self, ticket: Path, pid: int) -> None:
        limit = self._clock.monotonic() + _TICKET_SECONDS
        while ticket.exists():  # noqa: ASYNC240 - one look at a local directory
            stat = stat_of(pid)
            late = self._clock.monotonic() > limit
            if stat is None or stat.gone or late:
                ticket.unlink(missing_ok=True)  # noqa: ASYNC240 - likewise; now it can never become the service
                raise LaunchError("the launcher took too long" if late else "the launcher ended early")
            await self._clock.sleep(_POLL_SECONDS)

    def _environment(self, service: Service, spec: Spec, secret_env: Mapping[str, str]) -> dict[str, str]:
        name, _, value = self._registry.mark(service.key).partition("=")
        ours = {name: value, "ENCHAIN_WORK_ID": service.work_id}
        return {**self._base, **spec.env, **secret_env, **ours}


def _spawn(home: Path, launch: str, spec: Spec, environment: Mapping[str, str]) -> int:
    argv = [
        sys.executable,
        "-I",
        "-S",
        launcher.__file__,
        str(home),
        launch,
        spec.runtime_digest(),
        *spec.argv,
    ]
    append = os.O_WRONLY | os.O_CREAT | os.O_APPEND
    return os.posix_spawn(
        sys.executable,
        argv,
        environment,
        file_actions=[
            (os.POSIX_SPAWN_OPEN, 0, "/dev/null", os.O_RDONLY, 0),
            (os.POSIX_SPAWN_OPEN, 1, str(home / LOG), append, 0o600),
            (os.POSIX_SPAWN_DUP2, 1, 2),
        ],
        setsigmask=[],
        setsigdef=signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP},
    )
