"""Experiments that run or are paused: whose chains are needed, and who takes requests before a route does.

Chains, pools and experiments themselves read through it. It writes nothing.
"""

from controlplane.catalog.documents import Document, readable, scan
from controlplane.experiments.states import owns
from enchain.chains.decision_names import ExperimentName
from enchain.state import keys
from enchain.state.store import Store
from enchain.v1 import experiment_pb2

Experiment = experiment_pb2.Experiment


async def owning(store: Store, workload: str = "") -> list[Experiment]:
    """Read the experiments of a workload, or of all, that run or are paused, by name."""
    prefix = keys.experiments_of(workload) if workload else keys.EXPERIMENTS
    items = [item async for item in scan(store, prefix)]
    found = [named(document).message for document in readable(Experiment, items)]
    return [each for each in found if owns(each)]


def named(document: Document[Experiment]) -> Document[Experiment]:
    """Name an experiment by its key; one put by hand may have left its name out."""
    document.message.name = str(ExperimentName(*keys.parts(document.key, keys.EXPERIMENTS)[:2]))
    return document
