"""One look at all chain switches under way: each is carried as far as it goes, and pools keep what they need.

The leader's loop (`switching.py`) calls it with its fenced store. What to do is decided in
`controlplane.switching.machine`. Every step is one transaction that compares the record as it was read, and
what is asked of others is asked after it is stored; so whoever leads next goes on from any point.
"""

from collections.abc import Iterable, Mapping

from controlplane.catalog import surveys
from controlplane.catalog.audit import Caller, record
from controlplane.catalog.changes import Stamp, Stamper
from controlplane.catalog.documents import Document, read, readable, same, scan, write
from controlplane.catalog.pool_reading import pool_name_of
from controlplane.loops.leadership import LeadershipLostError
from controlplane.switching import holding, states
from controlplane.switching.health import Health
from controlplane.switching.machine import Step, step
from controlplane.switching.records import Switch, origin
from controlplane.switching.sight import Looked, Sight
from enchain.chains.decision_names import PoolName
from enchain.chains.errors import EnchainError, UnavailableError, UnsettledError
from enchain.chains.names import OperationName, SwitchName, workload_name
from enchain.chains.routes import chains_of
from enchain.process.logs import get_logger
from enchain.process.telemetry import meter
from enchain.state import keys
from enchain.state.codec import encode
from enchain.state.store import Compare, Delete, Put, Store, Txn, absent, unchanged
from enchain.v1 import operation_pb2, pool_pb2

STEPS_MAX = 8
"""How far one switch goes before the next one has its turn: the length of the table."""

METHOD = "carry out chain switches"

KEPT = 200
"""Records of switches that have ended, of each workload; the oldest go first."""

PRUNED_AT_ONCE = 100

_log = get_logger(__name__)
_steps = meter(__name__).create_counter(
    "enchain.switches.steps", "{step}", "States that switches came to, by state."
)


