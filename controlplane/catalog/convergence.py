"""Convergence: which live routers follow a route as it stands.

`GetConvergence` and the people who switch call it. It informs and decides nothing: admission compares the
route's revision, so a router that is behind admits nothing on a chain that has lost its share.
"""

from collections.abc import Sequence

from controlplane.catalog.documents import read, readable, scan
from enchain.chains.errors import NotFoundError
from enchain.chains.names import convergence_name, route_name, workload_name
from enchain.state import keys
from enchain.state.store import Store
from enchain.v1 import chain_pb2, presence_pb2


def judge(
    workload: str, route_revision: int, routers: Sequence[presence_pb2.RouterPresence]
) -> chain_pb2.Convergence:
    """Compare what routers say of themselves with the revision of a route.

    A router has converged when it has read the route's revision and refuses nothing of the workload. The
    whole has converged when all routers have, and there is one: a route that nobody follows is not in
    force.
    """
    judged = [_judge_router(workload, route_revision, router) for router in routers]
    return chain_pb2.Convergence(
        name=convergence_name(workload),
        route_revision=route_revision,
        converged=bool(judged) and all(router.converged for router in judged),
        routers=judged,
    )


def _judge_router(
    workload: str, route_revision: int, router: presence_pb2.RouterPresence
) -> chain_pb2.RouterConvergence:
    refusals = [each for each in router.refusals if each.workload == workload_name(workload)]
    return chain_pb2.RouterConvergence(
        router=router.name,
        address=router.address,
        applied_revision=router.applied_revision,
        converged=not refusals and router.applied_revision >= route_revision,
        refusal="; ".join(f"{refusal.key}: {refusal.reason}" for refusal in refusals),
    )


async def get_convergence(store: Store, workload: str) -> chain_pb2.Convergence:
    """Read the route and the routers, and judge.

    Raises:
        NotFoundError: The workload has no route.
    """
    route = await read(store, chain_pb2.Route, keys.route(workload))
    if route is None:
        raise NotFoundError(
            f"{workload_name(workload)} has no route",
            reason="ROUTE_NOT_FOUND",
            metadata={"name": route_name(workload)},
        )
    items = [item async for item in scan(store, keys.ROUTERS)]
    routers = [document.message for document in readable(presence_pb2.RouterPresence, items)]
    return judge(workload, route.mod_revision, routers)
