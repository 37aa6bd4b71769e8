"""`enchain.v1.EngineRegistry`: requests to calls of the engine catalogue, answers back.

`controlplane.main` registers it. Nothing is decided here.
"""

from controlplane.catalog.engines import EngineCatalog
from controlplane.catalog.paging import page_of
from controlplane.rpc.callers import Context, caller_of
from enchain.chains import names
from enchain.v1 import engine_pb2, engine_pb2_grpc

SERVICE = "enchain.v1.EngineRegistry"


class EngineServicer(engine_pb2_grpc.EngineRegistryServicer):
    """Serves the engine catalogue.

    Args:
        catalog: What is served.
    """

    def __init__(self, catalog: EngineCatalog) -> None:
        self._catalog = catalog

    async def CreateEngine(  # noqa: N802 - the method's name on the wire
        self, request: engine_pb2.CreateEngineRequest, context: Context
    ) -> engine_pb2.Engine:
        """Write a new engine."""
        return await self._catalog.create(
            names.check_id(names.ENGINE, request.engine_id, "engine_id"),
            request.engine,
            caller_of(context, f"{SERVICE}/CreateEngine", request.request_id),
            validate_only=request.validate_only,
        )

    async def GetEngine(  # noqa: N802 - the method's name on the wire
        self, request: engine_pb2.GetEngineRequest, context: Context
    ) -> engine_pb2.Engine:
        """Answer one engine."""
        del context
        return await self._catalog.get(names.engine_id(request.name))

    async def ListEngines(  # noqa: N802 - the method's name on the wire
        self, request: engine_pb2.ListEnginesRequest, context: Context
    ) -> engine_pb2.ListEnginesResponse:
        """Answer a page of engines."""
        del context
        engines, token = await self._catalog.list(
            page_of("ListEngines", request.page_size, request.page_token)
        )
        return engine_pb2.ListEnginesResponse(engines=engines, next_page_token=token)

    async def UpdateEngine(  # noqa: N802 - the method's name on the wire
        self, request: engine_pb2.UpdateEngineRequest, context: Context
    ) -> engine_pb2.Engine:
        """Replace an engine's document."""
        return await self._catalog.update(
            request.engine,
            request.update_mask.paths,
            caller_of(context, f"{SERVICE}/UpdateEngine", request.request_id),
            allow_missing=request.allow_missing,
            validate_only=request.validate_only,
        )

    async def DeleteEngine(  # noqa: N802 - the method's name on the wire
        self, request: engine_pb2.DeleteEngineRequest, context: Context
    ) -> engine_pb2.DeleteEngineResponse:
        """Delete an engine's document."""
        await self._catalog.delete(
            names.engine_id(request.name),
            request.etag,
            caller_of(context, f"{SERVICE}/DeleteEngine", request.request_id),
            validate_only=request.validate_only,
        )
        return engine_pb2.DeleteEngineResponse()

    async def ListEngineInstances(  # noqa: N802 - the method's name on the wire
        self, request: engine_pb2.ListEngineInstancesRequest, context: Context
    ) -> engine_pb2.ListEngineInstancesResponse:
        """Answer a page of running instances."""
        del context
        engine = names.engine_id(request.parent, "parent", every=True)
        instances, token = await self._catalog.list_instances(
            "" if engine == names.EVERY else engine,
            page_of(f"ListEngineInstances {request.parent}", request.page_size, request.page_token),
        )
        return engine_pb2.ListEngineInstancesResponse(engine_instances=instances, next_page_token=token)
