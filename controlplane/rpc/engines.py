"""`enchain.v1.EngineRegistry`: requests to calls of the catalogues of engines and profiles, answers back.

`controlplane.main` registers it. Nothing is decided here.
"""

from controlplane.catalog.engines import EngineCatalog
from controlplane.catalog.paging import page_of
from controlplane.catalog.profiles import ProfileCatalog
from controlplane.rpc.callers import Context, caller_of
from enchain.chains import names
from enchain.chains.profile_names import PerformanceProfileName
from enchain.v1 import engine_pb2, engine_pb2_grpc, profile_pb2

SERVICE = "enchain.v1.EngineRegistry"


class EngineServicer(engine_pb2_grpc.EngineRegistryServicer):
    """Serves engines, their instances and what they were measured to do.

    Args:
        catalog: The engines.
        profiles: Their performance profiles.
    """

    def __init__(self, catalog: EngineCatalog, profiles: ProfileCatalog) -> None:
        self._catalog = catalog
        self._profiles = profiles

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

    async def GetPerformanceProfile(  # noqa: N802 - the method's name on the wire
        self, request: engine_pb2.GetPerformanceProfileRequest, context: Context
    ) -> profile_pb2.PerformanceProfile:
        """Answer what an engine version was measured to do at a step."""
        del context
        return await self._profiles.get(PerformanceProfileName.parse(request.name))

    async def ListPerformanceProfiles(  # noqa: N802 - the method's name on the wire
        self, request: engine_pb2.ListPerformanceProfilesRequest, context: Context
    ) -> engine_pb2.ListPerformanceProfilesResponse:
        """Answer a page of performance profiles."""
        del context
        workload = names.workload_id(request.parent, "parent", every=True)
        engine = names.check_id(names.ENGINE, request.engine, "engine") if request.engine else ""
        profiles, token = await self._profiles.list(
            "" if workload == names.EVERY else workload,
            engine,
            page_of(
                f"ListPerformanceProfiles {request.parent} {engine}", request.page_size, request.page_token
            ),
        )
        return engine_pb2.ListPerformanceProfilesResponse(
            performance_profiles=profiles, next_page_token=token
        )
