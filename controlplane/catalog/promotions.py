"""Promoting the winner of an experiment: a switch of the chain manager, begun as soon as it can be.

`controlplane.rpc.experiments` tries at once where a person asked, the leader's loop again and again. It is
level-triggered: what the experiment says is still to be done, is; a switch that was begun for it before is
found by its request id. Carrying the switch out is the chain manager's.
"""

from datetime import UTC, datetime
from functools import partial

from ulid import ULID

from controlplane.catalog.arm_pools import need_of_whole
from controlplane.catalog.audit import Caller, record
from controlplane.catalog.changes import Change, Stamper, commit
from controlplane.catalog.documents import same, write
from controlplane.catalog.experiment_routes import route_of
from controlplane.catalog.experiments import require
from controlplane.catalog.routes import RouteCatalog, Wish
from controlplane.experiments.changing import arm_named, bounded
from controlplane.switching.terms import Terms
from enchain.chains.decision_names import ExperimentName
from enchain.chains.errors import CallerError
from enchain.chains.names import ChainName, SwitchName
from enchain.state.store import Store
from enchain.v1 import chain_pb2, experiment_pb2

Experiment = experiment_pb2.Experiment


class Promotions:
    """Begins the switches that promote winners.

    Args:
        store: Where all is kept; the leader's is fenced.
        stamp: Gives time and id to each decision.
    """

    def __init__(self, store: Store, stamp: Stamper) -> None:
        self._store = store
        self._stamp = stamp
        self._routes = RouteCatalog(store, stamp)

    async def begin(self, name: ExperimentName, caller: Caller) -> Experiment:
        """Begin the switch that a conclusion asks for, if one is still to be begun.

        Where it cannot be begun now the conclusion says why, and it stays to be done. Where somebody has
        moved the route since, it is not done any more.

        Raises:
            NotFoundError: There is no such experiment.
        """
        experiment = (await require(self._store, name)).message
        if not experiment.conclusion.promotion_pending:
            return experiment
        route = (await route_of(self._store, name.workload)).message
        winner = arm_named(experiment, experiment.conclusion.winner)
        request_id = _request_id(experiment)
        if winner is None:
            return await self._settle(name, caller, "", "the winner is none of its arms", pending=False)
        if _moved_since(route, experiment) and not await self._begun(name, request_id):
            told = f"{route.chain_switch} moved the route since: switch by hand if you still want it"
            return await self._settle(name, caller, "", told, pending=False)
        try:
            chain = ChainName.parse(winner.chain, "chain", whole=True)
            wish = Wish(
                name.workload,
                Caller(caller.method, caller.actor, request_id, f"{name} was concluded for {winner.name}"),
                terms=Terms(instances=await need_of_whole(self._store, chain, self._stamp().now)),
            )
            switch = await self._routes.switch(wish, chain)
        except CallerError as error:
            told = f"{error.message}. {error.remedy}" if error.remedy else error.message
            return await self._settle(name, caller, "", told, pending=True)
        return await self._settle(name, caller, switch.name, "", pending=False)

    async def _begun(self, name: ExperimentName, request_id: str) -> bool:
        return await self._routes.begun(name.workload, request_id)

    async def _settle(
        self, name: ExperimentName, caller: Caller, switch: str, fault: str, *, pending: bool
    ) -> Experiment:
        decide = partial(self._decide, name, caller, switch, fault, pending=pending)
        return await commit(self._store, decide)

    async def _decide(
        self, name: ExperimentName, caller: Caller, switch: str, fault: str, *, pending: bool
    ) -> Change[Experiment]:
        document = await require(self._store, name)
        before, after, stamp = document.message, Experiment(), self._stamp()
        after.CopyFrom(before)
        after.conclusion.chain_switch = switch
        after.conclusion.promotion_fault = fault
        after.conclusion.promotion_pending = pending
        if not before.conclusion.promotion_pending or after.conclusion == before.conclusion:
            return Change(before)
        after.update_time.FromDatetime(stamp.now)
        put = write(document.key, bounded(after))
        audit = record(stamp, caller, str(name), before=before, after=after)
        return Change(after, (same(document, document.key),), (put,), audit)


def _request_id(experiment: Experiment) -> str:
    """The same for every attempt, and for no other experiment: the seed of a phase is nobody else's."""
    return f"promote-{experiment.phases[-1].seed.rpartition('.')[2]}"


def _moved_since(route: chain_pb2.Route, experiment: Experiment) -> bool:
    """Say whether a switch that began after the conclusion moved the route."""
    if not route.chain_switch:
        return False
    began = ULID.from_str(SwitchName.parse(route.chain_switch).switch).datetime
    return began > _second(experiment.end_time.ToDatetime(UTC))


def _second(time: datetime) -> datetime:
    """ULIDs count milliseconds; the switch that found the experiment in its way began before."""
    return time.replace(microsecond=time.microsecond // 1000 * 1000)
