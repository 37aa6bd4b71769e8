"""Backtests and trainings: begun, looked at, followed and cancelled through the store.

`controlplane.rpc.forecasts` calls it on any replica. A job is begun by writing it down; the leader finds it
and runs it, also one that was written while nobody led, or that a leader left behind when it died.
"""

from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from functools import partial
from random import Random

from controlplane.catalog.audit import Caller, record
from controlplane.catalog.changes import Change, Stamp, Stamper, commit
from controlplane.catalog.documents import Document, parse, read, readable, same, scan, write
from controlplane.catalog.job_rules import JOBS_KEPT, JOBS_OPEN_MAX, ended, fingerprint, request_id_of
from controlplane.catalog.paging import Page
from enchain.chains.errors import AlreadyExistsError, ExhaustedError, NotFoundError
from enchain.chains.names import forecast_job_id, forecast_job_name
from enchain.process.clock import Clock
from enchain.state import keys
from enchain.state.follow import follow
from enchain.state.store import Batch, Delete, EventKind, KeyValue, Put, Store
from enchain.v1 import forecast_pb2, operation_pb2

Job = forecast_pb2.ForecastJob
Jobs = Sequence[Job]


class ForecastJobCatalog:
    """All backtests and trainings.

    Args:
        store: Where they are kept.
        stamp: Gives time and id to each decision.
        clock: Waits, where the store is away while a job is followed.
    """

    def __init__(self, store: Store, stamp: Stamper, clock: Clock) -> None:
        self._store = store
        self._stamp = stamp
        self._clock = clock
        self._rng = Random()  # noqa: S311 - jitter, not a secret

    async def begin(self, job: Job, caller: Caller) -> Job:
        """Write a job down; with a request id that was seen, answer the job that it began.

        Args:
            job: Its task, checked.
            caller: Who asks.

        Raises:
            AlreadyExistsError: The request id began something else.
            ExhaustedError: Too many jobs wait or run.
        """
        return await commit(self._store, partial(self._decide_begin, job, caller))

    async def get(self, job: str) -> Job:
        """Answer one job.

        Raises:
            NotFoundError: There is none.
        """
        document = await self._read(job)
        if document is None:
            raise _missing(job)
        return document.message

    async def list(self, page: Page) -> tuple[Jobs, str]:
        """Answer a page of jobs, newest first, and the token of the next."""
        newest = page.number()
        items = [item async for item in scan(self._store, keys.FORECAST_JOBS)]
        older = [item for item in _newest_first(items) if newest is None or item.create_revision < newest]
        shown = older[: page.size]
        token = page.token(str(shown[-1].create_revision)) if len(older) > len(shown) else ""
        return [document.message for document in readable(Job, shown)], token

    async def watch(self, job: str) -> AsyncGenerator[Job, None]:
        """Yield a job as it stands, and again whenever it changes, until it has ended.

        Raises:
            NotFoundError: There is none, or it was deleted.
        """
        batches = follow(self._store, keys.forecast_job(job), clock=self._clock, rng=self._rng)
        async with aclosing(batches):
            async for batch in batches:
                item = _newest(batch)
                if item is None and batch.resync and not batch.events:
                    # Nothing differs from what was told before; where nothing was, there is no such job.
                    await self.get(job)
                    continue
                if item is None:
                    raise _missing(job)
                message = parse(Job, item).message
                yield message
                if ended(message):
                    return

    async def cancel(self, job: str, caller: Caller) -> Job:
        """End a job; one that has ended stays as it is. Whoever runs it notices when it next writes.

        Raises:
            NotFoundError: There is none.
        """
        return await commit(self._store, partial(self._decide_cancel, job, caller))

    async def _decide_begin(self, job: Job, caller: Caller) -> Change[Job]:
        request_id = request_id_of(job)
        claim_key = keys.forecast_request(request_id)
        claim = await read(self._store, operation_pb2.RequestClaim, claim_key) if request_id else None
        if claim is not None:
            stands = await self._read(forecast_job_id(claim.message.operation))
            if stands is not None:
                if claim.message.fingerprint != fingerprint(job):
                    raise _another(request_id, claim.message.operation)
                return Change(stands.message)
        pruned = await self._room()
        stamp = self._stamp()
        begun = _begun(job, stamp)
        key = keys.forecast_job(stamp.ulid)
        writes: list[Put | Delete] = [write(key, begun), *pruned]
        compares = [same(None, key)]
        if request_id:
            claimed = operation_pb2.RequestClaim(operation=begun.name, fingerprint=fingerprint(job))
            writes.append(write(claim_key, claimed))
            compares.append(same(claim, claim_key))
        audit = record(stamp, caller, begun.name, before=None, after=begun)
        return Change(begun, tuple(compares), tuple(writes), audit)

    async def _room(self) -> Sequence[Delete]:
        """Answer what to delete so that there is room for another job: the oldest ones that have ended.

        Raises:
            ExhaustedError: Too many have not.
        """
        items = [item async for item in scan(self._store, keys.FORECAST_JOBS)]
        known = [(item.key, document.message) for item in items for document in readable(Job, [item])]
        still = [job for _, job in known if not ended(job)]
        if len(still) >= JOBS_OPEN_MAX:
            raise ExhaustedError(
                f"{len(still)} backtests and trainings wait or run, which is the most",
                reason="TOO_MANY_JOBS",
                remedy="Wait until one has ended, or cancel one: enchain forecast jobs.",
                metadata={"subject": "forecastJobs", "limit": str(JOBS_OPEN_MAX)},
                retry_after=60.0,
            )
        oldest = [(key, job) for key, job in known if ended(job)][: max(0, len(items) + 1 - JOBS_KEPT)]
        claims = [request_id_of(job) for _, job in oldest]
        return [
            *(Delete(key) for key, _ in oldest),
            *(Delete(keys.forecast_request(claim)) for claim in claims if claim),
        ]

    async def _decide_cancel(self, job: str, caller: Caller) -> Change[Job]:
        document = await self._read(job)
        if document is None:
            raise _missing(job)
        if ended(document.message):
            return Change(document.message)
        stamp = self._stamp()
        cancelled = Job()
        cancelled.CopyFrom(document.message)
        cancelled.state = forecast_pb2.JOB_STATE_CANCELLED
        cancelled.end_time.FromDatetime(stamp.now)
        audit = record(stamp, caller, cancelled.name, before=document.message, after=cancelled)
        return Change(cancelled, (same(document, document.key),), (write(document.key, cancelled),), audit)

    async def _read(self, job: str) -> Document[Job] | None:
        return await read(self._store, Job, keys.forecast_job(job))


