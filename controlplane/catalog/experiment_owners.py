"""Experiments that warm, run or are paused: whose chains are needed, and who takes requests before a route.

Chains, pools and experiments themselves read through it. It writes nothing.
"""

from collections.abc import Iterator, Sequence

from controlplane.catalog.documents import Document, readable, scan
from controlplane.experiments.states import owns
from enchain.chains.decision_names import ExperimentName
from enchain.chains.errors import MalformedError
from enchain.state import keys
from enchain.state.store import KeyValue, Store
from enchain.v1 import experiment_pb2

Experiment = experiment_pb2.Experiment

KEY_PARTS = 2
"""An experiment's key is workload and experiment."""


async def owning(store: Store, workload: str = "") -> list[Experiment]:
    """Read the experiments of a workload, or of all, that warm, run or are paused, by name."""
    prefix = keys.experiments_of(workload) if workload else keys.EXPERIMENTS
    items = [item async for item in scan(store, prefix)]
    return [each.message for each in experiments_of(items) if owns(each.message)]


def experiments_of(items: Sequence[KeyValue]) -> Iterator[Document[Experiment]]:
    """Parse what can be parsed, each named by its key; other keys under the prefix are none of ours."""
    ours = [item for item in items if len(keys.parts(item.key, keys.EXPERIMENTS)) == KEY_PARTS]
    return (named(document) for document in readable(Experiment, ours))


def check_whole(experiment: Experiment) -> None:
    """Check that an experiment has what whoever acts on it goes by; one put by hand may lack it.

    Raises:
        MalformedError: It has no arm or no phase.
    """
    if not experiment.arms or not experiment.phases:
        raise MalformedError(
            f"{experiment.name} has no {'phase' if experiment.arms else 'arm'}",
            reason="EXPERIMENT_NOT_WHOLE",
            remedy="Delete its key and create it again.",
            metadata={"name": experiment.name},
        )


def named(document: Document[Experiment]) -> Document[Experiment]:
    """Name an experiment by its key; one put by hand may have left its name out."""
    document.message.name = str(ExperimentName(*keys.parts(document.key, keys.EXPERIMENTS)[:2]))
    return document
