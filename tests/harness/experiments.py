"""Experiments on the workload `site` of a test's control plane: how one looks, and the calls about it."""

from collections.abc import Mapping
from typing import Any

from enchain.state import keys
from enchain.state.codec import decode
from enchain.v1 import chain_pb2, experiment_pb2, experiment_pb2_grpc
from tests.harness.controlplane import Plane

PARENT = "workloads/site"
Experiment = experiment_pb2.Experiment

LAYER = "layers/checkout"


def part(start: int, end: int, layer: str = LAYER) -> experiment_pb2.LayerRange:
    """A part of a layer, in thousandths."""
    return experiment_pb2.LayerRange(layer=layer, start=start, end=end)


def name(experiment_id: str = "ab") -> str:
    """Full name of an experiment of `site`."""
    return f"{PARENT}/experiments/{experiment_id}"


def experiment(
    weights: Mapping[str, float] | None = None, goal: str = "p95_time", **fields: Any
) -> Experiment:
    """An experiment whose arms are called as their chains; the control is `default`."""
    weights = weights or {"default": 50, "via-files": 50}
    arms = [
        experiment_pb2.Arm(name=chain, chain=f"{PARENT}/chains/{chain}", weight=weight)
        for chain, weight in weights.items()
    ]
    return Experiment(arms=arms, goal=experiment_pb2.ExperimentMetric(metric=goal), **fields)


class Experiments:
    """The calls, and what they leave in the store.

    Args:
        plane: The control plane.
    """

    def __init__(self, plane: Plane) -> None:
        self.plane = plane
        self.stub: Any = experiment_pb2_grpc.ExperimentServiceStub(plane.channel)

    async def create(self, made: Experiment | None = None, experiment_id: str = "ab", **more: Any) -> Any:
        """Create one."""
        request = experiment_pb2.CreateExperimentRequest(
            parent=PARENT, experiment_id=experiment_id, experiment=made or experiment(), **more
        )
        return await self.stub.CreateExperiment(request)

    async def update(self, made: Experiment, experiment_id: str = "ab", **more: Any) -> Any:
        """Replace one."""
        made.name = made.name or name(experiment_id)
        request = experiment_pb2.UpdateExperimentRequest(experiment=made, **more)
        return await self.stub.UpdateExperiment(request)

    async def get(self, experiment_id: str = "ab") -> Any:
        """Read one."""
        request = experiment_pb2.GetExperimentRequest(name=name(experiment_id))
        return await self.stub.GetExperiment(request)

    async def start(self, experiment_id: str = "ab", **more: Any) -> Any:
        """Start one."""
        request = experiment_pb2.StartExperimentRequest(name=name(experiment_id), **more)
        return await self.stub.StartExperiment(request)

    async def pause(self, experiment_id: str = "ab", **more: Any) -> Any:
        """Pause one."""
        request = experiment_pb2.PauseExperimentRequest(name=name(experiment_id), **more)
        return await self.stub.PauseExperiment(request)

    async def resume(self, experiment_id: str = "ab", **more: Any) -> Any:
        """Resume one."""
        request = experiment_pb2.ResumeExperimentRequest(name=name(experiment_id), **more)
        return await self.stub.ResumeExperiment(request)

    async def cover(self, coverage: float, experiment_id: str = "ab", **more: Any) -> Any:
        """Set its coverage."""
        request = experiment_pb2.SetCoverageRequest(name=name(experiment_id), coverage=coverage, **more)
        return await self.stub.SetCoverage(request)

    async def weigh(self, weights: Mapping[str, float], experiment_id: str = "ab", **more: Any) -> Any:
        """Change its weights."""
        request = experiment_pb2.SetWeightsRequest(name=name(experiment_id), weights=weights, **more)
        return await self.stub.SetWeights(request)

    async def conclude(self, winner: str = "", experiment_id: str = "ab", **more: Any) -> Any:
        """End it."""
        request = experiment_pb2.ConcludeExperimentRequest(name=name(experiment_id), winner=winner, **more)
        return await self.stub.ConcludeExperiment(request)

    async def delete(self, experiment_id: str = "ab", **more: Any) -> Any:
        """Delete it."""
        request = experiment_pb2.DeleteExperimentRequest(name=name(experiment_id), **more)
        return await self.stub.DeleteExperiment(request)

    async def assign(self, key: str, experiment_id: str = "ab", **more: Any) -> Any:
        """Ask which arm a key gets."""
        request = experiment_pb2.AssignArmRequest(name=name(experiment_id), key=key, **more)
        return await self.stub.AssignArm(request)

    async def running(self, made: Experiment | None = None, experiment_id: str = "ab") -> Any:
        """Create one and start it."""
        await self.create(made, experiment_id)
        return await self.start(experiment_id)

    async def route(self) -> tuple[chain_pb2.Route, int]:
        """Read the route of `site`, and the revision at which it was written."""
        item = await self.plane.store.get(keys.route("site"))
        assert item is not None
        return decode(chain_pb2.Route, item.value), item.mod_revision

    async def layer(self, layer: str = "checkout") -> list[tuple[str, int, int]]:
        """Read who has which part of a layer."""
        item = await self.plane.store.get(keys.layer(layer))
        found = decode(experiment_pb2.Layer, item.value) if item else experiment_pb2.Layer()
        return [(each.experiment, each.start, each.end) for each in found.reservations]
