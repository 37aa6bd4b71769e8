"""Deleting a workload: closed first, looked through, then deleted.

`controlplane.catalog.workloads` calls it. A router may admit a resource between the moment we look for
resources and the moment we delete. Admission compares the route, so the route goes first: once it is gone
nobody admits, and what is found then is all there is. Where something is found after all, the route is put
back.
"""

from controlplane.catalog.audit import Caller, record
from controlplane.catalog.changes import Change, Stamper, commit
from controlplane.catalog.documents import Document, check_etag, read, same
from controlplane.catalog.users import Users, refuse_while_used, users_of
from enchain.chains.errors import NotFoundError, PreconditionError
from enchain.chains.names import route_name, workload_name
from enchain.state import keys
from enchain.state.store import Delete, Put, Store, absent
from enchain.v1 import chain_pb2, workload_pb2


def not_found(workload: str) -> NotFoundError:
    """Say that there is no such workload."""
    return NotFoundError(
        f"there is no {workload_name(workload)}",
        reason="WORKLOAD_NOT_FOUND",
        remedy="List the workloads, or save this one first.",
        metadata={"name": workload_name(workload)},
    )


def refuse_while_tested(route: chain_pb2.Route) -> None:
    """Refuse to delete a workload on which experiments warm, run or are paused.

    Raises:
        PreconditionError: There is one.
    """
    if route.experiments:
        raise PreconditionError(
            f"{', '.join(route.experiments)} warms, runs or is paused",
            reason="IN_USE",
            remedy=f"Conclude it first: enchain experiments conclude {_short(route.experiments[0])}.",
            metadata={"name": route.name, "experiments": ", ".join(route.experiments)},
        )


def _short(experiment: str) -> str:
    return experiment.removeprefix("workloads/").replace("/experiments/", "/")


class WorkloadRemoval:
    """Deletes workloads.

    Args:
        store: Where they are kept.
        stamp: Gives time and id to each decision.
    """

    def __init__(self, store: Store, stamp: Stamper) -> None:
        self._store = store
        self._stamp = stamp

    async def delete(self, workload: str, etag: str, caller: Caller, *, validate_only: bool = False) -> None:
        """Delete a workload with its route, chains, switches, events, forecasts, profiles and experiments.

        Where the process dies in between, the workload stands without a route: deleting it again goes on, and
        saving it again makes a new route.

        Raises:
            NotFoundError: There is none.
            ConflictError: It has changed since it was read.
            PreconditionError: Resources of it exist, operations on it run, or an experiment does.
        """
        name = workload_name(workload)

        async def close() -> Change[Document[chain_pb2.Route] | None]:
            current = await self._require(workload, etag)
            route = await read(self._store, chain_pb2.Route, keys.route(workload))
            refuse_while_used(await self._users(workload), name)
            if route is None:
                return Change(None)
            refuse_while_tested(route.message)
            audit = record(self._stamp(), caller, route_name(workload), before=route.message, after=None)
            return Change(
                route,
                (same(current, current.key), same(route, route.key)),
                (Delete(route.key),),
                audit,
            )

        async def finish() -> Change[None]:
            current = await self._require(workload, "")
            audit = record(self._stamp(), caller, name, before=current.message, after=None)
            doomed = (
                Delete(current.key),
                Delete(keys.chains_of(workload), prefix=True),
                Delete(keys.switches_of(workload), prefix=True),
                Delete(keys.planned_events_of(workload), prefix=True),
                Delete(keys.forecasts_of(workload), prefix=True),
                Delete(keys.accuracy_of(workload), prefix=True),
                Delete(keys.switch_evidence_of(workload), prefix=True),
                Delete(keys.profiles_of(workload), prefix=True),
                Delete(keys.recommendations_of(workload), prefix=True),
                Delete(keys.recommendation_inputs_of(workload), prefix=True),
                Delete(keys.experiments_of(workload), prefix=True),
                Delete(keys.experiment_looks(workload, ""), prefix=True),
                Delete(keys.experiment_statistics_of(workload), prefix=True),
            )
            return Change(None, (same(current, current.key), absent(keys.route(workload))), doomed, audit)

        route = await commit(self._store, close, validate_only=validate_only)
        if validate_only:
            return
        users = await self._users(workload)
        if not users.none and route is not None:
            await self._reopen(route, caller)
        refuse_while_used(users, name)
        await commit(self._store, finish)

    async def _reopen(self, route: Document[chain_pb2.Route], caller: Caller) -> None:
        """Put a route back, unless somebody has made another one meanwhile."""

        async def decide() -> Change[None]:
            if await self._store.get(route.key) is not None:
                return Change(None)
            audit = record(self._stamp(), caller, route.message.name, before=None, after=route.message)
            return Change(None, (absent(route.key),), (Put(route.key, route.value),), audit)

        await commit(self._store, decide)

    async def _users(self, workload: str) -> Users:
        name = workload_name(workload)
        return await users_of(
            self._store, lambda of, chain: of == name or chain.startswith(f"{name}/chains/")
        )

    async def _require(self, workload: str, etag: str) -> Document[workload_pb2.Workload]:
        current = await read(self._store, workload_pb2.Workload, keys.workload(workload))
        if current is None:
            raise not_found(workload)
        check_etag(etag, current, workload_name(workload))
        return current
