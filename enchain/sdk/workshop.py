"""What all works of an engine instance share: engine, scope, clock, stores. Made once."""

from dataclasses import dataclass

from enchain.artifacts.store import ArtifactCache
from enchain.process.clock import Clock
from enchain.sdk.port import Engine, SecretStore
from enchain.sdk.runs import Reaper
from enchain.sdk.scope import Scope


@dataclass(frozen=True, slots=True)
class Workshop:
    """What all works of an instance share.

    Attributes:
        instance: The instance's id.
        heartbeat_seconds: How often a running work says at least that it runs.
        grace_seconds: What a tool is given between SIGTERM and SIGKILL.
    """

    engine: Engine
    scope: Scope
    instance: str
    clock: Clock
    artifacts: ArtifactCache
    secrets: SecretStore
    reaper: Reaper
    heartbeat_seconds: float = 5.0
    grace_seconds: float = 10.0
