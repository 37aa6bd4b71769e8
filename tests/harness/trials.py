"""A site whose control is served, and an experiment on it whose rival's engine must be started first.

Tests of pools ask for it. Engines, gRPC and etcd are real; whoever starts the rival's engine, a test brings.
"""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from random import Random
from typing import Any

from controlplane.demand.request_rate import RequestRateReader
from controlplane.loops.arm_pools import ArmPoolsLoop
from controlplane.loops.experiments import ExperimentsLoop
from controlplane.switching.health import Handshakes
from enchain.chains.names import ChainName
from enchain.engines.script.engine import ScriptEngine
from enchain.process.clock import SystemClock
from enchain.process.lifecycle import Tasks
from enchain.state import keys
from enchain.state.codec import decode, encode
from enchain.state.store import Put, Store, put
from enchain.v1 import chain_pb2, experiment_pb2, learned_pb2
from tests.harness.gated_engines import EngineScope, GatedInstance
from tests.harness.routers import put_chain, site_chain
from tests.harness.sites_on_trial import NAME, Experiment, experiment_service, put_workload, two_arms
from tests.harness.waiting import eventually

WITHIN = 60
MINUTES = 60
LOOK_SECONDS = 0.2


@dataclass
class Trial:
    """A site whose control is served, and a rival whose engine nobody has started.

    Attributes:
        store: Where all lies.
        stub: A client of experiments.
        rival: Its chain.
    """

    store: Store
    stub: Any
    rival: str

    async def start(self, **fields: Any) -> Experiment:
        """Start the experiment."""
        answer: Experiment = await self.stub.StartExperiment(
            experiment_pb2.StartExperimentRequest(name=NAME, **fields)
        )
        return answer

    async def read(self) -> Experiment:
        """Read the experiment."""
        answer: Experiment = await self.stub.GetExperiment(experiment_pb2.GetExperimentRequest(name=NAME))
        return answer

    async def until(self, state: Experiment.State.ValueType) -> Experiment:
        """Wait until the experiment is in a state."""

        async def check() -> list[Experiment]:
            found = await self.read()
            return [found] if found.state == state else []

        return (await eventually(check, within=WITHIN))[0]

    async def routed(self) -> list[str]:
        """Answer the experiments that the route names."""
        item = await self.store.get(keys.route("site"))
        assert item is not None
        return list(decode(chain_pb2.Route, item.value).experiments)

    async def owners(self) -> list[str]:
        """Answer who has a part of the layer."""
        item = await self.store.get(keys.layer("checkout"))
        assert item is not None
        return [each.experiment for each in decode(experiment_pb2.Layer, item.value).reservations]


@asynccontextmanager
async def trial_site(store: Store, folder: Path) -> AsyncIterator[Trial]:
    """Set it up, with a draft; take it down again."""
    async with AsyncExitStack() as stack:
        for engine in ("terraform", "process"):
            instance = GatedInstance(EngineScope(engine, engine), f"{engine}-1")
            await instance.start(store)
            stack.push_async_callback(instance.kill, store)
        rival = site_chain(engine="script")
        rival.steps[0].version = ScriptEngine.version
        name = await put_chain(store, rival, chain_id="other")
        old = await put_chain(store, site_chain())
        await put_workload(store)
        stub = await stack.enter_async_context(experiment_service(store, folder))
        layer = experiment_pb2.LayerRange(layer="layers/checkout", start=0, end=500)
        made = two_arms([old, str(replace(ChainName.parse(name), revision=""))], layer=layer)
        await stub.CreateExperiment(
            experiment_pb2.CreateExperimentRequest(
                parent="workloads/site", experiment_id="ab", experiment=made
            )
        )
        yield Trial(store, stub, name)


async def requests_came(store: Store, a_minute: int) -> None:
    """Let it be known how many provisions of the site came, and go on to, as the folding loop writes it."""
    counted = learned_pb2.RequestRateStatistics(
        workload="workloads/site", provisions=[a_minute] * 2 * MINUTES
    )
    now = int(datetime.now(UTC).timestamp())
    counted.first_minute.FromSeconds((now // 60 - MINUTES) * 60)
    await put(store, [Put(keys.learned(RequestRateReader.name, "site"), encode(counted))])


@asynccontextmanager
async def looking(store: Store) -> AsyncIterator[None]:
    """Look at experiments, and size pools for their arms, as a leader does."""
    clock, rng = SystemClock(), Random(0)
    looks = ExperimentsLoop(Handshakes(), clock=clock, rng=rng, look_seconds=LOOK_SECONDS)
    sizes = ArmPoolsLoop(clock=clock, rng=rng, pace_seconds=LOOK_SECONDS)
    async with Tasks() as tasks:
        tasks.start("look at experiments", looks.run(store))
        tasks.start("size pools for arms", sizes.run(store))
        yield
