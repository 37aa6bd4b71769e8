"""Replicas of the control plane as processes, for tests that kill, freeze and thaw them."""

import asyncio
import json
import os
import signal
import sys
from pathlib import Path

from controlplane.loops.election import LEADER_KEY
from enchain.state.codec import decode
from enchain.state.store import Store
from enchain.v1 import presence_pb2

LEASE_SECONDS = 2


class Replica:
    """One process.

    Args:
        name: Its id.
        process: It.
        log_file: What it logs.
    """

    def __init__(self, name: str, process: asyncio.subprocess.Process, log_file: Path) -> None:
        self.name = name
        self.process = process
        self._log_file = log_file

    def said(self, message: str) -> int:
        """How often it logged a message."""
        lines = self._log_file.read_text().splitlines()
        return sum(json.loads(line).get("event") == message for line in lines if line.endswith("}"))

    async def kill(self) -> None:
        """SIGKILL."""
        self.process.kill()
        await self.process.wait()

    def freeze(self) -> None:
        """SIGSTOP."""
        self.process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """SIGCONT."""
        self.process.send_signal(signal.SIGCONT)


class Replicas:
    """Starts them.

    Args:
        etcd: Address of the store.
        directory: Where logs and artifacts lie.
    """

    def __init__(self, etcd: str, directory: Path) -> None:
        self._etcd = etcd
        self._directory = directory
        self._started: list[Replica] = []

    async def start(self, name: str) -> Replica:
        """Start one."""
        log_file = self._directory / f"{name}.log"
        with log_file.open("wb") as log:
            process = await asyncio.create_subprocess_exec(
                sys.executable,
                "-m",
                "controlplane.main",
                f"--etcd={self._etcd}",
                f"--name={name}",
                f"--artifacts={self._directory / 'artifacts'}",
                f"--lease-seconds={LEASE_SECONDS}",
                stderr=log,
                env={**os.environ, "PYTHONPATH": os.getcwd()},  # noqa: PTH109 - the checkout's root
            )
        self._started.append(Replica(name, process, log_file))
        return self._started[-1]

    async def kill_all(self) -> None:
        """End what still runs."""
        for replica in self._started:
            if replica.process.returncode is None:
                await replica.kill()


async def leading(store: Store) -> str:
    """The name of the replica that leads; empty where none does."""
    item = await store.get(LEADER_KEY)
    if item is None:
        return ""
    presence = decode(presence_pb2.LeaderPresence, item.value, key=item.key)
    return presence.name.removeprefix("controlplanes/")
