"""Starting experiments: at once where every engine of every arm has an instance, else once they are ready.

`experiment_life` calls `start` for people; `controlplane.loops.warming` calls the rest for the leader, which
goes on from what is stored. Whatever was checked when a start was asked for is checked again before anybody
is enrolled. It launches nothing: pools keep an instance of whatever a warming experiment needs.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta

from controlplane.catalog import surveys
from controlplane.catalog.arm_pools import need_of_arms
from controlplane.catalog.changes import Change, commit
from controlplane.catalog.documents import Document, same, write
from controlplane.catalog.experiment_arms import (
    chains_of_arms,
    refuse_unserved,
    refuse_while_switching,
    workload_of,
)
from controlplane.catalog.experiment_layers import refuse_in_the_way
from controlplane.catalog.experiment_moments import (
    Asked,
    Moment,
    Moments,
    change_of,
    part_freed,
    part_reserved,
)
from controlplane.catalog.experiment_owners import owning
from controlplane.catalog.experiment_routes import beside, beside_route, route_of
from controlplane.catalog.moves import refuse_pin
from controlplane.experiments import changing
from controlplane.experiments.states import RUNNING, WARMING, Act, advance
from controlplane.experiments.warming import shown
from controlplane.switching import holding
from controlplane.switching.rules import WARM_SECONDS
from enchain.chains.names import workload_name
from enchain.state.store import Compare, Store, Txn
from enchain.v1 import chain_pb2, experiment_pb2

Experiment = experiment_pb2.Experiment


@dataclass(frozen=True, slots=True)
class Checked:
    """What a start rests on.

    Attributes:
        chains: Of the arms, by their order.
        waiting: A line for each engine version of theirs of which too few instances are ready yet.
        route: Of the workload.
        compares: What must still hold of workload and chains.
    """

    chains: tuple[str, ...]
    waiting: tuple[str, ...]
    route: Document[chain_pb2.Route]
    compares: tuple[Compare, ...]


class ExperimentStarts:
    """Starts experiments.

    Args:
        store: Where they are kept; the leader's is fenced.
        moments: Reads what decisions are about.
    """

    def __init__(self, store: Store, moments: Moments) -> None:
        self._store = store
        self._moments = moments

    async def start(self, asked: Asked) -> Experiment:
        """Start a draft, or let it warm. One that runs or warms is answered as it is.

        Raises:
            NotFoundError: There is none, or a chain, the workload or its route is gone.
            PreconditionError: It is no draft, or may not be started now.
            ConflictError: It has changed since it was read.
        """

        async def decide() -> Change[Experiment]:
            moment = await self._moments.read(asked, "started")
            if moment.experiment.state in (RUNNING, WARMING):
                return Change(moment.experiment)
            advance(moment.experiment, Act.START)
            checked = await self._checked(asked, moment)
            if not checked.waiting:
                return await self._begun(asked, moment, checked)
            time = asked.warm if asked.warm is not None else timedelta(seconds=WARM_SECONDS)
            after = changing.warmed(
                moment.experiment, checked.chains, shown(checked.waiting), time, moment.why
            )
            return await self._moved(asked, moment, after, checked)

        return await commit(self._store, decide, validate_only=asked.validate_only)

    async def begin(self, asked: Asked, *, fewer: bool = False) -> Experiment:
        """Let an experiment that warms run; it is answered as it is where an instance is missing again.

        Args:
            asked: Of which one.
            fewer: One instance of each engine version is enough.

        Raises:
            NotFoundError: A chain, the workload or its route is gone.
            PreconditionError: It does not warm any more, or may not be started now.
            ConflictError: It has changed since it was read.
        """

        async def decide() -> Change[Experiment]:
            moment = await self._moments.read(asked, "every engine of its arms is ready")
            advance(moment.experiment, Act.START)
            checked = await self._checked(asked, moment, fewer=fewer)
            if checked.waiting:
                return Change(moment.experiment)
            return await self._begun(asked, moment, checked)

        return await commit(self._store, decide)

    async def give_up(self, asked: Asked, reason: str) -> Experiment:
        """Make a draft again of one that warms. The caller's reason says what was wrong.

        Args:
            asked: Of which one.
            reason: The same as a stable code.

        Raises:
            PreconditionError: It does not warm any more.
            ConflictError: It has changed since it was read.
        """

        async def decide() -> Change[Experiment]:
            moment = await self._moments.read(asked, reason)
            after = changing.cooled(moment.experiment, reason, moment.why)
            route = await beside_route(self._store, moment.experiment, after)
            freed = await part_freed(self._store, moment.experiment)
            compares, writes = (*route.compares, *freed[0]), (*route.writes, *freed[1])
            return change_of(asked, moment, after, compares, writes)

        return await commit(self._store, decide)

    async def wait(self, document: Document[Experiment], waiting: Sequence[str]) -> None:
        """Write down what an experiment waits for now, unless it has changed meanwhile."""
        put = write(document.key, changing.waiting_for(document.message, waiting))
        await self._store.commit(Txn((same(document, document.key),), (put,)))

    async def _checked(self, asked: Asked, moment: Moment, *, fewer: bool = False) -> Checked:
        """Check all that a start rests on.

        Raises:
            NotFoundError: A chain, the workload or its route is gone.
            PreconditionError: It may not be started now.
        """
        experiment, workload_id = moment.experiment, asked.name.workload
        workload = await workload_of(self._store, workload_id)
        workload.message.name = workload_name(workload_id)
        route = await route_of(self._store, workload_id)
        refuse_pin(route.message)
        await refuse_while_switching(self._store, workload_id)
        others = await owning(self._store, workload_id)
        refuse_in_the_way(experiment, [other for other in others if other.name != experiment.name])
        documents = await chains_of_arms(self._store, experiment, workload.message)
        chains = [each.message for each in documents]
        fleet = await surveys.fleet(self._store)
        refuse_unserved(experiment, chains, fleet)
        need = holding.one_of_each(chains)
        if not fewer:
            need = await need_of_arms(self._store, experiment, chains, fleet, moment.stamp.now)
        return Checked(
            tuple(each.name for each in chains),
            tuple(holding.short(need, fleet)),
            route,
            (same(workload, workload.key), *{each.key: same(each, each.key) for each in documents}.values()),
        )

    async def _begun(self, asked: Asked, moment: Moment, checked: Checked) -> Change[Experiment]:
        after = changing.started(moment.experiment, checked.chains, moment.why)
        return await self._moved(asked, moment, after, checked)

    async def _moved(
        self, asked: Asked, moment: Moment, after: Experiment, checked: Checked
    ) -> Change[Experiment]:
        """Write an experiment together with its route and its part of the layer."""
        moved, part = beside(checked.route, after), await part_reserved(self._store, after)
        compares = (*moved.compares, *part[0], *checked.compares)
        return change_of(asked, moment, after, compares, (*moved.writes, *part[1]))
