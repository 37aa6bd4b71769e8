"""Recommendations: made, looked at, approved, rejected, and planned once more from what they rest on.

`controlplane.rpc.recommendations` calls it on any replica, the planning loop as leader. What is approved is
carried out by that loop. A recommendation and its inputs are written together, so that there is none that
cannot be replayed.
"""

from collections.abc import Sequence
from functools import partial

from controlplane.catalog.audit import Caller, record
from controlplane.catalog.changes import Change, Stamp, Stamper, commit
from controlplane.catalog.documents import Document, check_etag, parse, read, readable, same, scan, write
from controlplane.catalog.paging import Page
from controlplane.catalog.planning_facts import known_of, shared
from controlplane.catalog.profiles import ProfileCatalog
from controlplane.catalog.recommendation_rules import (
    APPROVED,
    KEPT,
    LIFE,
    OPEN,
    OVER_LIMIT,
    REJECTED,
    SUPERSEDED,
    Recommendation,
    State,
    check_open,
    moved,
)
from controlplane.planning.assembling import assemble
from controlplane.planning.documents import problem_of, recommendation_of
from controlplane.planning.plan import plan
from enchain.chains.decision_names import RecommendationName
from enchain.chains.errors import NotFoundError
from enchain.chains.names import EVERY, workload_name
from enchain.state import keys
from enchain.state.store import Delete, KeyValue, Put, Store
from enchain.v1 import recommendation_pb2

Inputs = recommendation_pb2.PlanningInputs

PLANNED = (
    "chosen", "rivals", "switches", "binding_constraint", "quantile", "lead_time", "reasons", "input_digest",
)  # fmt: skip
"""What comes of planning, and so must be the same when it is planned once more."""


