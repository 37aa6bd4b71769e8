"""Experiments as documents: created, changed, listed and deleted.

`controlplane.rpc.experiments` calls it. What moves an experiment from state to state is
`controlplane.catalog.experiment_life`; nothing here starts or ends one.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

from controlplane.catalog import experiment_rules as rules
from controlplane.catalog.audit import Caller, record
from controlplane.catalog.changes import Change, Stamper, commit
from controlplane.catalog.documents import Document, check_etag, read, same, scan, write
from controlplane.catalog.experiment_arms import chains_of_arms, workload_of
from controlplane.catalog.experiment_edits import decide_edit, drafted
from controlplane.catalog.experiment_owners import experiments_of, named
from controlplane.catalog.experiment_routes import beside_route
from controlplane.catalog.paging import Page, cut
from controlplane.experiments.changing import Why
from controlplane.experiments.states import DRAFT, Act, advance
from enchain.chains.decision_names import ExperimentName
from enchain.chains.eligibility import check_eligibility
from enchain.chains.errors import (
    AlreadyExistsError,
    ExhaustedError,
    InvalidArgumentError,
    NotFoundError,
    Violation,
)
from enchain.chains.schemas import schema_of
from enchain.state import keys
from enchain.state.store import Compare, Delete, Store, created_at
from enchain.v1 import experiment_pb2, workload_pb2

Experiment = experiment_pb2.Experiment
Experiments = Sequence[Experiment]

EXPERIMENTS_MAX = 200
"""Of one workload. Two that are created at once may pass it by one: it bounds work, no more."""


@dataclass(frozen=True, slots=True)
class Found:
    """What stands before an experiment is written.

    Attributes:
        experiment: Its document; None where there is none.
        workload: Condition: its workload is still the one that was seen.
    """

    experiment: Document[Experiment] | None
    workload: Compare


class ExperimentCatalog:
    """The experiments of all workloads.

    Args:
        store: Where they are kept.
        stamp: Gives time and id to each decision.
    """

    def __init__(self, store: Store, stamp: Stamper) -> None:
        self._store = store
        self._stamp = stamp

    async def create(
        self, name: ExperimentName, sent: Experiment, caller: Caller, *, validate_only: bool = False
    ) -> Experiment:
        """Write a draft. Creating again what is there already answers it.

        Raises:
            NotFoundError: There is no such workload, or no chain of an arm.
            AlreadyExistsError: There is another experiment of that name.
            InvalidArgumentError: It is wrong; every fault is listed.
            PreconditionError: A chain of an arm is not whole, or lacks a step.
            ExhaustedError: The workload has too many.
        """
        if sent.name not in ("", str(name)):
            rules.refuse([Violation("experiment.name", f"it is not {name}", "NAMES_DIFFER")])
        wanted = _completed(name, sent)

        async def decide() -> Change[Experiment]:
            found = await self._find(name, wanted)
            if found.experiment is None:
                return await self._decide_new(name, wanted, found, caller)
            edit = decide_edit(found.experiment.message, wanted)
            if edit.differs:
                raise _exists(name)
            return Change(found.experiment.message)

        return await commit(self._store, decide, validate_only=validate_only)

    async def update(
        self, sent: Experiment, caller: Caller, *, allow_missing: bool = False, validate_only: bool = False
    ) -> Experiment:
        """Replace an experiment. While it is no draft only what its hash does not depend on may change.

        Raises:
            NotFoundError: There is none, and `allow_missing` is not set; or a chain is not there.
            ConflictError: It has changed since it was read.
            InvalidArgumentError: It is wrong; every fault is listed.
            PreconditionError: It is no draft, and something differs that may not change in place.
            ExhaustedError: It is new, and the workload has too many.
        """
        name = ExperimentName.parse(sent.name, "experiment.name")
        wanted = _completed(name, sent)

        async def decide() -> Change[Experiment]:
            found = await self._find(name, wanted)
            if found.experiment is None:
                if sent.etag or not allow_missing:
                    raise missing(name)
                return await self._decide_new(name, wanted, found, caller)
            check_etag(sent.etag, found.experiment, str(name))
            return await self._decide_changed(found.experiment, wanted, found, caller)

        return await commit(self._store, decide, validate_only=validate_only)

    async def get(self, name: ExperimentName) -> Experiment:
        """Answer one experiment.

        Raises:
            NotFoundError: There is none.
        """
        return (await require(self._store, name)).message

    async def list(self, workload: str, page: Page) -> tuple[Experiments, str]:
        """Answer a page of a workload's experiments (of all where it is empty), and the next token.

        They come without their history and evidence.
        """
        prefix = keys.experiments_of(workload) if workload else keys.EXPERIMENTS
        found = [item async for item in scan(self._store, prefix, keys_only=True)]
        shown, token = cut([item.key for item in found], page, str)
        items = [await self._store.get(key) for key in shown]
        documents = experiments_of([item for item in items if item])
        return [_short(document.message) for document in documents], token

    async def delete(
        self, name: ExperimentName, etag: str, caller: Caller, *, validate_only: bool = False
    ) -> None:
        """Delete a draft, or an experiment that is concluded, with what was learned in it.

        Raises:
            NotFoundError: There is none.
            ConflictError: It has changed since it was read.
            PreconditionError: It runs, or is paused.
        """
        await commit(
            self._store, partial(self._decide_delete, name, etag, caller), validate_only=validate_only
        )

    async def _decide_new(
        self, name: ExperimentName, wanted: Experiment, found: Found, caller: Caller
    ) -> Change[Experiment]:
        await self._refuse_too_many(name)
        stamp = self._stamp()
        why = Why(stamp.now, caller.actor, caller.reason or "created")
        made = drafted(wanted, stamp.ulid, why)
        key = key_of(name)
        put = write(key, made)
        audit = record(stamp, caller, str(name), before=None, after=made)
        return Change(made, (same(None, key), found.workload), (put,), audit)

    async def _decide_changed(
        self, document: Document[Experiment], wanted: Experiment, found: Found, caller: Caller
    ) -> Change[Experiment]:
        before, stamp = document.message, self._stamp()
        edit = decide_edit(before, wanted)
        if not edit.differs:
            return Change(before)
        edit.refuse(before)
        why = Why(stamp.now, caller.actor, caller.reason or f"changed: {', '.join(edit.differs)}")
        after = edit.apply(before, wanted, stamp.ulid, why)
        put = write(document.key, after)
        beside = await beside_route(self._store, before, after)
        audit = record(stamp, caller, after.name, before=before, after=after)
        compares = (same(document, document.key), found.workload, *beside.compares)
        return Change(after, compares, (put, *beside.writes), audit)

    async def _decide_delete(self, name: ExperimentName, etag: str, caller: Caller) -> Change[None]:
        document = await require(self._store, name)
        check_etag(etag, document, str(name))
        advance(document.message, Act.DELETE)
        audit = record(self._stamp(), caller, str(name), before=document.message, after=None)
        learned = f"{keys.experiment_statistics_of(name.workload)}{name.experiment}."
        doomed = (
            Delete(document.key),
            Delete(learned, prefix=True),
            Delete(keys.experiment_looks(name.workload, name.experiment)),
        )
        return Change(None, (same(document, document.key),), doomed, audit)

    async def _find(self, name: ExperimentName, wanted: Experiment) -> Found:
        """Read what a decision rests on, and check what it refers to where it is or may be a draft."""
        workload = await workload_of(self._store, name.workload)
        document = await read(self._store, Experiment, key_of(name))
        if document is None or named(document).message.state in (Experiment.STATE_UNSPECIFIED, DRAFT):
            _check_eligibility(wanted, workload.message)
            workload.message.name = f"workloads/{name.workload}"
            await chains_of_arms(self._store, wanted, workload.message)
        # Edits of the workload are no matter here; that it was deleted meanwhile is.
        return Found(document, created_at(workload.key, workload.create_revision))

    async def _refuse_too_many(self, name: ExperimentName) -> None:
        prefix, count = keys.experiments_of(name.workload), 0
        async for _ in scan(self._store, prefix, keys_only=True):
            count += 1
        if count >= EXPERIMENTS_MAX:
            raise ExhaustedError(
                f"workloads/{name.workload} has {count} experiments, which is the most",
                reason="TOO_MANY_EXPERIMENTS",
                remedy="Delete those that were concluded long ago.",
                metadata={"subject": f"workloads/{name.workload}", "limit": str(EXPERIMENTS_MAX)},
            )


def key_of(name: ExperimentName) -> str:
    """Key of an experiment."""
    return keys.experiment(name.workload, name.experiment)


async def require(store: Store, name: ExperimentName) -> Document[Experiment]:
    """Read an experiment.

    Raises:
        NotFoundError: There is none.
    """
    document = await read(store, Experiment, key_of(name))
    if document is None:
        raise missing(name)
    return named(document)


def missing(name: ExperimentName) -> NotFoundError:
    """Say that there is no such experiment."""
    return NotFoundError(
        f"there is no {name}",
        reason="EXPERIMENT_NOT_FOUND",
        remedy=f"List those of the workload: enchain experiments list {name.workload}.",
        metadata={"name": str(name)},
    )


def _completed(name: ExperimentName, sent: Experiment) -> Experiment:
    wanted = rules.completed(sent)
    wanted.name = str(name)
    rules.check(wanted, name.workload)
    return wanted


def _check_eligibility(wanted: Experiment, workload: workload_pb2.Workload) -> None:
    try:
        check_eligibility(wanted.eligibility, schema_of(workload.inputs))
    except InvalidArgumentError as error:
        rules.refuse([Violation("experiment.eligibility", error.message, error.reason)])


def _short(experiment: Experiment) -> Experiment:
    experiment.ClearField("history")
    experiment.conclusion.ClearField("evidence")
    return experiment


def _exists(name: ExperimentName) -> AlreadyExistsError:
    return AlreadyExistsError(
        f"{name} exists and is another one",
        reason="EXPERIMENT_EXISTS",
        remedy="Update it instead, or take another id.",
        metadata={"name": str(name)},
    )
