"""The route beside an experiment: it names those that warm, run or are paused, and is written with each.

Catalogues of experiments call it. Admission compares the route's mod revision, so a router that has an old
experiment admits nothing by it; it is written with the same content where the names stay.
"""

from dataclasses import dataclass

from controlplane.catalog.documents import Document, read, same, write
from controlplane.experiments.states import owns
from enchain.chains.decision_names import ExperimentName
from enchain.chains.errors import NotFoundError
from enchain.chains.names import route_name
from enchain.state import keys
from enchain.state.store import Compare, Put, Store
from enchain.v1 import chain_pb2, experiment_pb2


@dataclass(frozen=True, slots=True)
class Beside:
    """What is compared and written beside an experiment."""

    compares: tuple[Compare, ...] = ()
    writes: tuple[Put, ...] = ()


async def beside_route(
    store: Store, before: experiment_pb2.Experiment | None, after: experiment_pb2.Experiment
) -> Beside:
    """Answer what becomes of the route by a change of an experiment.

    Raises:
        NotFoundError: The workload has no route.
    """
    if not owns(before) and not owns(after):
        return Beside()
    return beside(await route_of(store, ExperimentName.parse(after.name).workload), after)


def beside(route: Document[chain_pb2.Route], after: experiment_pb2.Experiment) -> Beside:
    """Answer what becomes of a route that was read."""
    names = {name for name in route.message.experiments if name != after.name}
    names |= {after.name} if owns(after) else set()
    put = Put(route.key, route.value)
    if sorted(names) != list(route.message.experiments):
        moved = chain_pb2.Route()
        moved.CopyFrom(route.message)
        del moved.experiments[:]
        moved.experiments.extend(sorted(names))
        put = write(route.key, moved)
    return Beside((same(route, route.key),), (put,))


async def route_of(store: Store, workload: str) -> Document[chain_pb2.Route]:
    """Read a workload's route.

    Raises:
        NotFoundError: It has none.
    """
    document = await read(store, chain_pb2.Route, keys.route(workload))
    if document is None:
        raise NotFoundError(
            f"there is no {route_name(workload)}",
            reason="ROUTE_NOT_FOUND",
            remedy="Save the workload first.",
            metadata={"name": route_name(workload)},
        )
    return document
