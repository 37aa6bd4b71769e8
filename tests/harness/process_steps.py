"""Steps for the process engine without a server, and questions about what it left in the world.

The step is the smallest that keeps the port's promises: what it is told is kept in lists, secrets come from
an environment. What the kernel says is asked of the kernel, not of the engine.
"""

import asyncio
import os
import signal
import socket
import urllib.error
import urllib.request
from collections.abc import Mapping, Sequence
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path

from enchain.chains.values import EngineVariable, Json, SecretRef, TemplateText
from enchain.engines.process.engine import ProcessEngine, ProcessSettings
from enchain.engines.process.supervising import Pace
from enchain.sdk.port import Finding, Host, SecretStore, StepFailedError, ToolRun
from enchain.sdk.secrets import EnvironmentSecrets
from enchain.sdk.templates import fill
from enchain.v1 import diagnostic_pb2, operation_pb2

PORT = TemplateText((EngineVariable("port"),))
QUICK = Pace(sweep_seconds=0.05, measure_seconds=0.1)
SITE = {"run": ["python3", "-m", "http.server", PORT], "files": {"index.html": "hello"}}
SECRETS = EnvironmentSecrets({"ENCHAIN_SECRET_TOKEN": "tell-nobody-42"})
TOKEN = SecretRef("env:token")


class LocalStep:
    """A step in the hands of an engine, without a server around it."""

    def __init__(
        self,
        scope: Path,
        inputs: Mapping[str, Json],
        *,
        work: str = "01RESOURCE/serve",
        prior: Mapping[str, Json] | None = None,
        plan_digest: str = "",
        verb: operation_pb2.Verb.ValueType = operation_pb2.VERB_PROVISION,
        seconds: float = 60.0,
    ) -> None:
        self.work_id = work
        self.verb = verb
        self.generation = 1
        self.tenant = "default"
        self.workload = "site"
        self.steps: Sequence[str] = ("serve",)
        self.deadline = datetime.now(UTC) + timedelta(seconds=seconds)
        self.inputs = inputs
        self.artifacts: Mapping[str, Path] = {}
        self.prior = prior
        self.plan_digest = plan_digest
        self.directory = scope / "work" / work
        self.directory.mkdir(parents=True, exist_ok=True)
        self.secrets: SecretStore = SECRETS
        self.cancelled = False
        self.handles: list[Mapping[str, Json]] = []
        self.told: list[str] = []
        self.usage = diagnostic_pb2.Usage()

    async def handle(self, data: Mapping[str, Json]) -> None:
        self.handles.append(data)

    def progress(self, message: str, fraction: float | None = None) -> None:
        assert fraction is None
        self.told.append(message)

    def log(self, line: str) -> None:
        self.told.append(line)

    def report(self, finding: Finding) -> None:
        self.told.append(finding.summary)

    async def run(
        self,
        name: str,
        argv: Sequence[str],
        *,
        cwd: Path | None = None,
        env: Mapping[str, str] | None = None,
        secret_env: Mapping[str, str] | None = None,
        repeatable: bool = False,
    ) -> ToolRun:
        raise NotImplementedError(name)

    def fill(self, value: Json, variables: Mapping[str, Json]) -> Json:
        return fill(value, variables)

    def use(self, usage: diagnostic_pb2.Usage) -> None:
        self.usage.MergeFrom(usage)

    def secret_name(self, output: str) -> str:
        return f"{self.work_id}/{output}"


class Instance:
    """One engine instance on a scope; several of one scope may run beside each other."""

    def __init__(self, scope: Path, settings: ProcessSettings | None = None) -> None:
        self.scope = scope
        self.engine = ProcessEngine(settings or ProcessSettings(pace=QUICK))

    async def start(self) -> "Instance":
        await self.engine.start(Host("instance", self.scope, "127.0.0.1:1", SECRETS))
        return self

    async def apply(
        self, inputs: Mapping[str, Json], *, work: str = "01RESOURCE/serve"
    ) -> Mapping[str, Json]:
        return await self.engine.apply(LocalStep(self.scope, inputs, work=work))

    async def destroy(self, *, work: str = "01RESOURCE/serve") -> None:
        await self.engine.destroy(LocalStep(self.scope, {}, work=work, verb=operation_pb2.VERB_DEPROVISION))

    async def failure(self, inputs: Mapping[str, Json], *, seconds: float = 60.0) -> StepFailedError:
        """Apply what must fail, and answer how it did."""
        try:
            await self.engine.apply(LocalStep(self.scope, inputs, seconds=seconds))
        except StepFailedError as failure:
            return failure
        raise AssertionError("it did not fail")


async def fetch(url: str) -> str | None:
    """Answer what a service says; None where nobody listens."""
    return await asyncio.to_thread(_fetch, url)


def _fetch(url: str) -> str | None:
    try:
        with urllib.request.urlopen(url, timeout=5) as answer:
            return str(answer.read().decode())
    except (urllib.error.URLError, ConnectionError):
        return None


def processes_of(scope: Path) -> list[int]:
    """Answer the living processes whose environment or working directory names a scope."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and int(entry.name) != os.getpid():
            with suppress(OSError):
                named = str(scope) in (entry / "cwd").readlink().as_posix() or _is_marked(entry, scope)
                state = (entry / "stat").read_text().rpartition(")")[2].split()[0]
                if named and state != "Z":
                    found.append(int(entry.name))
    return found


def _is_marked(entry: Path, scope: Path) -> bool:
    name = (scope / "process" / "scope-id").read_text()
    return f"ENCHAIN_SERVICE={name}/".encode() in (entry / "environ").read_bytes()


def kill_all(scope: Path) -> None:
    """End whatever a test left running."""
    for pid in processes_of(scope):
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


def is_listening(port: int) -> bool:
    """Say whether anybody accepts connections at a port."""
    with socket.socket() as client:
        return client.connect_ex(("127.0.0.1", port)) == 0


def environ_of(pid: int) -> dict[str, str]:
    """Answer what a process was started with."""
    entries = Path(f"/proc/{pid}/environ").read_bytes().decode().rstrip("\0").split("\0")
    return dict(entry.split("=", 1) for entry in entries)


def open_files_of(pid: int) -> set[str]:
    """Answer what a process has open."""
    return {entry.readlink().as_posix() for entry in Path(f"/proc/{pid}/fd").iterdir()}


def exists(pid: int) -> bool:
    """Say whether there is a process of this number, a zombie included."""
    return Path(f"/proc/{pid}").exists()


def names_in(directory: Path | str) -> list[str]:
    """Answer what lies in a directory."""
    return sorted(path.name for path in Path(directory).iterdir())


def paths_named(root: Path, pattern: str) -> list[Path]:
    """Answer everything under a directory with such a name."""
    return list(root.rglob(pattern))


def files_holding(scope: Path, text: str) -> list[str]:
    """Answer the files of a scope in which a text occurs."""
    return [str(path) for path in scope.rglob("*") if path.is_file() and text.encode() in path.read_bytes()]
