"""Which workloads there are, and which queries measure them: a followed copy for whoever takes demand in.

The leader's demand loop follows; the intake and the sources read. It knows nothing before the first batch.
"""

from collections.abc import Mapping
from contextlib import aclosing
from random import Random

from controlplane.demand.signals import DemandKey, Signal
from enchain.chains.errors import MalformedError
from enchain.process.clock import Clock
from enchain.process.logs import get_logger
from enchain.state import keys
from enchain.state.codec import decode
from enchain.state.follow import follow
from enchain.state.store import Batch, EventKind, Store
from enchain.v1 import workload_pb2

_log = get_logger(__name__)


class Workloads:
    """The workloads of the catalogue.

    Attributes:
        known: Their ids.
        complete: Whether all of them are known.
    """

    def __init__(self) -> None:
        self._queries: dict[str, Mapping[Signal, str]] = {}
        self.complete = False

    @property
    def known(self) -> frozenset[str]:
        """Their ids."""
        return frozenset(self._queries)

    def queries(self) -> Mapping[DemandKey, str]:
        """Answer the PromQL of each signal that has some."""
        return {
            DemandKey(workload, signal): query
            for workload, queries in sorted(self._queries.items())
            for signal, query in queries.items()
        }

    async def follow(self, store: Store, *, clock: Clock, rng: Random) -> None:
        """Follow the catalogue, for ever. Cancelled, it knows nothing any more."""
        try:
            async with aclosing(follow(store, keys.WORKLOADS, clock=clock, rng=rng)) as batches:
                async for batch in batches:
                    self.apply(batch)
        finally:
            self._queries.clear()
            self.complete = False

    def apply(self, batch: Batch) -> None:
        """Take a batch of changes in."""
        for event in batch.events:
            (workload,) = keys.parts(event.item.key, keys.WORKLOADS)[:1]
            if event.kind is EventKind.PUT:
                self._queries[workload] = _queries(workload, event.item.value)
            else:
                self._queries.pop(workload, None)
        self.complete = True


def _queries(workload: str, value: bytes) -> Mapping[Signal, str]:
    try:
        profile = decode(workload_pb2.Workload, value, key=keys.workload(workload)).demand
    except MalformedError as error:
        # Put by hand. Routers refuse it and keep its last good state, so demand for it goes on.
        _log.warning("workload cannot be read, so it has no queries", workload=workload, fault=error.message)
        return {}
    unknown = sorted(set(profile.prometheus) - set(Signal))
    if unknown:
        _log.warning("queries of no signal are passed over", workload=workload, signals=unknown)
    return {signal: profile.prometheus[signal] for signal in Signal if profile.prometheus.get(signal)}
