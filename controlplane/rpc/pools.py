"""`enchain.v1.PoolService`: requests to calls of the catalogue of pools, answers back.

`controlplane.main` registers it. Nothing is decided here.
"""

from controlplane.catalog.paging import page_of
from controlplane.catalog.pools import PoolCatalog
from controlplane.rpc.callers import Context, caller_of
from enchain.chains import names
from enchain.chains.decision_names import PoolName
from enchain.v1 import pool_pb2, pool_pb2_grpc

SERVICE = "enchain.v1.PoolService"


class PoolServicer(pool_pb2_grpc.PoolServiceServicer):
    """Serves the pools.

    Args:
        catalog: What is served.
    """

    def __init__(self, catalog: PoolCatalog) -> None:
        self._catalog = catalog

    async def GetPool(  # noqa: N802 - the method's name on the wire
        self, request: pool_pb2.GetPoolRequest, context: Context
    ) -> pool_pb2.Pool:
        """Answer one pool."""
        del context
        return await self._catalog.get(PoolName.parse(request.name))

    async def ListPools(  # noqa: N802 - the method's name on the wire
        self, request: pool_pb2.ListPoolsRequest, context: Context
    ) -> pool_pb2.ListPoolsResponse:
        """Answer a page of pools."""
        del context
        engine = names.engine_id(request.parent, "parent", every=True)
        pools, token = await self._catalog.list(
            "" if engine == names.EVERY else engine,
            page_of(f"ListPools {request.parent}", request.page_size, request.page_token),
        )
        return pool_pb2.ListPoolsResponse(pools=pools, next_page_token=token)

    async def UpdatePool(  # noqa: N802 - the method's name on the wire
        self, request: pool_pb2.UpdatePoolRequest, context: Context
    ) -> pool_pb2.Pool:
        """Set a target."""
        return await self._catalog.update(
            request.pool,
            caller_of(context, f"{SERVICE}/UpdatePool", request.request_id, request.reason),
            validate_only=request.validate_only,
        )
