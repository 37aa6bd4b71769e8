"""What the scope knows about each service, in files that every instance can read.

    {scope}/process/services/{key}.json    who it is, its port, what is wanted of it
    {scope}/process/locks/{key}.*          who changes it, who watches it
    {step directory}/service/              spec.json, files/, log, process-{launch}.json, ticket-{launch}

Engine and supervisor call it. A record is replaced as a whole by a rename; whoever writes one holds the
service's change lock. No secret is ever in it.
"""

import hashlib
import json
import os
import secrets
import shutil
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

from enchain.chains.values import Json
from enchain.engines.process.kernel import Identity, is_running
from enchain.engines.process.spec import Spec

SPEC, PREVIOUS_SPEC, LOG, FILES = "spec.json", "spec.previous.json", "log", "files"


@dataclass(frozen=True, slots=True)
class Service:
    """One service's record.

    Attributes:
        key: Names it within the scope; made from tenant and work id.
        directory: Its own directory, in the step's.
        wanted: `up` is the supervisor's to keep up; `changing` belongs to the step that changes it.
        stands: It was up once; a failure then falls back to what stood.
        plan: Digest of the plan that is being applied.
        restarts: How often in a row the supervisor started it.
        resting: The supervisor has given it up; why.
    """

    key: str
    tenant: str
    work_id: str
    workload: str
    directory: str
    host: str
    port: int | None
    wanted: Literal["up", "changing"] = "changing"
    stands: bool = False
    plan: str = ""
    restarts: int = 0
    resting: str = ""

    @property
    def home(self) -> Path:
        """The service's directory."""
        return Path(self.directory)

    @property
    def resource(self) -> str:
        """The resource's uid."""
        return self.work_id.partition("/")[0]


@dataclass(frozen=True, slots=True)
class Launch:
    """A process that a launcher recorded before it became the service."""

    launch: str
    digest: str
    identity: Identity


def key_of(tenant: str, work_id: str) -> str:
    """Answer the name of a service within its scope."""
    return hashlib.sha256(f"{tenant}\0{work_id}".encode()).hexdigest()[:32]


class Registry:
    """The services of one scope.

    Args:
        scope: The scope's root.
    """

    def __init__(self, scope: Path) -> None:
        root = scope / "process"
        self.services, self.locks = root / "services", root / "locks"
        for folder in (self.services, self.locks):
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        self.name = _scope_name(root / "scope-id")

    def mark(self, key: str) -> str:
        """Answer the environment entry that every process of a service carries."""
        return f"ENCHAIN_SERVICE={self.name}/{key}"

    def lock_path(self, key: str, kind: Literal["change", "watch"]) -> Path:
        """Answer where a service's lock lies."""
        return self.locks / f"{key}.{kind}"

    def ports_lock_path(self) -> Path:
        """Answer where the lock lies under which ports are allotted."""
        return self.locks / "ports"

    def all_keys(self) -> list[str]:
        """Answer the keys of all services."""
        return sorted(path.stem for path in self.services.glob("*.json"))

    def load(self, key: str) -> Service | None:
        """Answer a service's record; None where there is none."""
        data = read_json(self.services / f"{key}.json")
        return None if data is None else Service(**data)

    def load_all(self) -> list[Service]:
        """Answer every service's record."""
        return [service for key in self.all_keys() if (service := self.load(key)) is not None]

    def save(self, service: Service) -> Service:
        """Write a service's record, durably."""
        write_json(self.services / f"{service.key}.json", asdict(service))
        return service

    def remove(self, key: str) -> None:
        """Forget a service; its port is free."""
        (self.services / f"{key}.json").unlink(missing_ok=True)


def _scope_name(path: Path) -> str:
    if not path.exists():
        new = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
        new.write_text(secrets.token_hex(8))
        try:
            os.link(new, path)  # whole or not at all, and never over another instance's
        except FileExistsError:
            pass
        finally:
            new.unlink()
    return path.read_text()


def read_spec_file(home: Path, name: str = SPEC) -> Spec | None:
    """Answer the spec that is kept in a service's directory; None where there is none."""
    data = read_json(home / name)
    return None if data is None else Spec.from_json(data)


def write_spec_file(home: Path, spec: Spec, name: str = SPEC) -> None:
    """Keep a spec in a service's directory, durably."""
    write_json(home / name, spec.to_json())


def launches(home: Path) -> list[Launch]:
    """Answer every launch that was recorded and not forgotten."""
    found = []
    for path in sorted(home.glob("process-*.json")):
        data = read_json(path)
        if data is not None:
            identity = Identity(data["pid"], data["start_ticks"], data["boot"])
            found.append(Launch(data["launch"], data["digest"], identity))
    return found


def running_launch(home: Path) -> Launch | None:
    """Answer the launch whose process runs; None where none does."""
    return next((launch for launch in launches(home) if is_running(launch.identity)), None)


def withdraw_launches(home: Path) -> None:
    """Take the tickets away, so that no launcher that is still on its way becomes the service."""
    for path in home.glob("ticket-*"):
        path.unlink(missing_ok=True)


def forget_launches(home: Path) -> None:
    """Remove the records of processes that have ended."""
    for path in (*home.glob("process-*.json"), *home.glob(".process-*.json")):
        path.unlink(missing_ok=True)


def remove_home(home: Path) -> None:
    """Remove a service's directory and all in it; links in it are removed, not followed."""
    if home.exists():
        shutil.rmtree(home)


def read_json(path: Path) -> Mapping[str, Json] | None:
    """Read a file that `write_json` wrote; None where there is none."""
    try:
        data: Mapping[str, Json] = json.loads(path.read_text())
    except FileNotFoundError:
        return None
    return data


def write_json(path: Path, data: Mapping[str, Json]) -> None:
    """Replace a file by a value's JSON, atomically and durably."""
    write_text(path, json.dumps(data, sort_keys=True, indent=1))


def write_text(path: Path, text: str) -> None:
    """Replace a file by a text, atomically and durably."""
    new = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    with new.open("x") as file:
        new.chmod(0o600)
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    new.replace(path)
    descriptor = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
