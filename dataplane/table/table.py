"""The table: one immutable snapshot of all that a router follows, and what the next one is. Pure.

`following` swaps it, admission and routing read it and keep the one they began with. The unit of refusal is
the workload with its chains, its route and its experiments: while any of its documents is faulty, or they do
not fit together, the workload stays as it was when all of them were good; every other one goes on. A table
never expires.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType

from dataplane.table.documents import Content, Document, Read, fault_text, place_of, read, shortened
from enchain.chains.enrolment import Enrolment, enrolment_of
from enchain.chains.errors import EnchainError
from enchain.chains.names import workload_name
from enchain.chains.routes import chains_of
from enchain.state import keys
from enchain.state.store import Batch, Event, EventKind
from enchain.v1 import chain_pb2, engine_pb2, experiment_pb2, presence_pb2, workload_pb2

Documents = Mapping[str, Document]
Experiment = experiment_pb2.Experiment


@dataclass(frozen=True, slots=True)
class Unit:
    """One workload: its documents as they were read last, and as they were when all were good.

    Attributes:
        read: Every document of it, faulty ones included.
        good: The contents that are in force, by key.
        refusals: Why `good` is not what was read; empty where it is.
        enrolment: The experiments among `good` that take requests.
    """

    read: Documents = field(default_factory=dict)
    good: Mapping[str, Content] = field(default_factory=dict)
    refusals: tuple[presence_pb2.Refusal, ...] = ()
    enrolment: Enrolment | None = None


@dataclass(frozen=True, slots=True)
class Table:
    """A snapshot. Every mapping is read-only.

    Attributes:
        revision: The newest revision that was read and decided on.
        workloads: Workloads by id.
        chains: Every chain revision in force by its full name.
        routes: Routes by workload id.
        engines: Engines by id.
        enrolments: Experiments in force by workload id; nothing for a workload without any.
        refusals: What is refused, and why.
    """

    revision: int = 0
    workloads: Mapping[str, workload_pb2.Workload] = field(default_factory=dict)
    chains: Mapping[str, chain_pb2.Chain] = field(default_factory=dict)
    routes: Mapping[str, chain_pb2.Route] = field(default_factory=dict)
    engines: Mapping[str, engine_pb2.Engine] = field(default_factory=dict)
    enrolments: Mapping[str, Enrolment] = field(default_factory=dict)
    refusals: tuple[presence_pb2.Refusal, ...] = ()
    _units: Mapping[str, Unit] = field(default_factory=dict, repr=False)

    def route_revision(self, workload: str) -> int:
        """Answer when the workload's route was last written, as this table knows it; 0 where there is none.

        It is the revision that was *read*, also where what it wrote is refused: admission compares it to
        learn whether this table is behind, which a frozen workload is not.
        """
        unit = self._units.get(workload)
        document = unit.read.get(keys.route(workload)) if unit else None
        return document.revision if document else 0

    def refusals_of(self, workload: str) -> tuple[presence_pb2.Refusal, ...]:
        """Answer why a workload is frozen; nothing where it is not."""
        unit = self._units.get(workload)
        return unit.refusals if unit else ()


@dataclass(frozen=True, slots=True)
class Decisions:
    """What a new table changes, to be logged and counted.

    Attributes:
        applied: Workloads whose content in force changed; engines as `engines/{engine}`.
        refused: Refusals that did not stand before.
        mended: Workloads that are frozen no longer.
    """

    applied: tuple[str, ...] = ()
    refused: tuple[presence_pb2.Refusal, ...] = ()
    mended: tuple[str, ...] = ()


NOBODY = ""
"""Stands for a workload where a key belongs to none: engines, and keys that should not be there."""


def next_table(table: Table, batch: Batch, *, read: Read = read) -> tuple[Table, Decisions]:
    """Take one revision (or the differences after a relist) and answer the table after it.

    Args:
        table: The table before.
        batch: What changed under `table/`.
        read: Reads and checks one document.
    """
    units = dict(table._units)  # noqa: SLF001 - one module, one owner
    events = _by_workload(batch)
    before = {workload: units.get(workload, Unit()) for workload in sorted(events)}
    for workload, unit in before.items():
        changed = _with_events(unit.read, events[workload], read)
        units[workload] = (_each_for_itself if workload == NOBODY else _as_a_whole)(
            workload, unit, changed, batch.revision
        )
        if not units[workload].read:
            del units[workload]
    after = {workload: units.get(workload, Unit()) for workload in before}
    return _assembled(table, batch.revision, units, after), _decided(before, after)


def _by_workload(batch: Batch) -> dict[str, list[Event]]:
    """Group what changed by the workload that it belongs to; leave out what routers do not act on."""
    grouped: dict[str, list[Event]] = {}
    for event in batch.events:
        place = place_of(event.item.key)
        if not place.passed_over:
            grouped.setdefault(place.workload, []).append(event)
    return grouped


def _with_events(documents: Documents, events: Iterable[Event], read: Read) -> Documents:
    """Read what changed of one workload; all else stays read and checked as it was."""
    changed = dict(documents)
    for event in events:
        if event.kind is EventKind.PUT:
            changed[event.item.key] = read(event.item)
        else:
            changed.pop(event.item.key, None)
    return changed


def _as_a_whole(workload: str, unit: Unit, documents: Documents, revision: int) -> Unit:
    """Decide on a workload: all of it as it was read, or all of it as it was."""
    refusals = [_refusal(workload, document) for document in documents.values() if document.fault]
    if not refusals:
        refusals = _standing(_missing_chains(workload, documents, revision), unit.refusals)
    enrolment = None
    if not refusals:
        enrolment, overlaps = _enrolment(workload, documents, revision)
        refusals = _standing(overlaps, unit.refusals)
    if refusals:
        return Unit(documents, unit.good, tuple(refusals), unit.enrolment)
    return Unit(documents, _contents(documents.values()), enrolment=enrolment)


def _each_for_itself(workload: str, unit: Unit, documents: Documents, _revision: int) -> Unit:
    """Decide on what belongs to no workload: every document by itself."""
    refusals = tuple(_refusal(workload, document) for document in documents.values() if document.fault)
    kept = {refusal.key: unit.good[refusal.key] for refusal in refusals if refusal.key in unit.good}
    return Unit(documents, {**_contents(documents.values()), **kept}, refusals)


def _missing_chains(workload: str, documents: Documents, revision: int) -> list[presence_pb2.Refusal]:
    """Refuse a route, and experiments that run, where they lead to a chain that is not there."""
    contents = _contents(documents.values())
    there = {content.name for content in contents.values() if isinstance(content, chain_pb2.Chain)}
    refusals = []
    for key, content in contents.items():
        missing = [chain for chain in _leads_to(content) if chain not in there]
        if missing:
            what = "route" if isinstance(content, chain_pb2.Route) else "experiment"
            told = f"CHAIN_MISSING: the {what} leads to what does not exist: {', '.join(missing)}"
            refusals.append(_refused(workload, key, told, revision))
    return refusals


def _leads_to(content: Content) -> tuple[str, ...]:
    if isinstance(content, chain_pb2.Route):
        return chains_of(content)
    if isinstance(content, Experiment) and content.state == Experiment.STATE_RUNNING:
        return tuple(arm.chain for arm in content.arms)
    return ()


def _enrolment(
    workload: str, documents: Documents, revision: int
) -> tuple[Enrolment | None, list[presence_pb2.Refusal]]:
    """The experiments together, or why they do not go together."""
    contents = _contents(documents.values())
    try:
        return enrolment_of(one for one in contents.values() if isinstance(one, Experiment)), []
    except EnchainError as error:
        return None, [_refused(workload, keys.experiments_of(workload), fault_text(error), revision)]


def _standing(
    found: Iterable[presence_pb2.Refusal], stood: Iterable[presence_pb2.Refusal]
) -> list[presence_pb2.Refusal]:
    """What was found, with the revision of what stood already: a later one did not cause it."""
    known = {(refusal.key, refusal.reason): refusal for refusal in stood}
    return [known.get((refusal.key, refusal.reason), refusal) for refusal in found]


def _refused(workload: str, key: str, reason: str, revision: int) -> presence_pb2.Refusal:
    return presence_pb2.Refusal(
        workload=workload_name(workload), key=key, reason=shortened(reason), revision=revision
    )


def _refusal(workload: str, document: Document) -> presence_pb2.Refusal:
    return presence_pb2.Refusal(
        workload=workload_name(workload) if workload else "",
        key=document.key,
        reason=document.fault,
        revision=document.revision,
    )


def _contents(documents: Iterable[Document]) -> dict[str, Content]:
    return {document.key: document.content for document in documents if document.content is not None}


def _assembled(table: Table, revision: int, units: Mapping[str, Unit], changed: Mapping[str, Unit]) -> Table:
    """Put the snapshot together: what changed anew, all else as it was."""
    if not changed:
        return replace(table, revision=revision)
    workloads, routes = dict(table.workloads), dict(table.routes)
    chains = {name: chain for name, chain in table.chains.items() if name.split("/", 2)[1] not in changed}
    engines, enrolments = dict(table.engines), dict(table.enrolments)
    for workload, unit in changed.items():
        workloads.pop(workload, None)
        routes.pop(workload, None)
        enrolments.pop(workload, None)
        if unit.enrolment is not None:
            enrolments[workload] = unit.enrolment
        if workload == NOBODY:
            engines.clear()
        for content in unit.good.values():
            if isinstance(content, chain_pb2.Chain):
                chains[content.name] = content
            elif isinstance(content, chain_pb2.Route):
                routes[workload] = content
            elif isinstance(content, workload_pb2.Workload):
                workloads[workload] = content
            elif isinstance(content, engine_pb2.Engine):
                engines[content.name.removeprefix("engines/")] = content
    return Table(
        revision=revision,
        workloads=MappingProxyType(workloads),
        chains=MappingProxyType(chains),
        routes=MappingProxyType(routes),
        engines=MappingProxyType(engines),
        enrolments=MappingProxyType(enrolments),
        refusals=tuple(refusal for _, unit in sorted(units.items()) for refusal in unit.refusals),
        _units=MappingProxyType(dict(units)),
    )


def _decided(before: Mapping[str, Unit], after: Mapping[str, Unit]) -> Decisions:
    applied: list[str] = []
    refused: list[presence_pb2.Refusal] = []
    mended: list[str] = []
    for workload, old in before.items():
        new = after[workload]
        if workload == NOBODY:
            changed = {
                key for key in old.good.keys() | new.good.keys() if old.good.get(key) != new.good.get(key)
            }
            applied += sorted(f"engines/{key.removeprefix(keys.ENGINES)}" for key in changed)
        elif old.good != new.good:
            applied.append(workload_name(workload))
        stood = {refusal.key: refusal for refusal in old.refusals}
        refused += [refusal for refusal in new.refusals if stood.get(refusal.key) != refusal]
        if old.refusals and not new.refusals:
            mended.append(workload_name(workload) if workload else "")
    return Decisions(tuple(applied), tuple(refused), tuple(mended))
