"""What a service is to be: the inputs of a step, checked, completed and with defaults filled in.

Made by `checks.read_spec` from inputs whose holes are filled; kept in the service's directory, so that any
instance of the scope can start the service again. Secrets are in it by reference only. Pure.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Literal

from enchain.chains.values import EngineVariable, Json, SecretRef, TemplateText

Policy = Literal["always", "on-failure", "never"]


@dataclass(frozen=True, slots=True)
class Ready:
    """When a service counts as started.

    Attributes:
        probe: `http` asks for `path`; `tcp` connects; `alive` waits for a moment.
        path: The path to ask for.
        within_seconds: How long it has.
    """

    probe: Literal["http", "tcp", "alive"] = "alive"
    path: str = ""
    within_seconds: float = 10.0


@dataclass(frozen=True, slots=True)
class Restart:
    """What to do when the service ends by itself.

    Attributes:
        policy: `on-failure` looks at the exit code; one that nobody could read counts as a failure.
        max: Restarts in a row; a service that stood for a while begins at nought again.
        backoff_seconds: The pause before the first restart; it doubles with each further one.
    """

    policy: Policy = "always"
    max: int = 5
    backoff_seconds: float = 1.0


@dataclass(frozen=True, slots=True)
class Stop:
    """How a service is asked to end, and how long it has before it is killed."""

    signal: str = "SIGTERM"
    within_seconds: float = 10.0


@dataclass(frozen=True, slots=True)
class Spec:
    """A service, complete.

    Attributes:
        argv: The command and its arguments.
        files: Content by relative path.
        env: Variables given in the clear.
        secrets: References by the variable that takes the secret.
    """

    argv: tuple[str, ...]
    files: Mapping[str, str] = field(default_factory=dict)
    env: Mapping[str, str] = field(default_factory=dict)
    secrets: Mapping[str, str] = field(default_factory=dict)
    ready: Ready = Ready()
    restart: Restart = Restart()
    stop: Stop = Stop()

    def runtime_digest(self) -> str:
        """Answer a digest of what a running process depends on: other changes need no restart."""
        return digest([list(self.argv), dict(self.files), dict(self.env), dict(self.secrets)])

    def to_json(self) -> dict[str, Json]:
        """Answer the form that is kept in the service's directory."""
        return asdict(self) | {"argv": list(self.argv)}

    @classmethod
    def from_json(cls, data: Mapping[str, Json]) -> "Spec":
        """Read what `to_json` wrote."""
        return cls(
            argv=tuple(data["argv"]),
            files=data["files"],
            env=data["env"],
            secrets=data["secrets"],
            ready=Ready(**data["ready"]),
            restart=Restart(**data["restart"]),
            stop=Stop(**data["stop"]),
        )


def digest(value: Json) -> str:
    """Answer the SHA-256 of a value's canonical JSON, in hex."""
    text = json.dumps(plain(value), sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(text.encode()).hexdigest()


def plain(value: Json) -> Json:
    """Answer the value as JSON proper: references and holes become tagged objects."""
    match value:
        case SecretRef(ref=ref):
            return {"$secret": ref}
        case EngineVariable(name=name):
            return {"$variable": name}
        case TemplateText(parts=parts):
            return {"$text": [plain(part) for part in parts]}
        case Mapping():
            return {key: plain(item) for key, item in value.items()}
        case list() | tuple():
            return [plain(item) for item in value]
        case _:
            return value


def variables_in(value: Json) -> frozenset[str]:
    """Answer the names of the engine variables that a value has holes for."""
    match value:
        case EngineVariable(name=name):
            return frozenset((name,))
        case TemplateText(parts=parts):
            return frozenset().union(*(variables_in(part) for part in parts))
        case Mapping():
            return frozenset().union(*(variables_in(item) for item in value.values()))
        case list() | tuple():
            return frozenset().union(*(variables_in(item) for item in value))
        case _:
            return frozenset()


def wants_port(inputs: Mapping[str, Json]) -> bool:
    """Say whether the service needs a port: it mentions one, or is probed at one."""
    ready = inputs.get("ready") or {}
    return "port" in variables_in(inputs) or "http" in ready or bool(ready.get("tcp"))
