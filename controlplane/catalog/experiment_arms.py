"""The chains of an experiment's arms: there, whole, able to do every step of the workload, and served.

`controlplane.catalog.experiments` asks when an experiment is saved, `experiment_life` again when it starts,
since anything may have changed meanwhile. Nothing here writes.
"""

from collections.abc import Sequence

from controlplane.catalog import surveys
from controlplane.catalog.documents import Document, read, readable, scan
from controlplane.catalog.removal import not_found
from controlplane.switching import holding
from controlplane.switching.holding import Fleet
from controlplane.switching.records import Switch
from controlplane.switching.states import RETIRING, is_end
from enchain.chains.errors import NotFoundError, PreconditionError, Violation
from enchain.chains.names import ChainName, route_name
from enchain.state import keys
from enchain.state.store import Store
from enchain.v1 import chain_pb2, experiment_pb2, workload_pb2

Experiment = experiment_pb2.Experiment
Chain = chain_pb2.Chain


async def workload_of(store: Store, workload: str) -> Document[workload_pb2.Workload]:
    """Read the workload that an experiment is about.

    Raises:
        NotFoundError: There is none.
    """
    document = await read(store, workload_pb2.Workload, keys.workload(workload))
    if document is None:
        raise not_found(workload)
    return document


async def chains_of_arms(
    store: Store, experiment: Experiment, workload: workload_pb2.Workload
) -> list[Document[Chain]]:
    """Read the chain of each arm: the revision that is named, or the newest.

    Raises:
        NotFoundError: One is not there.
        PreconditionError: One is not whole, or lacks a step of the workload.
    """
    found = []
    for index, arm in enumerate(experiment.arms):
        field = f"experiment.arms[{index}].chain"
        try:
            document = await surveys.usable(store, ChainName.parse(arm.chain, field))
        except NotFoundError as error:
            told = f"arm {arm.name}: {error.message}"
            raise NotFoundError(
                told,
                reason=error.reason,
                remedy="Save the chain first (kind: Chain), or name one that is there: enchain get chains.",
                metadata={"arm": arm.name, "chain": arm.chain},
                violations=[Violation(field, told, error.reason)],
            ) from error
        _refuse_missing_steps(arm, document.message, workload, field)
        found.append(document)
    return found


def _refuse_missing_steps(
    arm: experiment_pb2.Arm, chain: Chain, workload: workload_pb2.Workload, field: str
) -> None:
    done = {name for step in chain.steps for name in step.steps}
    missing = [step.name for step in workload.steps if step.name not in done]
    if missing:
        told = f"arm {arm.name}: {chain.name} does not do {', '.join(missing)}, which {workload.name} has"
        raise PreconditionError(
            told,
            reason="CHAIN_LACKS_STEP",
            remedy="Save the chain again, so that it is derived from the workload as it is now.",
            metadata={"arm": arm.name, "chain": chain.name, "steps": ", ".join(missing)},
            violations=[Violation(field, told, "CHAIN_LACKS_STEP")],
        )


def refuse_unserved(experiment: Experiment, chains: Sequence[Chain], fleet: Fleet) -> None:
    """Refuse to send requests to chains that nobody serves and whose instances nobody here can start.

    Raises:
        PreconditionError: There is one.
    """
    for arm, chain in zip(experiment.arms, chains, strict=True):
        need = holding.one_of_each([chain])
        stuck = holding.unlaunchable(need, fleet)
        if stuck:
            short = "; ".join(holding.short(need, fleet))
            raise PreconditionError(
                f"arm {arm.name}: {chain.name} cannot be run now: {short}",
                reason="NO_INSTANCE",
                remedy=f"Start the instances that are missing, then start the experiment: {stuck[0]}.",
                metadata={"arm": arm.name, "chain": chain.name, "launching": "; ".join(stuck)},
            )


async def refuse_while_switching(store: Store, workload: str) -> None:
    """Refuse to take requests from a route that a switch moves, or may still take back.

    Whoever starts an experiment compares the route, which a switch writes when it begins.

    Raises:
        PreconditionError: One is under way.
    """
    items = [item async for item in scan(store, keys.switches_of(workload))]
    for document in readable(Switch, items):
        switch = document.message
        if not is_end(switch.state) and switch.state != RETIRING:
            state = Switch.State.Name(switch.state).removeprefix("STATE_").lower()
            raise PreconditionError(
                f"{switch.name} moves {route_name(workload)} ({state})",
                reason="SWITCH_RUNNING",
                remedy=f"Wait for its end (enchain switch show {workload} --watch), or end it "
                f"(enchain switch abort {workload}).",
                metadata={"name": route_name(workload), "switch": switch.name},
            )
