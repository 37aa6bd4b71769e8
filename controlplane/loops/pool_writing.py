"""Storing what a plan for pools says, one small transaction for each thing.

The rounds of the pools' loop call it, with a fenced store. Whatever has changed since it was read is left
as it is: the next round decides anew. So is what has no answer: the next round reads what came of it. A
launch that may have been written keeps its id until that is known, so that it cannot be written twice.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime

from controlplane.catalog.documents import write
from controlplane.catalog.pool_reading import Seen
from controlplane.profiles import starts
from controlplane.switching.launch_states import READY, STARTING, Patience
from controlplane.switching.pool_learning import learned_pool
from controlplane.switching.pool_world import Learned, Plan, launch_id, named
from enchain.chains.decision_names import UNKNOWN_VERSION, LaunchName, PoolName
from enchain.chains.errors import MalformedError, UnsettledError
from enchain.process.logs import get_logger
from enchain.process.telemetry import meter
from enchain.state import keys
from enchain.state.codec import decode
from enchain.state.store import Compare, Delete, Op, Put, Store, Txn, absent, unchanged
from enchain.v1.learned_pb2 import StartStatistics
from enchain.v1.pool_pb2 import Launching

_log = get_logger(__name__)
_meter = meter(__name__)
_launches = _meter.create_counter("enchain.pools.launches", "{launch}", "Launches by the state they came to.")


@dataclass
class PoolWriter:
    """Stores plans within one term.

    Args:
        store: Fenced.
        new_id: Makes ids that sort by time.
        patience: Dates deadlines.
        began: When the term began: how long an earlier leader's launches took is not known for sure.
    """

    store: Store
    new_id: Callable[[], str]
    patience: Patience
    began: datetime
    _ids: dict[PoolName, list[str]] = field(default_factory=dict)

    async def store_plan(self, seen: Seen, plan: Plan) -> list[Launching]:
        """Store a plan; answer the launches that stand as the plan wants them, new ones included."""
        for pool in plan.pools:
            key = _pool_key(PoolName.parse(pool.name))
            pool.update_time.FromDatetime(seen.world.now)
            await self._commit([absent(key)], [write(key, pool)])
        told = {each.launch: each for each in plan.learned}
        for learned in plan.learned:
            if not learned.launch:
                await self._commit(*self._learn(seen, learned))
        stands = {launch.name: launch for launch in seen.world.launches}
        for launch in plan.moved:
            if await self._move(seen, launch, told.get(launch.name)):
                stands[launch.name] = launch
            else:
                del stands[launch.name]
        for launch in plan.forgotten:
            key = _launch_key(launch)
            await self._commit([seen.same(key)], [Delete(key)])
        return [*stands.values(), *await self._begin(seen, plan)]

    async def _begin(self, seen: Seen, plan: Plan) -> list[Launching]:
        begun = []
        for name, launches in plan.launching.items():
            for index, launch in enumerate(launches):
                ids = self._ids.setdefault(name, [])
                while len(ids) <= index:
                    ids.append(self.new_id())
                begun.append(named(launch, ids[index], seen.world.now, self.patience))
        return [launch for launch in begun if await self._launch(seen, launch)]

    async def _launch(self, seen: Seen, launch: Launching) -> bool:
        name, key = PoolName(launch.engine, launch.version), _launch_key(launch)
        held = [absent(key), seen.same(_pool_key(name))]
        try:
            done = (await self.store.commit(Txn(tuple(held), (write(key, launch),)))).succeeded
        except UnsettledError as error:
            _log.warning("launch unanswered", launch=launch.name, reason=error.message)
            return False  # its id is used again, so that only one of the two can come to be
        self._ids[name].remove(launch_id(launch))
        if done:
            _note(launch)
        return done

    async def _move(self, seen: Seen, launch: Launching, learned: Learned | None) -> bool:
        key = _launch_key(launch)
        before = next(each for each in seen.world.launches if each.name == launch.name)
        compares: list[Compare] = [seen.same(key)]
        writes: list[Op] = [write(key, launch)]
        if launch.state == READY and before.state == STARTING:
            more = await self._started(launch)
            compares, writes = [*compares, *more[0]], [*writes, *more[1]]
        if learned is not None:
            also = self._learn(seen, learned)
            compares, writes = [*compares, *also[0]], [*writes, *also[1]]
        done = await self._commit(compares, writes)
        if done and launch.state != before.state:
            _note(launch)
        return done

    async def _started(self, launch: Launching) -> tuple[list[Compare], list[Op]]:
        """Count how long an instance took to start, in the transaction that says so."""
        created, ready = launch.create_time.ToDatetime(self.began.tzinfo), launch.ready_time
        if created < self.began:
            return [], []
        key = keys.starts(launch.engine, launch.version)
        item = await self.store.get(key)
        known = starts.empty(launch.engine, launch.version)
        try:
            known = known if item is None else decode(StartStatistics, item.value, key=key)
        except MalformedError as error:
            _log.warning("what was learned of starts is begun anew", key=key, fault=error.message)
        at = ready.ToDatetime(self.began.tzinfo)
        folded = starts.fold(known, max((at - created).total_seconds(), 0.0), at)
        return [unchanged(key, item.mod_revision if item else 0)], [write(key, folded)]

    def _learn(self, seen: Seen, learned: Learned) -> tuple[list[Compare], list[Op]]:
        """Say which version is current; what was asked of the unknown one is asked of it."""
        name, pools = learned.name, seen.world.pools
        pool = learned_pool(name, pools, seen.world.engines[name.engine], seen.world.now)
        pool.update_time.FromDatetime(seen.world.now)
        unknown = _pool_key(PoolName(name.engine, UNKNOWN_VERSION))
        _log.info("version of an engine's command known", engine=name.engine, version=name.version)
        compares = [seen.same(_pool_key(name)), seen.same(unknown)]
        writes: list[Op] = [write(_pool_key(name), pool)]
        if PoolName(name.engine, UNKNOWN_VERSION) in pools:
            writes.append(Delete(unknown))
        return compares, writes

    async def _commit(self, compares: list[Compare], writes: list[Op] | list[Put] | list[Delete]) -> bool:
        try:
            return (await self.store.commit(Txn(tuple(compares), tuple(writes)))).succeeded
        except UnsettledError as error:
            _log.warning("change of pools unanswered", reason=error.message)
            return False


def _pool_key(name: PoolName) -> str:
    return keys.pool(name.engine, name.version)


def _launch_key(launch: Launching) -> str:
    return keys.launch(launch.engine, LaunchName.parse(launch.name).launch)


def _note(launch: Launching) -> None:
    state = Launching.State.Name(launch.state).removeprefix("STATE_").lower()
    _launches.add(1, {"engine": launch.engine, "state": state})
    _log.info(
        "launch moved on", launch=launch.name, version=launch.version, state=state, reason=launch.reason
    )
