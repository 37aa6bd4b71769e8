"""`enchain.v1.WorkloadService`: requests to calls of the workload catalogue, answers back.

`controlplane.main` registers it. Nothing is decided here.
"""

from controlplane.catalog.paging import page_of
from controlplane.catalog.workloads import WorkloadCatalog
from controlplane.rpc.callers import Context, caller_of
from enchain.chains import names
from enchain.v1 import workload_pb2, workload_pb2_grpc

SERVICE = "enchain.v1.WorkloadService"


class WorkloadServicer(workload_pb2_grpc.WorkloadServiceServicer):
    """Serves the workload catalogue.

    Args:
        catalog: What is served.
    """

    def __init__(self, catalog: WorkloadCatalog) -> None:
        self._catalog = catalog

    async def CreateWorkload(  # noqa: N802 - the method's name on the wire
        self, request: workload_pb2.CreateWorkloadRequest, context: Context
    ) -> workload_pb2.Workload:
        """Create a workload, its default chain and the route to it."""
        return await self._catalog.create(
            names.check_id(names.WORKLOAD, request.workload_id, "workload_id"),
            request.workload,
            caller_of(context, f"{SERVICE}/CreateWorkload", request.request_id),
            validate_only=request.validate_only,
        )

    async def GetWorkload(  # noqa: N802 - the method's name on the wire
        self, request: workload_pb2.GetWorkloadRequest, context: Context
    ) -> workload_pb2.Workload:
        """Answer one workload."""
        del context
        return await self._catalog.get(names.workload_id(request.name))

    async def ListWorkloads(  # noqa: N802 - the method's name on the wire
        self, request: workload_pb2.ListWorkloadsRequest, context: Context
    ) -> workload_pb2.ListWorkloadsResponse:
        """Answer a page of workloads."""
        del context
        workloads, token = await self._catalog.list(
            page_of("ListWorkloads", request.page_size, request.page_token)
        )
        return workload_pb2.ListWorkloadsResponse(workloads=workloads, next_page_token=token)

    async def UpdateWorkload(  # noqa: N802 - the method's name on the wire
        self, request: workload_pb2.UpdateWorkloadRequest, context: Context
    ) -> workload_pb2.Workload:
        """Replace a workload and derive its chains again."""
        return await self._catalog.update(
            request.workload,
            request.update_mask.paths,
            caller_of(context, f"{SERVICE}/UpdateWorkload", request.request_id),
            allow_missing=request.allow_missing,
            validate_only=request.validate_only,
        )

    async def DeleteWorkload(  # noqa: N802 - the method's name on the wire
        self, request: workload_pb2.DeleteWorkloadRequest, context: Context
    ) -> workload_pb2.DeleteWorkloadResponse:
        """Delete a workload with its chains and route."""
        await self._catalog.delete(
            names.workload_id(request.name),
            request.etag,
            caller_of(context, f"{SERVICE}/DeleteWorkload", request.request_id),
            validate_only=request.validate_only,
        )
        return workload_pb2.DeleteWorkloadResponse()
