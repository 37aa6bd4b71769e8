"""`enchain.v1.ChainService`: requests to calls of the chain and route catalogues, answers back.

`controlplane.main` registers it. Nothing is decided here.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing

from controlplane.catalog.chains import ChainCatalog
from controlplane.catalog.convergence import get_convergence
from controlplane.catalog.paging import page_of
from controlplane.catalog.routes import RouteCatalog, Wish
from controlplane.catalog.switch_progress import SwitchProgress
from controlplane.rpc.callers import Context, caller_of
from controlplane.rpc.streams import until
from controlplane.switching.terms import terms_of
from enchain.chains import names
from enchain.state.store import Store
from enchain.v1 import chain_pb2, chain_pb2_grpc

SERVICE = "enchain.v1.ChainService"


class ChainServicer(chain_pb2_grpc.ChainServiceServicer):
    """Serves chains, routes and switches.

    Args:
        chains: The chains that are served.
        routes: The routes that are served.
        progress: The switches that are under way.
        store: Where routers say how far they are.
        stop: Set when this process is told to stop; streams end then, and go on at another replica.
    """

    def __init__(
        self,
        chains: ChainCatalog,
        routes: RouteCatalog,
        progress: SwitchProgress,
        store: Store,
        *,
        stop: asyncio.Event,
    ) -> None:
        self._chains = chains
        self._routes = routes
        self._progress = progress
        self._store = store
        self._stop = stop

    async def CreateChain(  # noqa: N802 - the method's name on the wire
        self, request: chain_pb2.CreateChainRequest, context: Context
    ) -> chain_pb2.Chain:
        """Save a named chain."""
        name = names.ChainName(
            names.workload_id(request.parent, "parent"),
            names.check_id(names.CHAIN, request.chain_id, "chain_id"),
        )
        return await self._chains.create(
            name,
            request.chain,
            caller_of(context, f"{SERVICE}/CreateChain", request.request_id),
            validate_only=request.validate_only,
        )

    async def GetChain(  # noqa: N802 - the method's name on the wire
        self, request: chain_pb2.GetChainRequest, context: Context
    ) -> chain_pb2.Chain:
        """Answer one chain revision."""
        del context
        return await self._chains.get(names.ChainName.parse(request.name))

    async def ListChains(  # noqa: N802 - the method's name on the wire
        self, request: chain_pb2.ListChainsRequest, context: Context
    ) -> chain_pb2.ListChainsResponse:
        """Answer a page of chains."""
        del context
        workload = names.workload_id(request.parent, "parent", every=True)
        query = f"ListChains {request.parent} {request.all_revisions}"
        chains, token = await self._chains.list(
            "" if workload == names.EVERY else workload,
            page_of(query, request.page_size, request.page_token),
            all_revisions=request.all_revisions,
        )
        return chain_pb2.ListChainsResponse(chains=chains, next_page_token=token)

    async def DeleteChain(  # noqa: N802 - the method's name on the wire
        self, request: chain_pb2.DeleteChainRequest, context: Context
    ) -> chain_pb2.DeleteChainResponse:
        """Delete a chain or one revision of it."""
        await self._chains.delete(
            names.ChainName.parse(request.name),
            request.etag,
            caller_of(context, f"{SERVICE}/DeleteChain", request.request_id),
            validate_only=request.validate_only,
        )
        return chain_pb2.DeleteChainResponse()

    async def GetRoute(  # noqa: N802 - the method's name on the wire
        self, request: chain_pb2.GetRouteRequest, context: Context
    ) -> chain_pb2.Route:
        """Answer where a workload's requests go."""
        del context
        return await self._routes.get(names.route_workload(request.name))

    async def SwitchChain(  # noqa: N802 - the method's name on the wire
        self, request: chain_pb2.SwitchChainRequest, context: Context
    ) -> chain_pb2.ChainSwitch:
        """Move a route to a chain."""
        wish = Wish(
            names.route_workload(request.name),
            caller_of(context, f"{SERVICE}/SwitchChain", request.request_id, request.reason),
            etag=request.etag,
            validate_only=request.validate_only,
            terms=terms_of(request),
        )
        return await self._routes.switch(wish, names.ChainName.parse(request.chain, "chain"))

    async def RollbackChain(  # noqa: N802 - the method's name on the wire
        self, request: chain_pb2.RollbackChainRequest, context: Context
    ) -> chain_pb2.ChainSwitch:
        """Move a route back to where the last switch found it."""
        wish = Wish(
            names.route_workload(request.name),
            caller_of(context, f"{SERVICE}/RollbackChain", request.request_id, request.reason),
            etag=request.etag,
            validate_only=request.validate_only,
        )
        return await self._routes.rollback(wish)

    async def PinRoute(  # noqa: N802 - the method's name on the wire
        self, request: chain_pb2.PinRouteRequest, context: Context
    ) -> chain_pb2.Route:
        """Hold a route where it is."""
        caller = caller_of(context, f"{SERVICE}/PinRoute", request.request_id, request.reason)
        return await self._routes.pin(Wish(names.route_workload(request.name), caller, etag=request.etag))

    async def UnpinRoute(  # noqa: N802 - the method's name on the wire
        self, request: chain_pb2.UnpinRouteRequest, context: Context
    ) -> chain_pb2.Route:
        """Let a route be moved again."""
        caller = caller_of(context, f"{SERVICE}/UnpinRoute", request.request_id, request.reason)
        return await self._routes.unpin(Wish(names.route_workload(request.name), caller, etag=request.etag))

    async def AbortChainSwitch(  # noqa: N802 - the method's name on the wire
        self, request: chain_pb2.AbortChainSwitchRequest, context: Context
    ) -> chain_pb2.ChainSwitch:
        """Ask for the end of a switch."""
        caller = caller_of(context, f"{SERVICE}/AbortChainSwitch", request.request_id, request.reason)
        return await self._progress.abort(names.SwitchName.parse(request.name), request.etag, caller)

    async def WatchChainSwitch(  # noqa: N802 - the method's name on the wire
        self, request: chain_pb2.WatchChainSwitchRequest, context: Context
    ) -> AsyncIterator[chain_pb2.ChainSwitch]:
        """Follow a switch to its end."""
        del context
        watched = self._progress.watch(names.SwitchName.parse(request.name))
        async with aclosing(until(self._stop, watched)) as switches:
            async for switch in switches:
                yield switch

    async def GetChainSwitch(  # noqa: N802 - the method's name on the wire
        self, request: chain_pb2.GetChainSwitchRequest, context: Context
    ) -> chain_pb2.ChainSwitch:
        """Answer one switch."""
        del context
        return await self._routes.get_switch(names.SwitchName.parse(request.name))

    async def ListChainSwitches(  # noqa: N802 - the method's name on the wire
        self, request: chain_pb2.ListChainSwitchesRequest, context: Context
    ) -> chain_pb2.ListChainSwitchesResponse:
        """Answer a page of a workload's switches, newest first."""
        del context
        switches, token = await self._routes.list_switches(
            names.workload_id(request.parent, "parent"),
            page_of(f"ListChainSwitches {request.parent}", request.page_size, request.page_token),
        )
        return chain_pb2.ListChainSwitchesResponse(chain_switches=switches, next_page_token=token)

    async def GetConvergence(  # noqa: N802 - the method's name on the wire
        self, request: chain_pb2.GetConvergenceRequest, context: Context
    ) -> chain_pb2.Convergence:
        """Answer which routers follow a route as it stands."""
        del context
        return await get_convergence(self._store, names.convergence_workload(request.name))
