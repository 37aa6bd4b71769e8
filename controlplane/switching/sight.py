"""Looking at what a chain switch depends on, by the state that it is in.

The leader's loop calls it before it asks the machine. It reads the store and shakes hands with instances that
a switch waits for; it writes nothing.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from ulid import ULID

from controlplane.catalog import surveys
from controlplane.catalog.convergence import judge as judge_convergence
from controlplane.catalog.documents import Document, read, readable, scan
from controlplane.catalog.instances import gaps
from controlplane.catalog.pool_needs import Needs
from controlplane.switching import evidence, holding, states, watching
from controlplane.switching.health import Health
from controlplane.switching.pool_targets import NOBODY, wanted
from controlplane.switching.records import WORSE, Seen, Switch, lost, origin, watched
from controlplane.switching.watching import Running
from enchain.chains.decision_names import PoolName
from enchain.chains.errors import CallerError, MalformedError
from enchain.chains.names import ChainName, OperationName, SwitchName
from enchain.chains.routes import chains_of
from enchain.state import keys
from enchain.state.store import Store
from enchain.v1 import chain_pb2, evidence_pb2, operation_pb2, pool_pb2, presence_pb2

VERBS_MAX = 10_000
"""Operations whose verb is remembered; past that it begins anew."""


@dataclass(frozen=True, slots=True)
class Looked:
    """What was seen, and the route as it was read, for the compare."""

    seen: Seen
    route: Document[chain_pb2.Route] | None


class Sight:
    """Looks at the world on behalf of switches.

    Args:
        store: Where it lies.
        health: Tells which instances answer.
    """

    def __init__(self, store: Store, health: Health) -> None:
        self._store = store
        self._health = health
        self._needs = Needs(store)
        self._verbs: dict[str, operation_pb2.Verb.ValueType] = {}

    async def look(self, switch: Switch, elder: str, now: datetime) -> Looked:
        """Look at what a switch depends on.

        Args:
            switch: It.
            elder: An older switch of its workload that is under way; empty where there is none.
            now: What time it is.
        """
        workload = SwitchName.parse(switch.name).workload
        route = await read(self._store, chain_pb2.Route, keys.route(workload))
        at = route.message if route is not None else None
        if switch.state in states.BEFORE:
            seen = await self._before(switch, at, elder, now)
        elif switch.state == states.RETIRING:
            seen = Seen(route=at, surplus=await self._surplus(switch))
        else:
            seen = await self._after(switch, route, workload, now)
        return Looked(seen, route)

    async def _before(self, switch: Switch, route: chain_pb2.Route | None, elder: str, now: datetime) -> Seen:
        chains, fault = await self._chains(chains_of(switch.to))
        fleet = await surveys.fleet(self._store)
        need = holding.need_of(switch, chains)
        asked = [each for each in fleet.instances if PoolName(each.engine, each.version) in need]
        silent = await self._health.silent(asked)
        fleet = replace(fleet, silent=silent)
        short = holding.short(need, fleet)
        if short:
            problems = await surveys.problems(self._store, self._needs, need, now)
            short = holding.short(need, replace(fleet, problems=problems))
        launches = await self._launches(switch) if switch.state != states.VALIDATING else ()
        return Seen(route=route, elder=elder, fault=fault, short=short, launches=launches)

    async def _after(
        self, switch: Switch, route: Document[chain_pb2.Route] | None, workload: str, now: datetime
    ) -> Seen:
        at = route.message if route is not None else None
        convergence = None
        if switch.state == states.CONVERGING and route is not None:
            convergence = await self._convergence(workload, route)
        leaving, arriving = lost(switch, at), frozenset(chains_of(switch.to))
        running: list[str] = []
        held: list[str] = []
        fresh = []
        async for item in scan(self._store, keys.ACTIVE):
            for document in readable(operation_pb2.ActiveOperation, [item]):
                active = document.message
                if active.chain in leaving:
                    (held if active.held else running).append(active.operation)
                elif active.chain in arriving:
                    fresh.append(active)
        found: chain_pb2.SwitchEvidence | None = None
        unserved: tuple[str, ...] = ()
        # Once it is watched no more, the record keeps what was measured in the end.
        if watched(switch, now) or (switch.watch_timeout.ToTimedelta() and not running):
            found = await self._evidence(switch, fresh, now)
            unserved = await self._unserved(switch) if found.verdict in WORSE else ()
        return Seen(
            route=at, convergence=convergence, running=running, held=held, unserved=unserved, evidence=found
        )

    async def _chains(self, names: Sequence[str]) -> tuple[list[chain_pb2.Chain], str]:
        """Read the chains that are to get requests; or why they cannot be used."""
        found = []
        for name in names:
            try:
                document = await surveys.usable(self._store, ChainName.parse(name, "chain", whole=True))
            except (CallerError, MalformedError) as error:
                return [], error.message
            found.append(document.message)
        return found, ""

    async def _convergence(self, workload: str, route: Document[chain_pb2.Route]) -> chain_pb2.Convergence:
        items = [item async for item in scan(self._store, keys.ROUTERS)]
        routers = [document.message for document in readable(presence_pb2.RouterPresence, items)]
        # What a router refused before it read this route is none of this route's.
        told = judge_convergence(workload, route.mod_revision, routers)
        for router in told.routers:
            if router.applied_revision < route.mod_revision:
                router.refusal = ""
        return told

    async def _evidence(
        self, switch: Switch, fresh: Sequence[operation_pb2.ActiveOperation], now: datetime
    ) -> chain_pb2.SwitchEvidence:
        since = switch.activate_time.ToDatetime(UTC)
        old = [await self._outcomes(name) for name in chains_of(origin(switch))]
        new = [await self._outcomes(name) for name in chains_of(switch.to)]
        running = []
        for active in fresh:
            name = OperationName.parse(active.operation)
            admitted = ULID.from_str(name.operation).datetime
            if admitted >= since and await self._provisions(name):
                running.append(Running((now - admitted).total_seconds(), active.held))
        return watching.judge(old, new, running, since=since, now=now)

    async def _outcomes(self, chain: str) -> evidence_pb2.ChainOutcomes:
        subject = evidence.subject(ChainName.parse(chain, "chain", whole=True))
        kind = evidence_pb2.ChainOutcomes
        try:
            document = await read(self._store, kind, keys.learned(evidence.NAME, subject))
        except MalformedError:
            document = None
        return document.message if document is not None else kind(chain=chain)

    async def _provisions(self, name: OperationName) -> bool:
        """Say whether an operation is a provision: others need not be compared with provisions."""
        if str(name) not in self._verbs:
            if len(self._verbs) >= VERBS_MAX:
                self._verbs.clear()
            key = keys.record(name.tenant, name.operation)
            record = await read(self._store, operation_pb2.Operation, key)
            self._verbs[str(name)] = record.message.verb if record else operation_pb2.VERB_UNSPECIFIED
        return self._verbs[str(name)] == operation_pb2.VERB_PROVISION

    async def _unserved(self, switch: Switch) -> tuple[str, ...]:
        """Answer the steps of the old chain that nobody could do; all of it where it is gone."""
        chains, fault = await self._chains(chains_of(origin(switch)))
        fleet = await surveys.fleet(self._store)
        return (fault,) if fault else tuple(gap for each in chains for gap in gaps(each, fleet.instances))

    async def _surplus(self, switch: Switch) -> list[str]:
        """Answer the instances that are still to stop once a switch has let go."""
        fleet = await surveys.fleet(self._store)
        mine = [name for name, pool in fleet.pools.items() if switch.name in pool.holds]
        if mine:
            return [f"{name.engine} {name.version}: still held" for name in sorted(mine)]
        names = [PoolName(each.engine, each.version) for each in switch.holds]
        needs = await self._needs.now()
        kept = {
            name: wanted(name, fleet.pools, fleet.engines.get(name.engine), needs.get(name, NOBODY)).count
            for name in names
        }
        return holding.surplus(switch, fleet, kept)

    async def _launches(self, switch: Switch) -> list[str]:
        """Answer the instances that were started for what a switch needs, since it began."""
        needed = {PoolName(each.engine, each.version) for each in switch.holds}
        found = []
        for engine in sorted({name.engine for name in needed}):
            items = [item async for item in scan(self._store, f"{keys.LAUNCHES}{engine}/")]
            for document in readable(pool_pb2.Launching, items):
                launch = document.message
                own = PoolName(launch.engine, launch.version) in needed
                if own and launch.create_time.ToNanoseconds() >= switch.create_time.ToNanoseconds():
                    found.append(launch.name)
        return found
