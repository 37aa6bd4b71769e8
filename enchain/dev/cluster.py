"""Start the planned processes, wait until each is ready, watch them, and end them in the right order.

`enchain dev`, the demonstration and the end-to-end tests own one. Every child runs in a session of its own,
so that Ctrl-C reaches only us, and we end routers before engines and etcd last.
"""

import asyncio
import contextlib
import fcntl
import json
import os
import secrets
import signal
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self, TextIO

from enchain.chains.errors import PreconditionError, UnavailableError
from enchain.dev.plan import Layout, Planned, planned, shared_arguments
from enchain.process.detached import Detached
from enchain.process.parenthood import ending_with_parent
from enchain.state.server import LocalEtcd

START_SECONDS = 60.0
STOP_SECONDS = 15.0
POLL_SECONDS = 0.02


@dataclass(slots=True)
class Child:
    """One process of ours: what was planned, the process, and what it said once it was ready."""

    planned: Planned
    process: subprocess.Popen[bytes]
    ready_file: Path
    log_file: Path
    ready: dict[str, Any]

    @property
    def address(self) -> str:
        """Where it serves."""
        return str(self.ready["address"])


class Cluster:
    """enchain on this machine. An async context manager: on return from `start` everything serves.

    Args:
        layout: What to start.
        etcd: A local etcd to start with it, or the members of a cluster; None makes one in the data folder.
        etcd_of: Answers the `host:port`s at which a process looks for etcd; None for those of all members.
        told: Called with a line whenever something is started or ready.
    """

    def __init__(
        self,
        layout: Layout,
        *,
        etcd: LocalEtcd | Sequence[LocalEtcd] | None = None,
        etcd_of: Callable[[Planned], str] | None = None,
        told: Callable[[str], None] = lambda _: None,
    ) -> None:
        self.layout = layout
        given = etcd or LocalEtcd(layout.data / "etcd")
        self.members = [given] if isinstance(given, LocalEtcd) else list(given)
        self._etcd_of = etcd_of or (lambda _: ",".join(member.address for member in self.members))
        self.children: dict[str, Child] = {}
        self._told = told
        self._lock: TextIO | None = None

    async def __aenter__(self) -> Self:
        """Start everything."""
        try:
            await self.start()
        except BaseException:
            await self.stop()
            raise
        return self

    async def __aexit__(self, *_: object) -> None:
        """End everything."""
        await self.stop()

    async def start(self) -> None:
        """Start etcd, then all the others at once: each waits for what it needs by itself.

        Raises:
            PreconditionError: Another one uses the folder.
            UnavailableError: One of them ended or was not ready in time; the message ends with its log.
        """
        self._lay_out()
        self._lock_data()
        await self._end_launched()  # left by one that was killed; its etcd is gone
        self._told("starting etcd")
        await asyncio.gather(*(member.start() for member in self.members))
        for process in planned(self.layout):
            self.launch(process)
        await asyncio.gather(*(self._until_ready(child) for child in self.children.values()))

    def launch(self, process: Planned) -> Child:
        """Start one process, without waiting for it."""
        run = self.layout.data / "run"
        ready_file, log_file = run / f"{process.name}.ready.json", run / f"{process.name}.log"
        ready_file.unlink(missing_ok=True)
        arguments = shared_arguments(self.layout, process, self._etcd_of(process), ready_file)
        with log_file.open("ab") as log:
            child = subprocess.Popen(
                ending_with_parent([sys.executable, "-m", process.module, *process.arguments, *arguments]),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                env={**os.environ, **process.environment},
                start_new_session=True,
            )
        self.children[process.name] = Child(process, child, ready_file, log_file, {})
        return self.children[process.name]

    async def restart(self, name: str) -> Child:
        """Start a process that has ended once more, and wait until it is ready."""
        child = self.launch(self.children[name].planned)
        await self._until_ready(child)
        return child

    def kill(self, name: str) -> int:
        """End a process at once, as a crash would (SIGKILL); answer its process id."""
        child = self.children[name].process
        child.kill()
        child.wait()
        return child.pid

    def freeze(self, name: str) -> None:
        """Let a process stand still (SIGSTOP): its connections stay, and nothing answers."""
        child = self.children[name].process
        child.send_signal(signal.SIGSTOP)
        # Its threads run on for a moment; whoever is asked from now on must find none of them.
        os.waitid(os.P_PID, child.pid, os.WSTOPPED)

    def thaw(self, name: str) -> None:
        """Let a frozen process run on."""
        self.children[name].process.send_signal(signal.SIGCONT)

    def terminate(self, name: str) -> None:
        """Ask a process to end orderly (SIGTERM), without waiting for it."""
        self.children[name].process.send_signal(signal.SIGTERM)

    @property
    def etcd(self) -> LocalEtcd:
        """The etcd, or the first member of its cluster."""
        return self.members[0]

    @property
    def control(self) -> str:
        """Address of the control plane, of the first one where there are several."""
        return self.children["controlplane"].address

    @property
    def routers(self) -> list[str]:
        """Addresses of the routers that have been ready."""
        routers = [child for child in self.children.values() if child.planned.role == "router"]
        return [child.address for child in routers if child.ready]

    async def stop(self) -> None:
        """End everything orderly: routers first, etcd last; what does not end is killed."""
        routers = [child for child in self.children.values() if child.planned.role == "router"]
        others = [child for child in self.children.values() if child.planned.role != "router"]
        for ending in (routers, others):
            for child in ending:
                with contextlib.suppress(ProcessLookupError):
                    child.process.send_signal(signal.SIGTERM)
            await asyncio.gather(*(self._until_ended(child) for child in ending))
        await self._end_launched()
        await asyncio.gather(*(member.stop() for member in self.members))
        if self._lock is not None:
            self._lock.close()

    def ended(self) -> list[Child]:
        """Answer the processes that have ended by themselves."""
        return [child for child in self.children.values() if child.process.poll() is not None]

    def _lock_data(self) -> None:
        """Refuse a folder that another one uses: two etcds on one folder wait for each other in silence."""
        self._lock = (self.layout.data / "lock").open("w")
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            self._lock.close()
            raise PreconditionError(
                f"{self.layout.data} is used by another enchain dev",
                reason="DATA_IN_USE",
                remedy="End that one, or give this one a folder of its own with --data.",
                metadata={"data": str(self.layout.data)},
            ) from error

    def _lay_out(self) -> None:
        data = self.layout.data
        for folder in (data / "run", self.layout.artifacts):
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        for engine in self.layout.engines:
            self.layout.scope(engine).mkdir(parents=True, exist_ok=True, mode=0o700)
        if not self.layout.plan_key.exists():
            handle = os.open(self.layout.plan_key, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with os.fdopen(handle, "w") as file:
                file.write(secrets.token_hex(32))

    async def _until_ready(self, child: Child) -> None:
        name = child.planned.name
        for _ in range(int(START_SECONDS / POLL_SECONDS)):
            if child.ready_file.exists():
                child.ready = json.loads(child.ready_file.read_text())
                self._told(f"{name} serves at {child.address}")
                return
            if child.process.poll() is not None:
                break
            await asyncio.sleep(POLL_SECONDS)
        log = child.log_file.read_text(errors="replace")[-2000:]
        raise UnavailableError(
            f"{name} did not become ready: {log}",
            reason="PROCESS_NOT_READY",
            remedy=f"Read {child.log_file}.",
        )

    async def _end_launched(self) -> None:
        """End the instances that the control plane has started: without etcd they could do nothing."""
        if self._lock is None or self._lock.closed:
            return  # the folder is another one's
        launched = Detached(self.layout.launches)
        for identifier in launched.running():
            launched.terminate(identifier)
        for _ in range(int(STOP_SECONDS / POLL_SECONDS)):
            if not launched.running():
                return
            await asyncio.sleep(POLL_SECONDS)
        for identifier in launched.running():
            launched.kill(identifier)

    async def _until_ended(self, child: Child) -> None:
        for _ in range(int(STOP_SECONDS / POLL_SECONDS)):
            if child.process.poll() is not None:
                return
            await asyncio.sleep(POLL_SECONDS)
        child.process.kill()
        child.process.wait()
