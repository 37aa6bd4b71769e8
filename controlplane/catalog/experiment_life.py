"""The life of experiments: started, paused, resumed, covered, weighted, concluded.

`controlplane.rpc.experiments` calls it for people, the leader's loop of experiments for itself; both go
through the same decisions. Each change is one transaction with its audit record, the workload's route and,
where there is one, the layer. What an act makes of an experiment is `controlplane.experiments.changing`.
"""

from collections.abc import Callable, Mapping

from controlplane.catalog import experiment_rules as rules
from controlplane.catalog.analyses import AnalysisCatalog
from controlplane.catalog.changes import Change, Stamper, commit
from controlplane.catalog.experiment_edits import seed_of
from controlplane.catalog.experiment_moments import Asked, Moment, Moments, change_of, part_freed
from controlplane.catalog.experiment_routes import beside_route
from controlplane.catalog.experiment_starts import ExperimentStarts
from controlplane.experiments import changing
from controlplane.experiments.conclusions import conclusion_of
from controlplane.experiments.states import CONCLUDED, PAUSED, RUNNING, owns
from enchain.state.store import Store
from enchain.v1 import experiment_pb2

Experiment = experiment_pb2.Experiment

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
        self._moments = Moments(store, stamp, analyses)
        self._starts = ExperimentStarts(store, self._moments)

    async def start(self, asked: Asked) -> Experiment:
        """Start a draft: pin its chains, take its part of the layer, begin its first phase.

        Where instances must be launched first it warms, and the leader lets it run once they are ready. One
        that runs or warms already is answered as it is.

        Raises:
            NotFoundError: There is none, or a chain, the workload or its route is gone.
            PreconditionError: It is no draft; a chain is not whole, lacks a step, or cannot be run; a switch
                moves the route, a person pinned it, or another experiment is in the way.
            ConflictError: It has changed since it was read.
        """
        return await self._starts.start(asked)

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
            moment = await self._moments.read(asked, told)
            if known(moment.experiment):
                return Change(moment.experiment)
            after = act(moment)
            beside = await beside_route(self._store, moment.experiment, after)
            compares, writes = beside.compares, beside.writes
            if not owns(after):
                freed = await part_freed(self._store, moment.experiment)
                compares, writes = (*compares, *freed[0]), (*writes, *freed[1])
            return change_of(asked, moment, after, compares, writes)

        return await commit(self._store, decide, validate_only=asked.validate_only)