class SwitchRounds:
    """Carries switches out.

    Args:
        store: Fenced.
        health: Tells which instances answer.
        stamp: Gives time and id to each step.
        leader: Who leads, for the records.
    """

    def __init__(self, store: Store, health: Health, stamp: Stamper, leader: str) -> None:
        self._store = store
        self._sight = Sight(store, health)
        self._stamp = stamp
        self._leader = leader

    async def round(self, names: Iterable[str]) -> None:
        """Carry switches on, oldest first, then let pools keep what those under way need.

        Args:
            names: Keys of the records that may not have ended.
        """
        items = [await self._store.get(key) for key in names]
        found = readable(Switch, [item for item in items if item is not None])
        under_way = [each for each in found if not states.is_end(each.message.state)]
        eldest: dict[str, str] = {}
        for document in sorted(under_way, key=lambda each: each.create_revision):
            workload = document.message.name.rpartition("/switches/")[0]
            elder = eldest.get(workload, "")
            if document.message.state != states.RETIRING:
                eldest.setdefault(workload, document.message.name)
            await self._carry_safely(document.key, elder)
        await self.hold(names)

    async def _carry_safely(self, key: str, elder: str) -> None:
        """Carry one switch; what is wrong with one must not stop the others.

        Raises:
            LeadershipLostError: The term is over.
            UnavailableError: The store does not answer.
            UnsettledError: It did not answer whether a step was stored; the next look tells.
        """
        try:
            for _ in range(STEPS_MAX):
                if not await self.carry(key, elder):
                    return
        except (LeadershipLostError, UnavailableError, UnsettledError):
            raise
        except EnchainError as error:
            _log.warning("switch waits", key=key, reason=error.reason, fault=error.message)

    async def carry(self, key: str, elder: str = "") -> bool:
        """Take one step; false where there is nothing to do now."""
        document = await read(self._store, Switch, key)
        if document is None or states.is_end(document.message.state):
            return False
        stamp = self._stamp()
        looked = await self._sight.look(document.message, elder, stamp.now)
        decided = step(document.message, looked.seen, stamp.now, self._leader)
        for operation in decided.cancels:
            await self._cancel(operation, document.message, stamp)
        if decided.switch is None:
            return False
        moved = decided.switch.state != document.message.state
        stored = await self._store_step(document, decided, looked, stamp)
        return stored and moved

    async def _store_step(
        self, document: Document[Switch], decided: Step, looked: Looked, stamp: Stamp
    ) -> bool:
        """Store a step; false where somebody was faster."""
        switch = decided.switch
        assert switch is not None
        compares: list[Compare] = [same(document, document.key)]
        puts: list[Put] = []
        if decided.route is not None and looked.route is not None:
            compares.append(same(looked.route, looked.route.key))
            puts.append(write(looked.route.key, decided.route))
            caller = Caller(METHOD, switch.actor, switch.request_id, switch.rollback_reason or switch.reason)
            before, after = looked.route.message, decided.route
            puts.append(record(stamp, caller, after.name, before=before, after=after))
            if switch.state == states.CONVERGING:
                switch.to.etag = decided.route.etag
        if switch.state == states.RETIRING and document.message.state != states.RETIRING:
            for compare, put in await self._demands_moved(switch):
                compares.append(compare)
                puts.append(put)
        puts.append(write(document.key, switch))
        result = await self._store.commit(Txn(tuple(compares), tuple(puts)))
        if result.succeeded and switch.state != document.message.state:
            name = Switch.State.Name(switch.state).removeprefix("STATE_")
            _log.info("switch goes on", switch=switch.name, state=name, found=switch.phases[-1].description)
            _steps.add(1, {"state": name})
            if states.is_end(switch.state):
                await self._prune(SwitchName.parse(switch.name).workload)
        return result.succeeded

    async def _prune(self, workload: str) -> None:
        """Delete the oldest records of a workload where there are too many; the newest are under way."""
        items = [item async for item in scan(self._store, keys.switches_of(workload), keys_only=True)]
        oldest = sorted(items, key=lambda item: item.create_revision)[: max(len(items) - KEPT, 0)]
        if oldest:
            gone = tuple(Delete(item.key) for item in oldest[:PRUNED_AT_ONCE])
            await self._store.commit(Txn(success=gone))

    async def _demands_moved(self, switch: Switch) -> list[tuple[Compare, Put]]:
        """Move what the workload asks of pools on with its requests."""
        workload = workload_name(SwitchName.parse(switch.name).workload)
        documents = await self._pools()
        pools = {name: document.message for name, document in documents.items()}
        new = await surveys.known_chains(self._store, chains_of(switch.to))
        old = await surveys.known_chains(self._store, chains_of(origin(switch)))
        changed = holding.with_demands(switch, new, old, pools, workload)
        return [_pool_change(name, documents.get(name), pool) for name, pool in changed.items()]

    async def hold(self, names: Iterable[str]) -> None:
        """Let each pool have exactly the holds of the switches that are under way."""
        items = [await self._store.get(key) for key in names]
        switches = [each.message for each in readable(Switch, [item for item in items if item is not None])]
        wanted = holding.held(switches)
        documents = await self._pools()
        for name in sorted({*documents, *wanted}):
            document = documents.get(name)
            pool = document.message if document is not None else None
            changed = holding.with_holds(name, pool, wanted.get(name, {}))
            if changed is not None:
                compare, put = _pool_change(name, document, changed)
                # Where somebody was faster the next round finds it.
                await self._store.commit(Txn((compare,), (put,)))

    async def _pools(self) -> Mapping[PoolName, Document[pool_pb2.Pool]]:
        items = [item async for item in scan(self._store, keys.POOLS)]
        return {
            name: document
            for document in readable(pool_pb2.Pool, items)
            if (name := pool_name_of(document.key)) is not None
        }

    async def _cancel(self, operation: str, switch: Switch, stamp: Stamp) -> None:
        """Ask an operation to stop, once, while it runs."""
        identifier = OperationName.parse(operation).operation
        active, key = await self._store.get(keys.active(identifier)), keys.signal(identifier, "cancel")
        if active is None:
            return
        signal = operation_pb2.OperationSignal(
            kind=operation_pb2.OperationSignal.KIND_CANCEL,
            reason=f"{switch.name} drains its chain",
            identity=switch.actor,
        )
        signal.create_time.FromDatetime(stamp.now)
        compares = (unchanged(active.key, active.mod_revision), absent(key))
        await self._store.commit(Txn(compares, (Put(key, encode(signal)),)))


def _pool_change(
    name: PoolName, document: Document[pool_pb2.Pool] | None, pool: pool_pb2.Pool
) -> tuple[Compare, Put]:
    key = keys.pool(name.engine, name.version)
    return same(document, key), write(key, pool)
