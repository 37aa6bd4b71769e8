"""The life of experiments: started, paused, resumed, covered, weighted, concluded.

`controlplane.rpc.experiments` calls it for people, the leader's loop of experiments for itself; both go
through the same decisions. Each change is one transaction with its audit record, the workload's route and,
where there is one, the layer. What an act makes of an experiment is `controlplane.experiments.changing`.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from controlplane.catalog import experiment_rules as rules
from controlplane.catalog.analyses import AnalysisCatalog
from controlplane.catalog.audit import Caller, record
from controlplane.catalog.changes import Change, Stamp, Stamper, commit
from controlplane.catalog.documents import Document, check_etag, read, same, write
from controlplane.catalog.experiment_arms import (
    chains_of_arms,
    refuse_unserved,
    refuse_while_switching,
    workload_of,
)
from controlplane.catalog.experiment_edits import seed_of
from controlplane.catalog.experiment_layers import layer_id, refuse_in_the_way, released, reserved
from controlplane.catalog.experiment_owners import check_whole, owning
from controlplane.catalog.experiment_routes import beside, beside_route, route_of
from controlplane.catalog.experiments import require
from controlplane.catalog.moves import refuse_pin
from controlplane.experiments import changing
from controlplane.experiments.changing import Why
from controlplane.experiments.conclusions import conclusion_of
from controlplane.experiments.states import CONCLUDED, PAUSED, RUNNING, Act, advance, owns
from enchain.chains.decision_names import ExperimentName
from enchain.chains.names import workload_name
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
    """

    name: ExperimentName
    caller: Caller
    etag: str = ""
    validate_only: bool = False
    evidence: Analysis | None = None


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


Acting = Callable[[Moment], Experiment]


