"""One decision about an experiment: what is asked, what was read, and the transaction that it comes to.

`controlplane.catalog.experiment_life` and `experiment_starts` decide by it. It decides nothing itself.
"""

from dataclasses import dataclass
from datetime import timedelta

from controlplane.catalog.analyses import AnalysisCatalog
from controlplane.catalog.audit import Caller, record
from controlplane.catalog.changes import Change, Stamp, Stamper
from controlplane.catalog.documents import Document, check_etag, read, same, write
from controlplane.catalog.experiment_layers import layer_id, released, reserved
from controlplane.catalog.experiment_owners import check_whole
from controlplane.catalog.experiments import require
from controlplane.experiments.changing import Why
from controlplane.experiments.states import owns
from enchain.chains.decision_names import ExperimentName
from enchain.state import keys
from enchain.state.store import Compare, Put, Store
from enchain.v1 import experiment_pb2

Experiment = experiment_pb2.Experiment
Analysis = experiment_pb2.ExperimentAnalysis


@dataclass(frozen=True, slots=True)
class Asked:
    """What is asked of an experiment: of which one, by whom, with which etag, for real or only to try.

    Attributes:
        name: The experiment.
        caller: Who asks, and why.
        etag: What it must still be; empty: whatever it is.
        validate_only: Check everything and write nothing.
        evidence: What the caller knew; None: it is asked for.
        warm: How long instances may take before a start; None: the default.
    """

    name: ExperimentName
    caller: Caller
    etag: str = ""
    validate_only: bool = False
    evidence: Analysis | None = None
    warm: timedelta | None = None


@dataclass(frozen=True, slots=True)
class Moment:
    """One decision: the experiment as it was read, and what is written down of it."""

    document: Document[Experiment]
    stamp: Stamp
    why: Why
    analysis: Analysis

    @property
    def experiment(self) -> Experiment:
        """The experiment as it was read."""
        return self.document.message


class Moments:
    """Reads what decisions are about.

    Args:
        store: Where experiments are kept.
        stamp: Gives time and id to each decision.
        analyses: What is known of them.
    """

    def __init__(self, store: Store, stamp: Stamper, analyses: AnalysisCatalog) -> None:
        self._store = store
        self._stamp = stamp
        self._analyses = analyses

    async def read(self, asked: Asked, told: str) -> Moment:
        """Read the experiment that something is asked of.

        Args:
            asked: What is asked.
            told: What is said of it where the caller says nothing.

        Raises:
            NotFoundError: There is no such experiment.
            ConflictError: It has changed since it was read.
        """
        document = await require(self._store, asked.name)
        check_etag(asked.etag, document, str(asked.name))
        check_whole(document.message)
        analysis = asked.evidence
        if analysis is None:
            # What is not known yet is no reason to refuse what a person asks for.
            analysis = await self._analyses.of(document.message) if owns(document.message) else Analysis()
        stamp = self._stamp()
        why = Why(stamp.now, asked.caller.actor, asked.caller.reason or told, analysis.advice)
        return Moment(document, stamp, why, analysis)


async def part_reserved(store: Store, experiment: Experiment) -> tuple[tuple[Compare, ...], tuple[Put, ...]]:
    """Answer what is compared and written so that it has its part of its layer; nothing without a layer.

    Raises:
        PreconditionError: Another one has some of it.
    """
    if not (layer := layer_id(experiment)):
        return (), ()
    key = keys.layer(layer)
    document = await read(store, experiment_pb2.Layer, key)
    before = document.message if document is not None else experiment_pb2.Layer()
    return (same(document, key),), (write(key, reserved(before, experiment)),)


async def part_freed(store: Store, experiment: Experiment) -> tuple[tuple[Compare, ...], tuple[Put, ...]]:
    """Answer what is compared and written so that others may have its part of its layer."""
    layer = layer_id(experiment)
    document = await read(store, experiment_pb2.Layer, keys.layer(layer)) if layer else None
    if document is None:
        return (), ()
    after = released(document.message, experiment.name)
    return (same(document, document.key),), (write(document.key, after),)


def change_of(
    asked: Asked,
    moment: Moment,
    after: Experiment,
    compares: tuple[Compare, ...],
    writes: tuple[Put, ...],
) -> Change[Experiment]:
    """Put one change together, with its audit record: what was known stands in the experiment's history."""
    put = write(moment.document.key, after)
    caller = Caller(asked.caller.method, asked.caller.actor, asked.caller.request_id, moment.why.description)
    audit = record(moment.stamp, caller, after.name, before=moment.experiment, after=after)
    return Change(after, (same(moment.document, moment.document.key), *compares), (put, *writes), audit)
