"""The servers that runs share: one etcd, or a cluster of three, that may be killed, frozen and restored.

`running` holds one arena for each lane and one run at a time uses it. Elections are quicker than by default,
so that the suite spends its time on faults; `recovery` measures with etcd's own times.
"""

import asyncio
import os
import shutil
from collections.abc import Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from random import Random
from types import TracebackType
from typing import Self

from enchain.chains.errors import EnchainError, UnavailableError
from enchain.state.etcd import EtcdStore, open_store
from enchain.state.server import LocalEtcd, Member, find_etcd, free_ports
from tests.harness.waiting import eventually

QUICK = ("--heartbeat-interval", "30", "--election-timeout", "300")
ANSWER_SECONDS = 60.0
START_ATTEMPTS = 5


@dataclass(frozen=True, slots=True)
class Backup:
    """A folder to start a server on, and the revision up to which its history is compacted."""

    folder: Path
    compacted: int


class Ports:
    """Hands out TCP ports, none twice: one whose server is killed is free only by the look of it."""

    def __init__(self) -> None:
        self._taken: set[int] = set()
        self._rng = Random()

    def take(self, count: int) -> list[int]:
        """Answer ports that nobody listens on now."""
        found: list[int] = []
        while len(found) < count:
            found += [port for port in free_ports(1, self._rng) if port not in self._taken]
            self._taken.update(found)
        return found


class Arena:
    """Servers on loopback.

    Args:
        count: How many members.
        directory: Where their data lies.
        ports: Shared by all arenas of a process.
        flags: Further flags of etcd.
    """

    def __init__(self, count: int, directory: Path, ports: Ports, *, flags: Sequence[str] = QUICK) -> None:
        self._count = count
        self._directory = directory
        self._ports = ports
        self._flags = flags
        self._folders = 0
        self._peers: list[Member] = []
        self.servers: list[LocalEtcd] = []
        self.compacted = 0

    @property
    def addresses(self) -> list[str]:
        """Where clients reach the members."""
        return [server.address for server in self.servers]

    async def __aenter__(self) -> Self:
        for _ in range(START_ATTEMPTS):
            self._lay_out()
            for server in self.servers:
                server.launch()
            await self.answers()
            if not any(server.has_ended for server in self.servers):
                return self
            self._end()
        raise UnavailableError("others are always faster to take a port", reason="ETCD_NOT_STARTED")

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._end()
        await asyncio.to_thread(shutil.rmtree, self._directory, ignore_errors=True)

    async def answers(self) -> None:
        """Wait until every member answers, each as part of a quorum; or one has ended by itself."""
        async with AsyncExitStack() as stack:
            for server in self.servers:
                store = await open_store([server.address], call_seconds=2.0)
                stack.push_async_callback(store.close)
                await eventually(partial(self._reads, store), within=ANSWER_SECONDS)

    async def _reads(self, store: EtcdStore) -> bool:
        if any(server.has_ended for server in self.servers):
            return True
        try:
            await store.get("/")
        except EnchainError:
            return False
        return True

    def _lay_out(self) -> None:
        """Choose ports and folders."""
        ports, folder = self._ports.take(2 * self._count), self._new_folder()
        self._peers = [Member(f"m{n}", ports[2 * n], ports[2 * n + 1]) for n in range(self._count)]
        self.servers = [
            LocalEtcd(folder / peer.name, member=peer, members=self._peers, flags=self._flags)
            for peer in self._peers
        ]

    def _end(self) -> None:
        for server in self.servers:
            server.kill()

    async def backup(self) -> Backup:
        """Save a snapshot of a lone server while it runs, and make a folder of it."""
        folder, file = self._new_folder(), self._directory / "snapshot.db"
        file.unlink(missing_ok=True)
        await self._etcdctl("--endpoints", self.addresses[0], "snapshot", "save", str(file))
        (peer,) = self._peers
        await self._etcdctl(
            *("snapshot", "restore", str(file), "--data-dir", str(folder), "--name", peer.name),
            *("--initial-cluster", f"{peer.name}={peer.peer_url}"),
            *("--initial-advertise-peer-urls", peer.peer_url),
        )
        return Backup(folder, self.compacted)

    async def copy(self) -> Backup:
        """Kill a lone server, copy its folder, and start it again."""
        folder, (server,) = self._new_folder(), self.servers
        server.kill()
        await asyncio.to_thread(shutil.copytree, server.data_dir, folder)
        await server.restart()
        return Backup(folder, self.compacted)

    async def restore(self, backup: Backup) -> None:
        """Kill a lone server and start it on a backup: at the same address, with the same id, and older."""
        (server,) = self.servers
        server.kill()
        server.data_dir = backup.folder
        await server.restart()
        self.compacted = backup.compacted

    async def compact(self, store: EtcdStore, revision: int) -> None:
        """Forget what keys were before a revision."""
        await store.compact(revision)
        self.compacted = revision

    def _new_folder(self) -> Path:
        self._folders += 1
        return self._directory / f"{self._folders}"

    async def _etcdctl(self, *arguments: str) -> None:
        process = await asyncio.create_subprocess_exec(
            str(find_etcd("etcdctl")),
            *arguments,
            env={**os.environ, "ETCDCTL_API": "3"},
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        said, _ = await process.communicate()
        if process.returncode:
            raise UnavailableError(f"etcdctl failed: {said.decode()}", reason="ETCDCTL_FAILED")
