"""A harness for tests of engines: an engine in this process, over the very runner that its server uses.

Engine authors write:

    async with EngineHarness(MyEngine(), scope=tmp_path) as harness:
        result = await harness.apply(inputs={"name": "a"})
        assert result.outcome == diagnostic_pb2.OUTCOME_SUCCEEDED

There is no wire and no store in between; everything else (ledger, lock, detached tools, budgets, schemas) is
as in production. `events` holds what the last call streamed.
"""

from collections.abc import AsyncIterator, Mapping
from datetime import timedelta
from pathlib import Path
from typing import Self, TypedDict, Unpack

from enchain.artifacts.packing import digest_of, pack
from enchain.artifacts.store import DirectoryArtifacts
from enchain.chains.values import Json, to_python_map, to_value_map
from enchain.engine.v1 import engine_pb2
from enchain.process.clock import Clock, SystemClock
from enchain.sdk.port import Engine, Host, SecretStore
from enchain.sdk.steps import StepRunner
from enchain.v1 import chain_pb2, diagnostic_pb2, operation_pb2, workload_pb2

TIMEOUT_SECONDS = 60.0


class About(TypedDict, total=False):
    """What a test may say of a call; `EngineHarness.call` knows the rest."""

    work_id: str
    verb: operation_pb2.Verb.ValueType
    generation: int
    token: int
    tenant: str
    timeout_seconds: float


