"""Who needs which engine versions: routes and experiments by their chains, operations, and resources.

The leader's loop that keeps pools and the pool service read through it. It writes nothing. Chains are
never changed once they are written, so what was read of one is remembered.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from controlplane.catalog.documents import readable, scan
from controlplane.catalog.experiment_owners import owning
from controlplane.catalog.revisions import find
from controlplane.switching.pool_targets import NOBODY, Need
from enchain.chains.decision_names import ExperimentName, PoolName
from enchain.chains.errors import CallerError, MalformedError
from enchain.chains.names import ChainName
from enchain.chains.routes import chains_of
from enchain.state import keys
from enchain.state.store import Store
from enchain.v1 import chain_pb2, operation_pb2

CHAINS_REMEMBERED_MAX = 10_000


@dataclass
class Needs:
    """Finds out who needs what.

    Args:
        store: What is read.
    """

    store: Store
    _chains: dict[str, frozenset[PoolName]] = field(default_factory=dict)

    async def now(self) -> dict[PoolName, Need]:
        """Answer who needs which version, resources left out: there may be very many."""
        routes = await self._routes()
        operations = await self._operations()
        return {
            name: Need(tuple(sorted(routes.get(name, ()))), operations.get(name, 0))
            for name in {*routes, *operations}
        }

    async def resources(self) -> Counter[PoolName]:
        """Count the resources that each version made. It reads all of them."""
        found: Counter[PoolName] = Counter()
        async for item in scan(self.store, keys.RESOURCES):
            for document in readable(operation_pb2.Resource, [item]):
                found.update({PoolName(step.engine, step.version) for step in document.message.steps})
        return found

    async def _routes(self) -> dict[PoolName, set[str]]:
        found: defaultdict[PoolName, set[str]] = defaultdict(set)
        async for item in scan(self.store, keys.ROUTES):
            for document in readable(chain_pb2.Route, [item]):
                for name in await self._versions(chains_of(document.message)):
                    found[name].add(item.key.removeprefix(keys.ROUTES))
        for experiment in await owning(self.store):
            # Paused ones too: they may be resumed, and what was assigned stays.
            for name in await self._versions(arm.chain for arm in experiment.arms):
                found[name].add(ExperimentName.parse(experiment.name).workload)
        return found

    async def _operations(self) -> Counter[PoolName]:
        on: Counter[str] = Counter()
        async for item in scan(self.store, keys.ACTIVE):
            on.update(each.message.chain for each in readable(operation_pb2.ActiveOperation, [item]))
        found: Counter[PoolName] = Counter()
        for chain, count in on.items():
            found.update(dict.fromkeys(await self._versions([chain]), count))
        return found

    async def _versions(self, chains: Iterable[str]) -> frozenset[PoolName]:
        found: frozenset[PoolName] = frozenset()
        for chain in chains:
            if chain not in self._chains:
                await self._read(chain)
            found |= self._chains.get(chain, frozenset())
        return found

    async def _read(self, name: str) -> None:
        """Read one chain; what is not there, or cannot be read, is asked for again next time."""
        try:
            document = await find(self.store, ChainName.parse(name, "chain", whole=True))
        except (CallerError, MalformedError):
            return
        if document is not None:
            if len(self._chains) >= CHAINS_REMEMBERED_MAX:
                self._chains.clear()
            self._chains[name] = versions_of(document.message.steps)


def versions_of(steps: Iterable[chain_pb2.ChainStep]) -> frozenset[PoolName]:
    """Answer the versions that steps name, their fallbacks included."""
    found: set[PoolName] = set()
    for step in steps:
        found.add(PoolName(step.engine, step.version))
        if step.HasField("fallback"):
            found |= versions_of([step.fallback])
    return frozenset(found)


def with_resources(needs: dict[PoolName, Need], resources: Counter[PoolName]) -> dict[PoolName, Need]:
    """Answer needs with those of resources."""
    names: Sequence[PoolName] = sorted({*needs, *resources})
    known = {name: needs.get(name, NOBODY) for name in names}
    return {name: Need(need.routes, need.operations, resources[name]) for name, need in known.items()}
