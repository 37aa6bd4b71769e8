"""What is looked at while an experiment runs: its state, its ramp, and every interval known by then."""

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from enchain.v1 import experiment_pb2, experiment_pb2_grpc

EVERY_SECONDS = 1.0

CONCLUDED = experiment_pb2.Experiment.STATE_CONCLUDED


@dataclass(frozen=True, slots=True)
class Look:
    """One look.

    Attributes:
        at: Seconds from the beginning.
        coverage: Percent of keys that are enrolled; 0 where the experiment does not run.
        analysis: What was known.
    """

    at: float
    coverage: float
    analysis: experiment_pb2.ExperimentAnalysis

    def metric(self, arm: str, name: str) -> experiment_pb2.MetricAnalysis | None:
        """Answer what was known of an arm's metric, as a guardrail where it is one too; None for nothing."""
        found = [each for each in self.analysis.metrics if each.arm == arm and each.metric == name]
        return max(found, key=lambda each: each.role, default=None)


@dataclass(slots=True)
class Watched:
    """What was seen of one experiment.

    Attributes:
        name: The experiment's name.
        began: When the demonstration began, monotonic.
        looks: All looks, oldest first.
        experiment: As it was seen last.
    """

    name: str
    began: float
    looks: list[Look] = field(default_factory=list)
    experiment: experiment_pb2.Experiment = field(default_factory=experiment_pb2.Experiment)
    told: int = 0

    @property
    def concluded(self) -> bool:
        """It has ended."""
        return self.experiment.state == CONCLUDED

    def counted(self) -> dict[str, int]:
        """Answer how many operations had ended in each arm by the last look."""
        return counted(self.looks[-1].analysis) if self.looks else {}

    def offset(self, change: experiment_pb2.ExperimentChange) -> float:
        """Answer when a change was made, seconds from the beginning."""
        age = time.time() - change.time.ToNanoseconds() / 1e9
        return time.monotonic() - self.began - age

    async def look(self, experiments: "experiment_pb2_grpc.ExperimentServiceAsyncStub") -> None:
        """Look once."""
        self.experiment = await experiments.GetExperiment(experiment_pb2.GetExperimentRequest(name=self.name))
        analysis = await experiments.GetAnalysis(experiment_pb2.GetAnalysisRequest(name=self.name))
        running = self.experiment.state == experiment_pb2.Experiment.STATE_RUNNING
        coverage = self.experiment.phases[-1].coverage if running else 0.0
        self.looks.append(Look(time.monotonic() - self.began, coverage, analysis))

    async def follow(
        self, experiments: "experiment_pb2_grpc.ExperimentServiceAsyncStub", tell: Callable[[str], None]
    ) -> None:
        """Look until it has ended, and tell every change."""
        while not self.concluded:
            await self.look(experiments)
            self.tell_changes(tell)
            await asyncio.sleep(EVERY_SECONDS)

    def tell_changes(self, tell: Callable[[str], None]) -> None:
        """Tell the changes that have not been told."""
        changes = sorted(self.experiment.history, key=lambda change: change.time.ToNanoseconds())
        for change in changes[self.told :]:
            tell(line(change, self.offset(change)))
        self.told = len(changes)


def line(change: experiment_pb2.ExperimentChange, at: float) -> str:
    """Answer a change as a line for people."""
    words = f"{at:6.1f} s  {change.kind.lower()}"
    if change.description not in {"", change.kind.lower()}:
        words += f": {change.description}"
    if change.evidence in {"", change.description}:
        return words
    return f"{words}\n            known then: {change.evidence}"


def counted(analysis: experiment_pb2.ExperimentAnalysis) -> dict[str, int]:
    """Answer how many operations had ended in each arm: `success` is measured of every one."""
    return {each.arm: each.operations for each in analysis.metrics if each.metric == "success"}