class ExperimentLife:
    """Moves experiments from state to state.

    Args:
        store: Where they are kept; the leader's is fenced.
        stamp: Gives time and id to each decision.
        analyses: What is known of them.
    """

    def __init__(self, store: Store, stamp: Stamper, analyses: AnalysisCatalog) -> None:
        self._store = store
        self._stamp = stamp
        self._analyses = analyses

    async def start(self, asked: Asked) -> Experiment:
        """Start a draft: pin its chains, take its part of the layer, begin its first phase.

        One that runs already is answered as it is.

        Raises:
            NotFoundError: There is none, or a chain, the workload or its route is gone.
            PreconditionError: It is no draft; a chain is not whole, lacks a step, or cannot be run; a switch
                moves the route, a person pinned it, or another experiment is in the way.
            ConflictError: It has changed since it was read.
        """

        async def decide() -> Change[Experiment]:
            moment = await self._read(asked, "started")
            if moment.experiment.state == RUNNING:
                return Change(moment.experiment)
            advance(moment.experiment, Act.START)
            return await self._decide_start(asked, moment)

        return await commit(self._store, decide, validate_only=asked.validate_only)

    async def pause(self, asked: Asked) -> Experiment:
        """Pause it: nobody new is enrolled. One that is paused already is answered as it is."""
        return await self._act(
            asked,
            "paused: nobody new is enrolled",
            lambda experiment: experiment.state == PAUSED,
            lambda moment: changing.paused(moment.experiment, moment.why),
        )

    async def resume(self, asked: Asked) -> Experiment:
        """Let it run again, in the same phase. One that runs is answered as it is."""
        return await self._act(
            asked,
            "resumed",
            lambda experiment: experiment.state == RUNNING,
            lambda moment: changing.resumed(moment.experiment, moment.why),
        )

    async def cover(self, asked: Asked, coverage: float) -> Experiment:
        """Set its coverage in percent; a ramp ends by it.

        Raises:
            InvalidArgumentError: It is no percent above 0.
        """
        rules.check_coverage(coverage)
        return await self._act(
            asked,
            f"coverage set to {coverage:g} %",
            lambda experiment: (
                owns(experiment)
                and not experiment.HasField("ramp")
                and experiment.phases[-1].coverage == coverage
            ),
            lambda moment: changing.covered(moment.experiment, coverage, moment.why),
        )

    async def ramp(self, asked: Asked, step: int) -> Experiment:
        """Take a step of its ramp."""
        return await self._act(
            asked,
            "the ramp goes on",
            lambda experiment: owns(experiment) and experiment.phases[-1].ramp_step >= step,
            lambda moment: changing.ramped(moment.experiment, step, moment.why),
        )

    async def weigh(self, asked: Asked, weights: Mapping[str, float]) -> Experiment:
        """Change its weights: a new phase with a new seed. The weights that it has begin none.

        Raises:
            InvalidArgumentError: An arm is missing or unknown, or they do not sum to 100.
        """

        def act(moment: Moment) -> Experiment:
            number = moment.experiment.phases[-1].number + 1
            seed = seed_of(moment.experiment, number, moment.stamp.ulid)
            return changing.reweighted(moment.experiment, weights, seed, moment.why)

        def known(experiment: Experiment) -> bool:
            rules.check_weights(experiment, weights)
            return owns(experiment) and {arm.name: arm.weight for arm in experiment.arms} == dict(weights)

        told = ", ".join(f"{name} {weight:g} %" for name, weight in weights.items())
        return await self._act(asked, f"new phase: {told}", known, act)

    async def conclude(
        self, asked: Asked, winner: str = "", *, promote: bool = False, reason: str = "OPERATOR"
    ) -> Experiment:
        """End it. The promotion of the winner is written down as still to come, and begun by whoever is next.

        One that ended with the same winner is answered as it is.

        Raises:
            InvalidArgumentError: There is no such arm, or nobody is named who could be promoted.
            PreconditionError: It does not run, or ended otherwise.
        """

        def known(experiment: Experiment) -> bool:
            conclusion_of(experiment, winner, promote=promote, reason=reason)
            return experiment.state == CONCLUDED and experiment.conclusion.winner == winner

        def act(moment: Moment) -> Experiment:
            conclusion = conclusion_of(moment.experiment, winner, promote=promote, reason=reason)
            conclusion.description = moment.why.description
            conclusion.evidence.CopyFrom(moment.analysis)
            return changing.concluded(moment.experiment, conclusion, moment.why)

        told = f"concluded for {winner}" if winner else "concluded without a winner"
        return await self._act(asked, told, known, act)

    async def _act(
        self, asked: Asked, told: str, known: Callable[[Experiment], bool], act: Acting
    ) -> Experiment:
        """Commit an act, unless all is as it would make it.

        Raises:
            NotFoundError: There is no such experiment.
            PreconditionError: It is in no state for it.
            ConflictError: It has changed since it was read.
        """

        async def decide() -> Change[Experiment]:
            moment = await self._read(asked, told)
            if known(moment.experiment):
                return Change(moment.experiment)
            after = act(moment)
            beside = await beside_route(self._store, moment.experiment, after)
            compares, writes = beside.compares, beside.writes
            if not owns(after):
                freed = await self._freed(moment.experiment)
                compares, writes = (*compares, *freed[0]), (*writes, *freed[1])
            return _change(asked, moment, after, compares, writes)

        return await commit(self._store, decide, validate_only=asked.validate_only)

    async def _read(self, asked: Asked, told: str) -> Moment:
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

    async def _decide_start(self, asked: Asked, moment: Moment) -> Change[Experiment]:
        experiment, workload_id = moment.experiment, asked.name.workload
        workload = await workload_of(self._store, workload_id)
        workload.message.name = workload_name(workload_id)
        route = await route_of(self._store, workload_id)
        refuse_pin(route.message)
        await refuse_while_switching(self._store, workload_id)
        refuse_in_the_way(experiment, await owning(self._store, workload_id))
        chains = await chains_of_arms(self._store, experiment, workload.message)
        await refuse_unserved(self._store, experiment, [each.message for each in chains])
        after = changing.started(experiment, [each.message.name for each in chains], moment.why)
        moved, part = beside(route, after), await self._reserved(after)
        compares = (
            *moved.compares,
            *part[0],
            same(workload, workload.key),
            *{each.key: same(each, each.key) for each in chains}.values(),
        )
        return _change(asked, moment, after, compares, (*moved.writes, *part[1]))

    async def _reserved(self, experiment: Experiment) -> tuple[tuple[Compare, ...], tuple[Put, ...]]:
        if not (layer := layer_id(experiment)):
            return (), ()
        key = keys.layer(layer)
        document = await read(self._store, experiment_pb2.Layer, key)
        before = document.message if document is not None else experiment_pb2.Layer()
        return (same(document, key),), (write(key, reserved(before, experiment)),)

    async def _freed(self, experiment: Experiment) -> tuple[tuple[Compare, ...], tuple[Put, ...]]:
        layer = layer_id(experiment)
        document = await read(self._store, experiment_pb2.Layer, keys.layer(layer)) if layer else None
        if document is None:
            return (), ()
        after = released(document.message, experiment.name)
        return (same(document, document.key),), (write(document.key, after),)


def _change(
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
