"""The control plane's services: the catalogues, put together and put onto a server.

`controlplane.main` calls it once, and tests that need no process. Nothing is decided here.
"""

import asyncio

from opentelemetry.proto.collector.metrics.v1 import metrics_service_pb2_grpc

from controlplane.catalog.analyses import AnalysisCatalog
from controlplane.catalog.artifacts import ArtifactCatalog
from controlplane.catalog.chains import ChainCatalog
from controlplane.catalog.changes import Stamper, stamper
from controlplane.catalog.derivation import Deriver
from controlplane.catalog.engines import EngineCatalog
from controlplane.catalog.events import EventCatalog
from controlplane.catalog.experiment_life import ExperimentLife
from controlplane.catalog.experiments import ExperimentCatalog
from controlplane.catalog.forecast_jobs import ForecastJobCatalog
from controlplane.catalog.forecasts import ForecastCatalog
from controlplane.catalog.pools import PoolCatalog
from controlplane.catalog.profiles import ProfileCatalog
from controlplane.catalog.promotions import Promotions
from controlplane.catalog.recommendations import RecommendationCatalog
from controlplane.catalog.routes import RouteCatalog
from controlplane.catalog.schemas import SchemaSource
from controlplane.catalog.switch_progress import SwitchProgress
from controlplane.catalog.workloads import WorkloadCatalog
from controlplane.demand.house import DemandHouse
from controlplane.forecast.serving import Desk
from controlplane.rpc.artifacts import ArtifactServicer
from controlplane.rpc.chains import ChainServicer
from controlplane.rpc.engines import EngineServicer
from controlplane.rpc.events import PlannedEventServicer
from controlplane.rpc.experiments import ExperimentServicer
from controlplane.rpc.forecasts import ForecastServicer
from controlplane.rpc.leader import Leader
from controlplane.rpc.metrics import SERVICE as METRICS_SERVICE
from controlplane.rpc.metrics import LeadersMetrics, MetricsServicer
from controlplane.rpc.pools import PoolServicer
from controlplane.rpc.recommendations import RecommendationServicer
from controlplane.rpc.workloads import WorkloadServicer
from enchain.process.clock import Clock
from enchain.process.servers import Server
from enchain.process.tls import TlsFiles
from enchain.state.store import Store
from enchain.v1 import (
    artifact_pb2_grpc,
    chain_pb2_grpc,
    engine_pb2_grpc,
    event_pb2_grpc,
    experiment_pb2_grpc,
    forecast_pb2_grpc,
    pool_pb2_grpc,
    recommendation_pb2_grpc,
    workload_pb2_grpc,
)


def receive_metrics(server: Server, demand: DemandHouse, leader: LeadersMetrics) -> None:
    """Let a server take metrics in, or hand them on to the leader."""
    add = metrics_service_pb2_grpc.add_MetricsServiceServicer_to_server
    server.add(add, MetricsServicer(demand.intake, leader), METRICS_SERVICE)


def assemble(
    server: Server,
    store: Store,
    artifacts: ArtifactCatalog,
    *,
    clock: Clock,
    tls: TlsFiles | None = None,
    desk: Desk | None = None,
    stop: asyncio.Event | None = None,
) -> None:
    """Put the catalogues together and the services onto a server.

    Args:
        server: What serves them.
        store: Where they keep what they know.
        artifacts: The artifacts.
        clock: Time.
        tls: Certificates of this process; None in plain text.
        desk: Where the leader's loop lays its work for the service; None where no loop runs.
        stop: Set when the process is told to stop, which ends streams; None where nobody sets it.
    """
    stamp, stop = stamper(clock), stop or asyncio.Event()
    deriver = Deriver(SchemaSource(store, tls), artifacts)
    _serve_documents(server, store, artifacts, deriver, stamp)
    _serve_chains(server, store, deriver, stamp, clock, stop)
    _serve_decisions(server, store, stamp)
    _serve_experiments(server, store, stamp, clock)
    forecasts = ForecastServicer(
        ForecastCatalog(store),
        ForecastJobCatalog(store, stamp, clock),
        desk=desk or Desk(),
        leader=Leader(store, tls=tls),
        stop=stop,
    )
    server.add(
        forecast_pb2_grpc.add_ForecastServiceServicer_to_server, forecasts, "enchain.v1.ForecastService"
    )


def _serve_documents(
    server: Server, store: Store, artifacts: ArtifactCatalog, deriver: Deriver, stamp: Stamper
) -> None:
    """Serve what people write: workloads, engines, artifacts, planned events."""
    server.add(
        workload_pb2_grpc.add_WorkloadServiceServicer_to_server,
        WorkloadServicer(WorkloadCatalog(store, stamp, deriver)),
        "enchain.v1.WorkloadService",
    )
    server.add(
        engine_pb2_grpc.add_EngineRegistryServicer_to_server,
        EngineServicer(EngineCatalog(store, stamp), ProfileCatalog(store)),
        "enchain.v1.EngineRegistry",
    )
    server.add(
        artifact_pb2_grpc.add_ArtifactServiceServicer_to_server,
        ArtifactServicer(artifacts),
        "enchain.v1.ArtifactService",
    )
    server.add(
        event_pb2_grpc.add_PlannedEventServiceServicer_to_server,
        PlannedEventServicer(EventCatalog(store, stamp)),
        "enchain.v1.PlannedEventService",
    )


def _serve_chains(
    server: Server, store: Store, deriver: Deriver, stamp: Stamper, clock: Clock, stop: asyncio.Event
) -> None:
    """Serve chains, routes and switches."""
    chains = ChainCatalog(store, stamp, deriver)
    routes, progress = RouteCatalog(store, stamp), SwitchProgress(store, stamp, clock)
    server.add(
        chain_pb2_grpc.add_ChainServiceServicer_to_server,
        ChainServicer(chains, routes, progress, store, stop=stop),
        "enchain.v1.ChainService",
    )


def _serve_decisions(server: Server, store: Store, stamp: Stamper) -> None:
    """Serve pools and recommendations."""
    server.add(
        pool_pb2_grpc.add_PoolServiceServicer_to_server,
        PoolServicer(PoolCatalog(store, stamp)),
        "enchain.v1.PoolService",
    )
    server.add(
        recommendation_pb2_grpc.add_RecommendationServiceServicer_to_server,
        RecommendationServicer(RecommendationCatalog(store, stamp)),
        "enchain.v1.RecommendationService",
    )


def _serve_experiments(server: Server, store: Store, stamp: Stamper, clock: Clock) -> None:
    """Serve experiments."""
    analyses = AnalysisCatalog(store, clock)
    servicer = ExperimentServicer(
        ExperimentCatalog(store, stamp),
        ExperimentLife(store, stamp, analyses),
        Promotions(store, stamp),
        analyses,
    )
    server.add(
        experiment_pb2_grpc.add_ExperimentServiceServicer_to_server, servicer, "enchain.v1.ExperimentService"
    )
