"""`enchain.v1.ExperimentService`: requests to calls of the catalogues of experiments, answers back.

`controlplane.services` registers it. Nothing is decided here.
"""

from dataclasses import replace
from typing import Protocol

from controlplane.catalog.analyses import AnalysisCatalog
from controlplane.catalog.experiment_life import ExperimentLife
from controlplane.catalog.experiment_moments import Asked
from controlplane.catalog.experiments import ExperimentCatalog
from controlplane.catalog.paging import page_of
from controlplane.catalog.promotions import Promotions
from controlplane.experiments.warming import warm_time
from controlplane.rpc.callers import Context, caller_of
from enchain.chains import names
from enchain.chains.assignment import explain
from enchain.chains.decision_names import EXPERIMENT, ExperimentName
from enchain.chains.units import attributes_of
from enchain.v1 import experiment_pb2, experiment_pb2_grpc

SERVICE = "enchain.v1.ExperimentService"

Experiment = experiment_pb2.Experiment


class _Acting(Protocol):
    """What requests that act on one experiment have in common."""

    name: str
    etag: str
    request_id: str


class ExperimentServicer(experiment_pb2_grpc.ExperimentServiceServicer):
    """Serves the experiments.

    Args:
        catalog: Experiments as documents.
        life: What moves them from state to state.
        promotions: Begins the switches of conclusions.
        analyses: What is known of them.
    """

    def __init__(
        self,
        catalog: ExperimentCatalog,
        life: ExperimentLife,
        promotions: Promotions,
        analyses: AnalysisCatalog,
    ) -> None:
        self._catalog = catalog
        self._life = life
        self._promotions = promotions
        self._analyses = analyses

    async def CreateExperiment(  # noqa: N802 - the method's name on the wire
        self, request: experiment_pb2.CreateExperimentRequest, context: Context
    ) -> Experiment:
        """Write a draft."""
        name = ExperimentName(
            names.workload_id(request.parent, "parent"),
            names.check_id(EXPERIMENT, request.experiment_id, "experiment_id"),
        )
        return await self._catalog.create(
            name,
            request.experiment,
            caller_of(context, f"{SERVICE}/CreateExperiment", request.request_id),
            validate_only=request.validate_only,
        )

    async def GetExperiment(  # noqa: N802 - the method's name on the wire
        self, request: experiment_pb2.GetExperimentRequest, context: Context
    ) -> Experiment:
        """Answer one experiment."""
        del context
        return await self._catalog.get(ExperimentName.parse(request.name))

    async def ListExperiments(  # noqa: N802 - the method's name on the wire
        self, request: experiment_pb2.ListExperimentsRequest, context: Context
    ) -> experiment_pb2.ListExperimentsResponse:
        """Answer a page of experiments, by name."""
        del context
        workload = names.workload_id(request.parent, "parent", every=True)
        experiments, token = await self._catalog.list(
            "" if workload == names.EVERY else workload,
            page_of(f"ListExperiments {request.parent}", request.page_size, request.page_token),
        )
        return experiment_pb2.ListExperimentsResponse(experiments=experiments, next_page_token=token)

    async def UpdateExperiment(  # noqa: N802 - the method's name on the wire
        self, request: experiment_pb2.UpdateExperimentRequest, context: Context
    ) -> Experiment:
        """Replace an experiment."""
        return await self._catalog.update(
            request.experiment,
            caller_of(context, f"{SERVICE}/UpdateExperiment", request.request_id),
            allow_missing=request.allow_missing,
            validate_only=request.validate_only,
        )

    async def DeleteExperiment(  # noqa: N802 - the method's name on the wire
        self, request: experiment_pb2.DeleteExperimentRequest, context: Context
    ) -> experiment_pb2.DeleteExperimentResponse:
        """Delete a draft, or what is concluded."""
        await self._catalog.delete(
            ExperimentName.parse(request.name),
            request.etag,
            caller_of(context, f"{SERVICE}/DeleteExperiment", request.request_id),
            validate_only=request.validate_only,
        )
        return experiment_pb2.DeleteExperimentResponse()

    async def StartExperiment(  # noqa: N802 - the method's name on the wire
        self, request: experiment_pb2.StartExperimentRequest, context: Context
    ) -> Experiment:
        """Start a draft."""
        asked = _asked(request, context, "StartExperiment", validate_only=request.validate_only)
        warm = warm_time(request.warm_timeout) if request.HasField("warm_timeout") else None
        return await self._life.start(replace(asked, warm=warm))

    async def PauseExperiment(  # noqa: N802 - the method's name on the wire
        self, request: experiment_pb2.PauseExperimentRequest, context: Context
    ) -> Experiment:
        """Enrol nobody new."""
        return await self._life.pause(_asked(request, context, "PauseExperiment", request.reason))

    async def ResumeExperiment(  # noqa: N802 - the method's name on the wire
        self, request: experiment_pb2.ResumeExperimentRequest, context: Context
    ) -> Experiment:
        """Enrol again."""
        return await self._life.resume(_asked(request, context, "ResumeExperiment", request.reason))

    async def SetCoverage(  # noqa: N802 - the method's name on the wire
        self, request: experiment_pb2.SetCoverageRequest, context: Context
    ) -> Experiment:
        """Set the share of keys that is enrolled."""
        asked = _asked(request, context, "SetCoverage", request.reason, validate_only=request.validate_only)
        return await self._life.cover(asked, request.coverage)

    async def SetWeights(  # noqa: N802 - the method's name on the wire
        self, request: experiment_pb2.SetWeightsRequest, context: Context
    ) -> Experiment:
        """Begin a new phase with other weights."""
        asked = _asked(request, context, "SetWeights", request.reason, validate_only=request.validate_only)
        return await self._life.weigh(asked, dict(request.weights))

    async def ConcludeExperiment(  # noqa: N802 - the method's name on the wire
        self, request: experiment_pb2.ConcludeExperimentRequest, context: Context
    ) -> Experiment:
        """End an experiment, and begin the switch to its winner where that is asked for."""
        asked = _asked(request, context, "ConcludeExperiment", request.reason)
        await self._life.conclude(asked, request.winner, promote=request.promote)
        return await self._promotions.begin(asked.name, asked.caller)

    async def GetAnalysis(  # noqa: N802 - the method's name on the wire
        self, request: experiment_pb2.GetAnalysisRequest, context: Context
    ) -> experiment_pb2.ExperimentAnalysis:
        """Answer what is known so far."""
        del context
        name = ExperimentName.parse(request.name)
        return await self._analyses.analysis(name, request.phase, looks=request.looks)

    async def AssignArm(  # noqa: N802 - the method's name on the wire
        self, request: experiment_pb2.AssignArmRequest, context: Context
    ) -> experiment_pb2.ArmAssignment:
        """Answer which arm a key gets, as routers would."""
        del context
        experiment = await self._catalog.get(ExperimentName.parse(request.name))
        known = request.HasField("attributes")
        attributes = attributes_of(request.attributes, request.key) if known else None
        return explain(experiment, request.key, attributes)


def _asked(
    request: _Acting, context: Context, method: str, reason: str = "", *, validate_only: bool = False
) -> Asked:
    return Asked(
        ExperimentName.parse(request.name),
        caller_of(context, f"{SERVICE}/{method}", request.request_id, reason),
        etag=request.etag,
        validate_only=validate_only,
    )
