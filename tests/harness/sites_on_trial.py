"""A site under an experiment, on real routers and engines, with a leader that looks at it.

All parts are real, in the test's own process: etcd, gRPC between routers, engines and control plane, and the
loops of a leader: outcomes are folded, experiments looked at, switches carried out.
"""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from random import Random
from typing import Any

from controlplane.catalog.artifacts import ArtifactCatalog
from controlplane.experiments.outcomes import OutcomeReader
from controlplane.loops.experiments import ExperimentsLoop
from controlplane.loops.outbox import OutboxLoop
from controlplane.loops.switching import SwitchingLoop
from controlplane.services import assemble
from controlplane.switching.health import Handshakes
from enchain.artifacts.store import DirectoryArtifacts
from enchain.chains.values import to_struct
from enchain.engine.v1 import engine_pb2 as protocol
from enchain.process.channels import open_channel
from enchain.process.clock import SystemClock
from enchain.process.lifecycle import Tasks
from enchain.process.servers import Server
from enchain.state import keys
from enchain.state.codec import encode
from enchain.state.store import Put, Store, put
from enchain.v1 import diagnostic_pb2, experiment_pb2, experiment_pb2_grpc, workload_pb2
from tests.harness.switching import Board, Leader, board

Experiment = experiment_pb2.Experiment

NAME = "workloads/site/experiments/ab"
LOOK_SECONDS = 0.2


async def put_workload(store: Store) -> None:
    """Write the workload of the site by hand: two steps."""
    workload = workload_pb2.Workload(
        name="workloads/site",
        inputs=to_struct({"type": "object", "properties": {"name": {"type": "string"}}}),
        steps=[workload_pb2.Step(name="configure"), workload_pb2.Step(name="serve")],
    )
    await put(store, [Put(keys.workload("site"), encode(workload))])


def broken() -> protocol.StepResult:
    """A step that fails and makes nothing."""
    result = protocol.StepResult(outcome=diagnostic_pb2.OUTCOME_FAILED_CLEAN)
    result.diagnostics.add(code="BROKEN", summary="it is broken", severity=diagnostic_pb2.SEVERITY_ERROR)
    return result


def two_arms(chains: Sequence[str], **fields: Any) -> Experiment:
    """An experiment of a control and a rival on two chains, half each, which is about success."""
    arms = [
        experiment_pb2.Arm(name=name, chain=chain, weight=50)
        for name, chain in zip(("control", "rival"), chains, strict=True)
    ]
    return Experiment(arms=arms, goal=experiment_pb2.ExperimentMetric(metric="success"), **fields)


async def started(stub: Any, made: Experiment) -> Experiment:
    """Create an experiment of the site, and start it."""
    await stub.CreateExperiment(
        experiment_pb2.CreateExperimentRequest(parent="workloads/site", experiment_id="ab", experiment=made)
    )
    answer: Experiment = await stub.StartExperiment(experiment_pb2.StartExperimentRequest(name=NAME))
    return answer


@asynccontextmanager
async def site_on_trial(
    store: Store, folder: Path, leader: Leader | None = None
) -> AsyncIterator[tuple[Board, Any]]:
    """Set the site up, with a client of its experiments; `leader` runs the loops, here by default."""
    async with board(store, folder, leader=leader or leading_experiments) as made:
        await put_workload(store)
        async with experiment_service(store, folder) as stub:
            yield made, stub


@asynccontextmanager
async def experiment_service(store: Store, folder: Path) -> AsyncIterator[Any]:
    """Serve the control plane's API; answer a client of its experiments."""
    server = Server("127.0.0.1:0")
    assemble(server, store, ArtifactCatalog(DirectoryArtifacts(folder)), clock=SystemClock())
    channel = open_channel(await server.start())
    try:
        yield experiment_pb2_grpc.ExperimentServiceStub(channel)
    finally:
        await channel.close(None)
        await server.stop(0)


@asynccontextmanager
async def leading_experiments(store: Store) -> AsyncIterator[None]:
    """Run the loops that experiments need, as a leader does."""
    clock, rng = SystemClock(), Random(0)
    folding = OutboxLoop((OutcomeReader(),), clock=clock, rng=rng, gather_seconds=0.05)
    switching = SwitchingLoop(Handshakes(), clock=clock, rng=rng, look_seconds=0.1)
    looking = ExperimentsLoop(Handshakes(), clock=clock, rng=rng, look_seconds=LOOK_SECONDS)
    async with Tasks() as tasks:
        tasks.start("fold the outbox", folding.run(store))
        tasks.start("carry switches out", switching.run(store))
        tasks.start("look at experiments", looking.run(store))
        yield
