"""What came of an experiment's arms, and its looks: read for the analysis.

`controlplane.catalog.analyses` and the leader's loop of experiments call it. Statistics are written by the
folding loop alone.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from controlplane.catalog.documents import readable
from controlplane.experiments.merging import in_one_currency
from enchain.chains.decision_names import ExperimentName
from enchain.state import keys
from enchain.state.store import Get, KeyValue, Store, Txn
from enchain.v1 import experiment_pb2

ArmStatistics = experiment_pb2.ArmStatistics


@dataclass(frozen=True, slots=True)
class Measured:
    """What came of the arms in one phase.

    Attributes:
        arms: By arm; an arm of which nothing ended is empty.
        before: Of the time as a draft, by arm; empty where there was none, or where keys were hashed
            otherwise.
        warnings: What was left out.
    """

    arms: Mapping[str, ArmStatistics]
    before: Mapping[str, ArmStatistics]
    warnings: Sequence[str]


class ExperimentStatistics:
    """Statistics and looks of experiments.

    Args:
        store: Where they are kept.
    """

    def __init__(self, store: Store) -> None:
        self._store = store

    async def measured(self, experiment: experiment_pb2.Experiment, phase: int = 0) -> Measured:
        """Answer what came of an experiment's arms, as it stood at one revision.

        Args:
            experiment: The experiment.
            phase: Of which phase; 0: of the newest.
        """
        name = ExperimentName.parse(experiment.name)
        arms = [arm.name for arm in experiment.arms]
        number = phase or max((each.number for each in experiment.phases), default=1)
        seed = next((each.seed for each in experiment.phases if each.number == number), "")
        found = await self._read([statistics_key(name, which, arm) for which in (number, 0) for arm in arms])
        now = [_statistics(item) for item in found[: len(arms)]]
        early = [_statistics(item) for item in found[len(arms) :]]
        both, warnings = in_one_currency(
            now, [each if each.seed == seed else ArmStatistics() for each in early]
        )
        named = [dict(zip(arms, each, strict=True)) for each in both]
        before = {arm: each for arm, each in named[1].items() if each.operations}
        return Measured(named[0], before, warnings)

    async def looks(self, name: ExperimentName) -> experiment_pb2.ExperimentLooks:
        """Answer the looks so far; those of all phases."""
        item = await self._store.get(keys.experiment_looks(name.workload, name.experiment))
        documents = list(readable(experiment_pb2.ExperimentLooks, [item] if item is not None else []))
        return documents[0].message if documents else experiment_pb2.ExperimentLooks()

    async def _read(self, wanted: Sequence[str]) -> Sequence[KeyValue | None]:
        return (await self._store.commit(Txn(success=tuple(Get(key) for key in wanted)))).got


def statistics_key(name: ExperimentName, phase: int, arm: str) -> str:
    """Key of what came of one arm in one phase; phase 0 is the time as a draft."""
    return f"{keys.experiment_statistics_of(name.workload)}{name.experiment}.{phase}.{arm}"


def _statistics(item: KeyValue | None) -> ArmStatistics:
    documents = list(readable(ArmStatistics, [item] if item is not None else []))
    return documents[0].message if documents else ArmStatistics()