class EngineHarness:
    """An engine that is started, called, and stopped.

    Args:
        engine: The engine under test.
        scope: A directory; harnesses of one scope continue each other's work, one after another or at once.
        artifacts: Directory of the artifact store; by default within the scope.
        instance: The instance's id.

    Attributes:
        runner: What the server would use, for calls that the harness has no method for.
        events: What the last apply, destroy or plan streamed.
    """

    def __init__(
        self,
        engine: Engine,
        *,
        scope: Path,
        artifacts: Path | None = None,
        instance: str = "harness",
        clock: Clock | None = None,
        secrets: SecretStore | None = None,
        capacity: int = 8,
        grace_seconds: float = 2.0,
        heartbeat_seconds: float = 5.0,
    ) -> None:
        self._clock = clock or SystemClock()
        self._engine = engine
        self._scope = scope
        self._store = DirectoryArtifacts(artifacts or scope / "artifact-store")
        self._instance = instance
        self.events: list[engine_pb2.StepEvent] = []
        self.runner = StepRunner(
            engine,
            scope=scope,
            artifacts=self._store,
            instance=instance,
            clock=self._clock,
            capacity=capacity,
            secrets=secrets,
            grace_seconds=grace_seconds,
            heartbeat_seconds=heartbeat_seconds,
        )

    async def __aenter__(self) -> Self:
        """Start the engine."""
        await self._engine.start(Host(self._instance, self._scope, "harness", self.runner.secrets))
        return self

    async def __aexit__(self, *_: object) -> None:
        """Let go of what runs, as if the server had ended, and stop the engine."""
        await self.runner.close()
        await self._engine.stop()

    def call(
        self,
        work_id: str = "01hz0000000000000000000000/step",
        verb: operation_pb2.Verb.ValueType = operation_pb2.VERB_PROVISION,
        generation: int = 1,
        token: int = 1,
        *,
        tenant: str = "default",
        timeout_seconds: float = TIMEOUT_SECONDS,
    ) -> engine_pb2.StepCall:
        """Make what every call about a step carries."""
        call = engine_pb2.StepCall(
            work_id=work_id,
            verb=verb,
            generation=generation,
            token=engine_pb2.FencingToken(epoch=1, revision=token),
            tenant=tenant,
            workload="site",
            operation=f"tenants/{tenant}/operations/01hz0000000000000000000001",
            steps=[work_id.rpartition("/")[2]],
        )
        call.deadline.FromDatetime(self._clock.now() + timedelta(seconds=timeout_seconds))
        return call

    async def apply(
        self,
        inputs: Mapping[str, Json] | None = None,
        artifacts: Mapping[str, Path] | None = None,
        *,
        prior: diagnostic_pb2.Handle | None = None,
        plan_digest: str = "",
        call: engine_pb2.StepCall | None = None,
        **about: Unpack[About],
    ) -> engine_pb2.StepResult:
        """Apply and answer the result. `about` goes to `call`."""
        request = await self.apply_request(
            inputs,
            artifacts,
            prior=prior,
            plan_digest=plan_digest,
            call=call or self.call(**about),
        )
        return await self._result((await self.runner.apply(request)).events())

    async def apply_request(
        self,
        inputs: Mapping[str, Json] | None = None,
        artifacts: Mapping[str, Path] | None = None,
        *,
        prior: diagnostic_pb2.Handle | None = None,
        plan_digest: str = "",
        call: engine_pb2.StepCall | None = None,
    ) -> engine_pb2.ApplyRequest:
        """Make the request of an Apply; artifacts are packed and stored."""
        return engine_pb2.ApplyRequest(
            call=call or self.call(),
            inputs=to_value_map(inputs or {}),
            artifacts=await self._stored(artifacts),
            prior=prior,
            plan_digest=plan_digest,
        )

    async def destroy(
        self,
        handle: diagnostic_pb2.Handle | None = None,
        *,
        plan_digest: str = "",
        call: engine_pb2.StepCall | None = None,
        **about: Unpack[About],
    ) -> engine_pb2.StepResult:
        """Destroy and answer the result. The generation is 2 unless `about` says otherwise."""
        about = {"verb": operation_pb2.VERB_DEPROVISION, "generation": 2, **about}
        request = engine_pb2.DestroyRequest(
            call=call or self.call(**about),
            handle=handle,
            plan_digest=plan_digest,
        )
        return await self._result((await self.runner.destroy(request)).events())

    async def plan(
        self,
        inputs: Mapping[str, Json] | None = None,
        artifacts: Mapping[str, Path] | None = None,
        *,
        prior: diagnostic_pb2.Handle | None = None,
        **about: Unpack[About],
    ) -> engine_pb2.PlanResult:
        """Plan and answer the plan."""
        request = engine_pb2.PlanRequest(
            call=self.call(**about),
            inputs=to_value_map(inputs or {}),
            artifacts=await self._stored(artifacts),
            prior=prior,
        )
        await self._collect(self.runner.plan(request))
        return self.events[-1].plan

    async def observe(
        self, handle: diagnostic_pb2.Handle | None = None, **about: Unpack[About]
    ) -> engine_pb2.ObserveResponse:
        """Observe."""
        call = self.call(**about)
        return await self.runner.observe(engine_pb2.ObserveRequest(call=call, handle=handle))

    async def cancel(self, reason: str = "", **about: Unpack[About]) -> bool:
        """Cancel; say whether running work was told."""
        call = self.call(**about)
        request = engine_pb2.CancelStepRequest(call=call, reason=reason)
        return (await self.runner.cancel_step(request)).signalled

    async def validate(
        self, inputs: Mapping[str, Json] | None = None, artifacts: Mapping[str, Path] | None = None
    ) -> list[diagnostic_pb2.Diagnostic]:
        """Validate inputs and answer what is wrong with them."""
        request = engine_pb2.ValidateRequest(
            inputs=to_value_map(inputs or {}), artifacts=await self._stored(artifacts)
        )
        return list((await self.runner.validate(request)).diagnostics)

    async def schema(
        self, artifacts: Mapping[str, Path] | None = None, steps: tuple[str, ...] = ("step",)
    ) -> chain_pb2.EngineSchema:
        """Ask for the schema."""
        request = engine_pb2.GetSchemaRequest(artifacts=await self._stored(artifacts), steps=steps)
        return await self.runner.schema(request)

    async def _stored(self, artifacts: Mapping[str, Path] | None) -> dict[str, workload_pb2.ArtifactRef]:
        stored = {}
        for name, directory in (artifacts or {}).items():
            content = pack(directory)
            await self._store.put(digest_of(content), _once(content))
            stored[name] = workload_pb2.ArtifactRef(digest=digest_of(content), source=directory.name)
        return stored

    async def _result(self, events: AsyncIterator[engine_pb2.StepEvent]) -> engine_pb2.StepResult:
        await self._collect(events)
        return self.events[-1].result

    async def _collect(self, events: AsyncIterator[engine_pb2.StepEvent]) -> None:
        self.events = []
        async for event in events:
            self.events.append(event)


async def _once(content: bytes) -> AsyncIterator[bytes]:
    yield content


def outputs_of(result: engine_pb2.StepResult) -> dict[str, Json]:
    """Answer a result's outputs as plain Python."""
    return to_python_map(result.outputs, field="outputs")


def handle_data(result: engine_pb2.StepResult) -> dict[str, Json]:
    """Answer the data of a result's handle as plain Python."""
    return to_python_map(result.handle.data, field="handle")
