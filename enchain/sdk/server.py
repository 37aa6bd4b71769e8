"""The gRPC servicer of the engine protocol: a thin shell around the step runner.

`enchain.sdk.serve` adds it to a server. It holds no state and decides nothing; errors are raised as they are
and become statuses in `enchain.process`. A stream that the caller closes ends here and stops no work.
"""

from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import grpc
from google.protobuf import duration_pb2

from enchain.chains.errors import PreconditionError
from enchain.engine.v1 import engine_pb2, engine_pb2_grpc
from enchain.process.servers import Server
from enchain.sdk.results import ENCHAIN
from enchain.sdk.steps import StepRunner
from enchain.v1 import engine_pb2 as registry_pb2

REQUEST_BYTES_MAX = 1024 * 1024

Context = grpc.aio.ServicerContext[Any, Any]


class EngineServicer(engine_pb2_grpc.ProvisioningEngineServicer):
    """Serves one step runner.

    Args:
        runner: Does the work.
        instance: Answers the instance as it is registered now.
        draining: Told when somebody asks the instance to take no new work.
    """

    def __init__(
        self,
        runner: StepRunner,
        *,
        instance: Callable[[], registry_pb2.EngineInstance],
        draining: Callable[[], Awaitable[None]],
    ) -> None:
        self._runner = runner
        self._instance = instance
        self._draining = draining

    async def Handshake(  # noqa: N802 - gRPC's name
        self, request: engine_pb2.HandshakeRequest, context: Context
    ) -> engine_pb2.HandshakeResponse:
        """Say who this is and what it can do."""
        del request, context
        interval = duration_pb2.Duration()
        interval.FromMilliseconds(round(self._runner.heartbeat_seconds * 1000))
        return engine_pb2.HandshakeResponse(instance=self._instance(), heartbeat_interval=interval)

    async def GetSchema(  # noqa: N802 - gRPC's name
        self, request: engine_pb2.GetSchemaRequest, context: Context
    ) -> engine_pb2.GetSchemaResponse:
        """Say what a step takes and gives."""
        del context
        return engine_pb2.GetSchemaResponse(schema=await self._runner.schema(request))

    async def Validate(  # noqa: N802 - gRPC's name
        self, request: engine_pb2.ValidateRequest, context: Context
    ) -> engine_pb2.ValidateResponse:
        """Check inputs."""
        del context
        return await self._runner.validate(request)

    async def Plan(  # noqa: N802 - gRPC's name
        self, request: engine_pb2.PlanRequest, context: Context
    ) -> AsyncIterator[engine_pb2.StepEvent]:
        """Plan."""
        del context
        async for event in self._runner.plan(request):
            yield event

    async def Apply(  # noqa: N802 - gRPC's name
        self, request: engine_pb2.ApplyRequest, context: Context
    ) -> AsyncIterator[engine_pb2.StepEvent]:
        """Begin or join."""
        del context
        stream = await self._runner.apply(request)
        async for event in stream.events():
            _refuse_stale_plan(event)
            yield event

    async def Destroy(  # noqa: N802 - gRPC's name
        self, request: engine_pb2.DestroyRequest, context: Context
    ) -> AsyncIterator[engine_pb2.StepEvent]:
        """Begin or join."""
        del context
        stream = await self._runner.destroy(request)
        async for event in stream.events():
            _refuse_stale_plan(event)
            yield event

    async def Observe(  # noqa: N802 - gRPC's name
        self, request: engine_pb2.ObserveRequest, context: Context
    ) -> engine_pb2.ObserveResponse:
        """Look at what stands."""
        del context
        return await self._runner.observe(request)

    async def GetStep(  # noqa: N802 - gRPC's name
        self, request: engine_pb2.GetStepRequest, context: Context
    ) -> engine_pb2.GetStepResponse:
        """Say how work stands."""
        del context
        return await self._runner.get_step(request)

    async def CancelStep(  # noqa: N802 - gRPC's name
        self, request: engine_pb2.CancelStepRequest, context: Context
    ) -> engine_pb2.CancelStepResponse:
        """Ask work to stop."""
        del context
        return await self._runner.cancel_step(request)

    async def Drain(  # noqa: N802 - gRPC's name
        self, request: engine_pb2.DrainRequest, context: Context
    ) -> engine_pb2.DrainResponse:
        """Take no new work from now on."""
        del request, context
        running = self._runner.drain()
        await self._draining()
        return engine_pb2.DrainResponse(running=running)


def _refuse_stale_plan(event: engine_pb2.StepEvent) -> None:
    """End a stream whose plan was stale with a status: what was asked for could not be carried out."""
    for told in event.result.diagnostics:
        if (told.domain, told.code) == (ENCHAIN, "PLAN_STALE"):
            raise PreconditionError(told.summary, reason=told.code, remedy=told.remedy)


def add_to(server: Server, servicer: EngineServicer) -> None:
    """Serve the engine protocol on a server."""
    name = engine_pb2.DESCRIPTOR.services_by_name["ProvisioningEngine"].full_name
    server.add(engine_pb2_grpc.add_ProvisioningEngineServicer_to_server, servicer, name)
