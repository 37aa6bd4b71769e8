"""An engine that does what a test says, and what became of a step that it did."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from enchain.sdk.port import Engine, Json, Observation, PlannedStep, Step
from enchain.sdk.secrets import default_secrets
from enchain.sdk.testing import EngineHarness
from enchain.v1 import engine_pb2

SECRET = "sesame-open-please"

Act = Callable[[Step], Any]


class ScriptedEngine(Engine):
    """Does what a test says."""

    name = "scripted"
    version = "1.0"
    capabilities = frozenset({engine_pb2.CAPABILITY_PLAN, engine_pb2.CAPABILITY_OBSERVE})
    outputs: Mapping[str, Json] = {"type": "object", "properties": {"count": {"type": "integer"}}}
    secret_outputs = ("password",)

    def __init__(self, act: Act) -> None:
        self._act = act
        self.calls = 0

    async def apply(self, step: Step) -> Mapping[str, Json]:
        """Follow the script."""
        self.calls += 1
        outputs: Mapping[str, Json] = await self._act(step)
        return outputs

    async def destroy(self, step: Step) -> None:
        """Follow the script."""
        await self._act(step)

    async def plan(self, step: Step) -> PlannedStep:
        """Follow the script."""
        planned: PlannedStep = await self._act(step)
        return planned

    async def observe(self, step: Step) -> Observation:
        """Follow the script."""
        seen: Observation = await self._act(step)
        return seen


async def applied(act: Act, scope: Path, **inputs: Json) -> tuple[Any, list[Any]]:
    """Apply once; answer the result and all events. Whatever the engine did, there is one result, last."""
    secrets = default_secrets(scope / "secrets", {"ENCHAIN_SECRET_DB": SECRET})
    async with EngineHarness(ScriptedEngine(act), scope=scope, secrets=secrets) as harness:
        result = await harness.apply(inputs)
    assert [event.WhichOneof("event") for event in harness.events].count("result") == 1
    assert harness.events[-1].WhichOneof("event") == "result"
    return result, harness.events


def files_under(root: Path, name: str = "*") -> list[Path]:
    """Answer the files of a name under a directory."""
    return [path for path in root.rglob(name) if path.is_file()]


def files_telling(root: Path, secret: str) -> list[Path]:
    """Answer the files that hold a secret."""
    return [path for path in files_under(root) if secret.encode() in path.read_bytes()]
