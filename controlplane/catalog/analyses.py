"""Analyses of experiments: what is known of the arms, put together when somebody looks.

`controlplane.rpc.experiments` calls it, and so does the leader's loop of experiments, so that both say the
same. It never writes: looks are the loop's.
"""

from collections.abc import Mapping

from controlplane.catalog.documents import read
from controlplane.catalog.experiment_statistics import ExperimentStatistics
from controlplane.catalog.experiments import require
from controlplane.experiments.analysis import analyse
from controlplane.experiments.predictions import Prediction, checks, predicted
from enchain.chains.decision_names import ExperimentName, RecommendationName
from enchain.chains.errors import NotFoundError
from enchain.chains.warming import start_told
from enchain.process.clock import Clock
from enchain.state import keys
from enchain.state.store import Store
from enchain.v1 import experiment_pb2, recommendation_pb2

Analysis = experiment_pb2.ExperimentAnalysis
Experiment = experiment_pb2.Experiment
Recommendation = recommendation_pb2.Recommendation
PlanningInputs = recommendation_pb2.PlanningInputs


class AnalysisCatalog:
    """Analyses of all experiments.

    Args:
        store: Where experiments and their statistics are kept.
        clock: Time.
    """

    def __init__(self, store: Store, clock: Clock) -> None:
        self._store = store
        self._clock = clock
        self._statistics = ExperimentStatistics(store)

    async def analysis(self, name: ExperimentName, phase: int = 0, *, looks: bool = False) -> Analysis:
        """Answer what is known of an experiment now.

        Args:
            name: Of which one.
            phase: Of which phase; 0: the newest.
            looks: Answer what was known before as well.

        Raises:
            NotFoundError: There is no such experiment, or it has no such phase.
        """
        document = await require(self._store, name)
        analysis = await self.of(document.message, phase)
        if looks:
            kept = (await self._statistics.looks(name)).looks
            analysis.looks.extend(look for look in kept if look.phase == analysis.phase)
        return analysis

    async def of(self, experiment: Experiment, phase: int = 0) -> Analysis:
        """Answer what is known of an experiment that was read already.

        Raises:
            NotFoundError: It has no such phase.
        """
        asked = as_of(experiment, phase)
        measured = await self._statistics.measured(asked)
        analysis = analyse(asked, measured.arms, measured.before, self._clock.now())
        analysis.warnings.extend(measured.warnings)
        said = await self._predicted(experiment.recommendation)
        analysis.predictions.extend(checks(asked, measured.arms, said))
        analysis.advice = start_told(experiment) or analysis.advice
        return analysis

    async def _predicted(self, recommendation: str) -> Mapping[str, Prediction]:
        """Read what a recommendation said; nothing where there is none, or none any more."""
        if not recommendation:
            return {}
        name = RecommendationName.parse(recommendation)
        documents = (
            await read(self._store, Recommendation, keys.recommendation(name.workload, name.recommendation)),
            await read(
                self._store, PlanningInputs, keys.recommendation_inputs(name.workload, name.recommendation)
            ),
        )
        if documents[0] is None:
            return {}
        inputs = PlanningInputs() if documents[1] is None else documents[1].message
        return predicted(documents[0].message, inputs)


def as_of(experiment: Experiment, phase: int) -> Experiment:
    """Answer an experiment whose newest phase is the one that is asked for; 0: as it is.

    Raises:
        NotFoundError: It has no such phase.
    """
    if not phase:
        return experiment
    kept = [each for each in experiment.phases if each.number <= phase]
    if not kept or kept[-1].number != phase:
        raise NotFoundError(
            f"{experiment.name} has no phase {phase}",
            reason="PHASE_NOT_FOUND",
            remedy="Describe it: enchain experiments describe; its phases are numbered from 1.",
            metadata={"name": experiment.name, "phase": str(phase)},
        )
    answer = Experiment()
    answer.CopyFrom(experiment)
    del answer.phases[:]
    answer.phases.extend(kept)
    return answer
