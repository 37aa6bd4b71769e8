"""Engine servers as processes of this machine, started from the command in the engine's document.

`controlplane.main` makes one. They are no children that end with the control plane: each leads a session
of its own, lies in a folder of its own, and is found there by whichever replica of this machine leads.
Instances of an engine share one state scope. It never uses a shell.

An engine server takes its settings from `ENCHAIN_…` variables; flags in the engine's document win over
them. Of the control plane's own such variables an instance gets none but secrets: neither its address nor
its keys. What instances are to have is written with `LAUNCH_` in the name:
`ENCHAIN_LAUNCH_TLS_CERT=/tls/{engine}.pem` becomes `ENCHAIN_TLS_CERT=/tls/process.pem`.
"""

import asyncio
import os
import shutil
import sys
from collections.abc import Callable, Collection, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import ParamSpec, TypeVar

from controlplane.switching.pool_world import launch_id
from enchain.chains.errors import OurError, PreconditionError
from enchain.process.detached import Detached
from enchain.process.logs import get_logger
from enchain.v1.engine_pb2 import Engine
from enchain.v1.pool_pb2 import Launching

PREFIX = "ENCHAIN_"
PASSED_ON = "ENCHAIN_LAUNCH_"
SECRETS = "ENCHAIN_SECRET_"

KEPT_SECONDS = 3600.0
"""Folders of launches that are over and forgotten are kept for so long, for people to read their logs."""

LOG_BYTES = 8 << 20
LOGS_KEPT = 3
"""An instance's log is put aside when it is longer; so many older pieces, no longer than that, are kept."""

THREADS_MAX = 8

_log = get_logger(__name__)

P = ParamSpec("P")
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What instances are given.

    Attributes:
        scopes: Folder with one state scope for each engine.
        artifacts: Directory of the artifact store.
        etcd: `host:port` of the store, several with commas between.
        environment: The control plane's own environment.
    """

    scopes: Path
    artifacts: Path
    etcd: str
    environment: Mapping[str, str]


class ProcessLauncher:
    """Runs instances on this machine.

    Args:
        folder: Where each launch has a folder of its own.
        surroundings: What instances are given.
    """

    def __init__(self, folder: Path, surroundings: Surroundings) -> None:
        self._programs = Detached(folder.absolute())
        self._surroundings = surroundings
        # A disk that hangs must not take the threads of the whole process, nor starts those of looking.
        self._threads = ThreadPoolExecutor(THREADS_MAX, thread_name_prefix="launch")
        self._looking = ThreadPoolExecutor(1, thread_name_prefix="look at launches")

    async def name(self) -> str:
        """Answer what this machine's folder is called."""
        return await self._in_thread(self._programs.home)

    async def start(self, launch: Launching, engine: Engine) -> str:
        """Start an engine server.

        Raises:
            PreconditionError: The document names no command, there is no such program, or it has ended.
            UnavailableError: It is being started, or did not begin.
        """
        argv = list(engine.launch.process)
        environment = instance_environment(launch_id(launch), launch.engine, self._surroundings)
        if not argv:
            raise PreconditionError(
                f"engines/{launch.engine} names no command",
                reason="NO_COMMAND",
                remedy="Write launch.process into the engine's document.",
            )
        return await self._in_thread(partial(self._start, launch, argv, environment))

    async def find(self) -> Mapping[str, str]:
        """Answer the engine servers that run, and keep their logs bounded: nobody comes by more often."""
        running = await asyncio.get_running_loop().run_in_executor(self._looking, self._look)
        return {identifier: _place(pid) for identifier, pid in running.items()}

    async def drain(self, launch: str) -> None:
        """Send SIGTERM, once."""
        await self._in_thread(partial(self._programs.terminate, launch))

    async def kill(self, launch: str) -> None:
        """Send SIGKILL; what tools it runs go on, and another instance of its scope takes them up."""
        await self._in_thread(partial(self._programs.kill, launch))

    async def forget(self, kept: Collection[str]) -> None:
        """Delete old folders."""
        await self._in_thread(partial(self._programs.forget, kept, older_seconds=KEPT_SECONDS))

    def _look(self) -> Mapping[str, int]:
        running = self._programs.running()
        for identifier in running:
            try:
                if self._programs.trim(identifier, limit_bytes=LOG_BYTES, kept=LOGS_KEPT):
                    _log.info("log put aside", launch=identifier)
            except OSError as error:  # a full disk must not hide what runs
                _log.warning("log cannot be put aside", launch=identifier, fault=str(error))
        return running

    def _start(self, launch: Launching, argv: list[str], environment: Mapping[str, str]) -> str:
        if shutil.which(argv[0], path=environment["PATH"]) is None:
            raise PreconditionError(
                f"there is no program {argv[0]} on {environment['PATH']}",
                reason="COMMAND_NOT_FOUND",
                remedy="Install it where the control plane runs, or write its whole path.",
                metadata={"command": argv[0]},
            )
        scope = Path(environment["ENCHAIN_SCOPE"])
        scope.mkdir(parents=True, exist_ok=True, mode=0o700)
        return _place(self._programs.start(launch_id(launch), argv, environment))

    async def _in_thread(self, work: Callable[[], T]) -> T:
        try:
            return await asyncio.get_running_loop().run_in_executor(self._threads, work)
        except OSError as error:
            raise OurError(
                f"the folder of launches cannot be used: {error}",
                reason="LAUNCHES_UNUSABLE",
                remedy="Give --launches a folder that the control plane may write to.",
            ) from error


def instance_environment(launch: str, engine: str, surroundings: Surroundings) -> dict[str, str]:
    """Answer the whole environment of an instance. Pure."""
    own = surroundings.environment
    kept = {
        name: text for name, text in own.items() if not name.startswith(PREFIX) or name.startswith(SECRETS)
    }
    # Programs installed beside the control plane are found also where its environment is not activated.
    path = f"{Path(sys.executable).parent}{os.pathsep}{own.get('PATH', os.defpath)}"
    told = {
        "ENCHAIN_LISTEN": "127.0.0.1:0",
        "ENCHAIN_ETCD": surroundings.etcd,
        "ENCHAIN_ARTIFACTS": str(surroundings.artifacts.absolute()),
        "ENCHAIN_SCOPE": str(surroundings.scopes.absolute() / engine),
    }
    passed_on = {
        PREFIX + name.removeprefix(PASSED_ON): text.replace("{engine}", engine)
        for name, text in own.items()
        if name.startswith(PASSED_ON)
    }
    return {**kept, "PATH": path, **told, **passed_on, "ENCHAIN_INSTANCE": launch}


def _place(pid: int) -> str:
    return f"pid {pid}"
