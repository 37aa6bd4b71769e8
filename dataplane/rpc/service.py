"""The servicer of `ProvisioningService`: thin, one line of work per method.

The router's `main` makes it. Errors are raised as they are; the server turns them into statuses. Method
names are gRPC's.
"""

from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any

import grpc

from dataplane.rpc import requests
from dataplane.rpc.admission import Admission, Begun
from dataplane.rpc.deciding import Caller
from dataplane.rpc.looking import Lookups
from dataplane.rpc.planning import Planner
from dataplane.rpc.steering import Steering
from dataplane.rpc.watching import RELAY_METADATA, Watching
from enchain.chains.errors import UnavailableError
from enchain.chains.names import OperationName
from enchain.process.identity import identity_of
from enchain.v1 import operation_pb2, provisioning_pb2, provisioning_pb2_grpc

Context = grpc.aio.ServicerContext[Any, Any]
Events = AsyncGenerator[operation_pb2.OperationEvent, None]

SERVICE = "enchain.v1.ProvisioningService"


@dataclass(frozen=True, slots=True)
class Rooms:
    """Who does the work."""

    admission: Admission
    watching: Watching
    planner: Planner
    lookups: Lookups
    steering: Steering
    is_open: Callable[[], bool]
    """Whether the table is there, and the router does not stop."""


class Provisioning(provisioning_pb2_grpc.ProvisioningServiceServicer):
    """Answers calls.

    Args:
        rooms: Who does the work.
    """

    def __init__(self, rooms: Rooms) -> None:
        self._rooms = rooms

    async def Provision(  # noqa: N802 - gRPC's name
        self, request: provisioning_pb2.ProvisionRequest, context: Context
    ) -> Events:
        """Make a resource and show how."""
        self._check_open()
        begun = await self._rooms.admission.provision(request, _caller(context))
        async with aclosing(self._shown(begun)) as shown:
            async for event in shown:
                yield event

    async def Update(  # noqa: N802 - gRPC's name
        self, request: provisioning_pb2.UpdateRequest, context: Context
    ) -> Events:
        """Change a resource and show how."""
        self._check_open()
        begun = await self._rooms.admission.update(request, _caller(context))
        async with aclosing(self._shown(begun)) as shown:
            async for event in shown:
                yield event

    async def Deprovision(  # noqa: N802 - gRPC's name
        self, request: provisioning_pb2.DeprovisionRequest, context: Context
    ) -> Events:
        """Destroy a resource and show how."""
        self._check_open()
        begun = await self._rooms.admission.deprovision(request, _caller(context))
        async with aclosing(self._shown(begun)) as shown:
            async for event in shown:
                yield event

    def _check_open(self) -> None:
        if not self._rooms.is_open():
            raise UnavailableError(
                "this router is starting or stopping",
                reason="ROUTER_NOT_READY",
                remedy="Ask another router, or try again.",
                retry_after=0.2,
            )

    async def _shown(self, begun: Begun | None) -> Events:
        """Show an operation; nothing where the request was only to be checked."""
        if begun is None:
            return
        watching = self._rooms.watching
        events = (
            watching.fresh(begun.operation, begun.watcher)
            if begun.watcher is not None
            else watching.events(OperationName.parse(begun.operation), 0)
        )
        async with aclosing(events) as happened:
            async for event in happened:
                yield event

    async def WatchOperation(  # noqa: N802 - gRPC's name
        self, request: provisioning_pb2.WatchOperationRequest, context: Context
    ) -> Events:
        """Replay the durable events after a sequence and go on live."""
        name = requests.operation(request.name)
        relayed = any(key == RELAY_METADATA for key, _ in context.invocation_metadata() or ())
        events = self._rooms.watching.events(name, max(request.after_sequence, 0), relayed=relayed)
        async with aclosing(events) as happened:
            async for event in happened:
                yield event

    async def Plan(  # noqa: N802 - gRPC's name
        self, request: provisioning_pb2.PlanRequest, context: Context
    ) -> provisioning_pb2.PlanResponse:
        """Say what each step would do."""
        self._check_open()
        return await self._rooms.planner.plan(request, _caller(context))

    async def GetOperation(  # noqa: N802 - gRPC's name
        self, request: provisioning_pb2.GetOperationRequest, context: Context
    ) -> operation_pb2.Operation:
        """Answer one operation."""
        del context
        return await self._rooms.lookups.operation(request)

    async def ListOperations(  # noqa: N802 - gRPC's name
        self, request: provisioning_pb2.ListOperationsRequest, context: Context
    ) -> provisioning_pb2.ListOperationsResponse:
        """Answer a page of operations."""
        del context
        return await self._rooms.lookups.operations(request)

    async def CancelOperation(  # noqa: N802 - gRPC's name
        self, request: provisioning_pb2.CancelOperationRequest, context: Context
    ) -> operation_pb2.Operation:
        """Ask the owner to stop."""
        return await self._rooms.steering.cancel(request, _caller(context))

    async def RetryOperation(  # noqa: N802 - gRPC's name
        self, request: provisioning_pb2.RetryOperationRequest, context: Context
    ) -> operation_pb2.Operation:
        """Go on with a held operation."""
        return await self._rooms.steering.retry(request, _caller(context))

    async def GetResource(  # noqa: N802 - gRPC's name
        self, request: provisioning_pb2.GetResourceRequest, context: Context
    ) -> operation_pb2.Resource:
        """Answer one resource."""
        del context
        return await self._rooms.lookups.resource(request)

    async def ListResources(  # noqa: N802 - gRPC's name
        self, request: provisioning_pb2.ListResourcesRequest, context: Context
    ) -> provisioning_pb2.ListResourcesResponse:
        """Answer a page of resources."""
        del context
        return await self._rooms.lookups.resources(request)

    async def ExplainRoute(  # noqa: N802 - gRPC's name
        self, request: provisioning_pb2.ExplainRouteRequest, context: Context
    ) -> provisioning_pb2.ExplainRouteResponse:
        """Say which chain a key would get."""
        del context
        self._check_open()
        return self._rooms.lookups.route(request)


def _caller(context: Context) -> Caller:
    return Caller(identity_of(context))