def _begun(job: Job, stamp: Stamp) -> Job:
    begun = Job()
    begun.CopyFrom(job)
    begun.name = forecast_job_name(stamp.ulid)
    begun.state = forecast_pb2.JOB_STATE_PENDING
    begun.activity = "waits for the leader"
    begun.create_time.FromDatetime(stamp.now)
    return begun


def _newest_first(items: Sequence[KeyValue]) -> Sequence[KeyValue]:
    """Sort by the store's order: clocks of several replicas may disagree, the store does not."""
    return sorted(items, key=lambda item: -item.create_revision)


def _newest(batch: Batch) -> KeyValue | None:
    event = batch.events[-1] if batch.events else None
    return event.item if event is not None and event.kind is EventKind.PUT else None


def _missing(job: str) -> NotFoundError:
    return NotFoundError(
        f"there is no {forecast_job_name(job)}",
        reason="JOB_NOT_FOUND",
        remedy=f"List them: enchain forecast jobs. The newest {JOBS_KEPT} are kept.",
        metadata={"name": forecast_job_name(job)},
    )


def _another(request_id: str, job: str) -> AlreadyExistsError:
    return AlreadyExistsError(
        f"the request id {request_id} began {job}, which does something else",
        reason="REQUEST_ID_USED",
        remedy="Take another request id.",
        metadata={"request_id": request_id, "job": job},
    )
