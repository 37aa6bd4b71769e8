"""The leader's loop that knows the drafts of experiments, so that folding finds their pre-period.

The election runs it in each term beside the loop that folds the outbox, whose reader of outcomes asks `of`.
At the beginning of a term it knows none: what is folded until then is in no pre-period, which decides
nothing. It writes nothing.
"""

from collections.abc import Sequence
from contextlib import aclosing
from random import Random

from controlplane.experiments.drafts import DRAFTS_MAX, Draft, draft_of
from enchain.chains.errors import MalformedError
from enchain.process.clock import Clock
from enchain.process.logs import get_logger
from enchain.state import keys
from enchain.state.codec import decode
from enchain.state.follow import follow
from enchain.state.store import Batch, EventKind, KeyValue, Store
from enchain.v1 import experiment_pb2

_log = get_logger(__name__)


class DraftsLoop:
    """Follows experiments and keeps what folding needs of the drafts.

    Args:
        clock: Time.
        rng: Jitter.
    """

    name = "know the drafts of experiments"

    def __init__(self, *, clock: Clock, rng: Random) -> None:
        self._clock = clock
        self._rng = rng
        self._drafts: dict[str, dict[str, Draft]] = {}

    def of(self, workload: str) -> Sequence[Draft]:
        """Answer the drafts of a workload that have a pre-period, by name."""
        drafts = self._drafts.get(workload)
        return [drafts[name] for name in sorted(drafts)[:DRAFTS_MAX]] if drafts else ()

    async def run(self, store: Store) -> None:
        """Follow, for ever. Cancelled, it knows nothing any more."""
        try:
            followed = follow(store, keys.EXPERIMENTS, clock=self._clock, rng=self._rng)
            async with aclosing(followed) as batches:
                async for batch in batches:
                    self.apply(batch)
        finally:
            self._drafts.clear()

    def apply(self, batch: Batch) -> None:
        """Take a batch of changes in."""
        for event in batch.events:
            workload, _, experiment = event.item.key.removeprefix(keys.EXPERIMENTS).partition("/")
            draft = _draft(experiment, event.item) if event.kind is EventKind.PUT else None
            if draft is not None:
                self._drafts.setdefault(workload, {})[experiment] = draft
            elif self._drafts.get(workload, {}).pop(experiment, None) and not self._drafts[workload]:
                del self._drafts[workload]


def _draft(experiment: str, item: KeyValue) -> Draft | None:
    try:
        return draft_of(experiment, decode(experiment_pb2.Experiment, item.value, key=item.key))
    except MalformedError as error:
        _log.warning("experiment cannot be read, so it has no pre-period", key=item.key, fault=error.message)
        return None