class RecommendationCatalog:
    """All recommendations.

    Args:
        store: Where they are kept.
        stamp: Gives time and id to each decision.
    """

    def __init__(self, store: Store, stamp: Stamper) -> None:
        self._store = store
        self._stamp = stamp
        self._profiles = ProfileCatalog(store)

    async def generate(self, workload: str, caller: Caller, *, validate_only: bool = False) -> Recommendation:
        """Plan for a workload from all that is known now; with `validate_only` nothing is kept.

        Raises:
            NotFoundError: There is no such workload.
        """
        if earlier := await self._by_request(workload, caller.request_id):
            return earlier

        async def decide() -> Change[Recommendation]:
            stamp = self._stamp()
            common = await shared(self._store, stamp.now)
            known = await known_of(self._store, workload, stamp.now, common, self._profiles)
            inputs = assemble(known, stamp.now)
            made = recommendation_of(plan(problem_of(inputs)), inputs)
            return await self.decide_made(workload, made, inputs, stamp, caller)

        return await commit(self._store, decide, validate_only=validate_only)

    async def decide_made(
        self, workload: str, made: Recommendation, inputs: Inputs, stamp: Stamp, caller: Caller
    ) -> Change[Recommendation]:
        """Decide to keep a recommendation that was planned: the one that waited before is superseded."""
        name = RecommendationName(workload, stamp.ulid)
        kept = Recommendation()
        kept.CopyFrom(made)
        kept.name = str(name)
        kept.state = kept.state or OPEN
        kept.request_id = caller.request_id
        kept.create_time.FromDatetime(stamp.now)
        kept.update_time.FromDatetime(stamp.now)
        kept.expire_time.FromDatetime(stamp.now + LIFE)
        before = await self._waiting(workload)
        superseded = [moved(each.message, SUPERSEDED, stamp.now) for each in before]
        put = write(keys.recommendation(workload, stamp.ulid), kept)
        writes: list[Put | Delete] = [
            put,
            write(keys.recommendation_inputs(workload, stamp.ulid), inputs),
            *(write(each.key, message) for each, message in zip(before, superseded, strict=True)),
            *await self._pruned(workload),
        ]
        compares = (same(None, put.key), *(same(each, each.key) for each in before))
        audit = record(stamp, caller, kept.name, before=None, after=kept)
        return Change(kept, compares, tuple(writes), audit)

    async def get(self, name: RecommendationName) -> Recommendation:
        """Answer one recommendation, or the newest where its id is `-`.

        Raises:
            NotFoundError: There is none.
        """
        return (await self._require(name)).message

    async def list(self, workload: str, page: Page) -> tuple[Sequence[Recommendation], str]:
        """Answer a page of recommendations, newest first: of a workload, or of all where it is empty."""
        newest = page.number()
        prefix = keys.recommendations_of(workload) if workload else keys.RECOMMENDATIONS
        items = _newest_first([item async for item in scan(self._store, prefix)])
        older = [item for item in items if newest is None or item.create_revision < newest]
        shown = older[: page.size]
        token = page.token(str(shown[-1].create_revision)) if len(older) > len(shown) else ""
        return [document.message for document in readable(Recommendation, shown)], token

    async def approve(self, name: RecommendationName, etag: str, caller: Caller) -> Recommendation:
        """Let a recommendation be carried out; the leader does so.

        Raises:
            NotFoundError: There is none.
            ConflictError: It has changed since it was read.
            PreconditionError: It waits for no decision.
        """
        return await self._decided(name, etag, caller, APPROVED)

    async def reject(self, name: RecommendationName, etag: str, caller: Caller) -> Recommendation:
        """Say no. The chain is not proposed again for a day.

        Raises:
            NotFoundError: There is none.
            ConflictError: It has changed since it was read.
            PreconditionError: It waits for no decision.
        """
        return await self._decided(name, etag, caller, REJECTED)

    async def replay(self, name: RecommendationName) -> recommendation_pb2.ReplayRecommendationResponse:
        """Plan once more from the inputs that were kept.

        Raises:
            NotFoundError: There is none, or its inputs are gone.
        """
        before = await self._require(name)
        identifier = before.message.name.rpartition("/")[2]
        inputs = await read(self._store, Inputs, keys.recommendation_inputs(name.workload, identifier))
        if inputs is None:
            raise NotFoundError(
                f"the inputs of {before.message.name} are gone",
                reason="INPUTS_NOT_FOUND",
                metadata={"name": before.message.name},
            )
        again = recommendation_of(plan(problem_of(inputs.message)), inputs.message)
        different = [field for field in PLANNED if _planned(again, field) != _planned(before.message, field)]
        return recommendation_pb2.ReplayRecommendationResponse(
            recommendation=again, same=not different, differences=different
        )

    async def _decided(
        self, name: RecommendationName, etag: str, caller: Caller, state: State
    ) -> Recommendation:
        return await commit(self._store, partial(self._decide, name, etag, caller, state))

    async def _decide(
        self, name: RecommendationName, etag: str, caller: Caller, state: State
    ) -> Change[Recommendation]:
        document = await self._require(name)
        check_etag(etag, document, document.message.name)
        if document.message.state == state:
            return Change(document.message)
        stamp = self._stamp()
        check_open(document.message, stamp.now)
        after = moved(document.message, state, stamp.now)
        after.actor.CopyFrom(caller.actor)
        after.decision_reason = caller.reason
        put = write(document.key, after)
        audit = record(stamp, caller, after.name, before=document.message, after=after)
        return Change(after, (same(document, document.key),), (put,), audit)

    async def _require(self, name: RecommendationName) -> Document[Recommendation]:
        if name.recommendation != EVERY:
            item = await self._store.get(keys.recommendation(name.workload, name.recommendation))
        else:
            prefix = keys.recommendations_of(name.workload)
            items = _newest_first([each async for each in scan(self._store, prefix)])
            item = items[0] if items else None
        if item is None:
            raise _missing(name)
        return parse(Recommendation, item)

    async def _waiting(self, workload: str) -> Sequence[Document[Recommendation]]:
        """Read those that a new one takes the place of."""
        items = [item async for item in scan(self._store, keys.recommendations_of(workload))]
        return [each for each in readable(Recommendation, items) if each.message.state == OPEN]

    async def _pruned(self, workload: str) -> Sequence[Delete]:
        """Answer what to delete so that not too many are kept: the oldest."""
        prefix = keys.recommendations_of(workload)
        found = _newest_first([item async for item in scan(self._store, prefix, keys_only=True)])
        doomed = [item.key.removeprefix(prefix) for item in found[KEPT - 1 :]][:20]
        return [
            Delete(key)
            for identifier in doomed
            for key in (
                keys.recommendation(workload, identifier),
                keys.recommendation_inputs(workload, identifier),
            )
        ]

    async def _by_request(self, workload: str, request_id: str) -> Recommendation | None:
        if not request_id:
            return None
        items = [item async for item in scan(self._store, keys.recommendations_of(workload))]
        found = (each.message for each in readable(Recommendation, items))
        return next((each for each in found if each.request_id == request_id), None)


def _newest_first(items: Sequence[KeyValue]) -> list[KeyValue]:
    """Sort by the store's order: clocks of several replicas may disagree, the store does not."""
    return sorted(items, key=lambda item: -item.create_revision)


def _missing(name: RecommendationName) -> NotFoundError:
    if name.recommendation == EVERY:
        return NotFoundError(
            f"there is no recommendation for {workload_name(name.workload)} yet",
            reason="NO_RECOMMENDATION_YET",
            remedy=f"Make one: enchain recommend {name.workload}.",
            metadata={"name": str(name)},
        )
    return NotFoundError(
        f"there is no {name}",
        reason="RECOMMENDATION_NOT_FOUND",
        remedy=f"List them: enchain recommendations list {name.workload}. The newest {KEPT} are kept.",
        metadata={"name": str(name)},
    )


def _planned(made: Recommendation, field: str) -> object:
    """Answer what planning said there, without what the automatic mode added to it."""
    if field == "reasons":
        return [each for each in made.reasons if each.reason != OVER_LIMIT]
    return getattr(made, field)
