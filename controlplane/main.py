"""The control plane's process: `enchain-controlplane`.

Started by people, `enchain dev` and containers. The order of its life: telemetry, then health
(NOT_SERVING), then the store, then serving, and only then the announcement. It keeps nothing but what is in
the store, in the artifact directory and in the history of demand, so it may be killed at any time and run in
several replicas. All of them serve; one of them, which they elect, runs the loops.
"""

import asyncio
import secrets
import sys
from collections.abc import Sequence
from random import Random

from controlplane.catalog.artifacts import ArtifactCatalog
from controlplane.demand.house import DemandHouse, furnished
from controlplane.demand.request_rate import RequestRateReader
from controlplane.experiments.outcomes import OutcomeReader
from controlplane.forecast.serving import Desk
from controlplane.loops.arm_pools import ArmPoolsLoop
from controlplane.loops.drafts import DraftsLoop
from controlplane.loops.election import Election, LeaderLoop
from controlplane.loops.experiments import ExperimentsLoop
from controlplane.loops.forecast_house import forecast_loops
from controlplane.loops.outbox import OutboxLoop
from controlplane.loops.planning import PlanningLoop
from controlplane.loops.pool_house import pool_loop
from controlplane.loops.switching import SwitchingLoop
from controlplane.profiles.reader import ProfileReader
from controlplane.rpc.leader import Leader
from controlplane.rpc.metrics import LeadersMetrics
from controlplane.services import assemble, receive_metrics
from controlplane.settings import ControlPlaneSettings, parse
from controlplane.switching.evidence import SwitchEvidenceReader
from controlplane.switching.health import Handshakes
from enchain.artifacts.store import DirectoryArtifacts
from enchain.chains.errors import UnavailableError
from enchain.process.clock import Clock, SystemClock
from enchain.process.lifecycle import Tasks, run, write_ready_file
from enchain.process.logs import configure_logs, get_logger
from enchain.process.servers import Server
from enchain.process.telemetry import configure_telemetry
from enchain.state.etcd import open_store
from enchain.state.store import Store

SERVICE = "enchain-controlplane"

DRAIN_SECONDS = 25.0
"""How long calls may go on after SIGTERM: a save that waits for an engine takes the longest."""

STORE_RETRY_SECONDS = 0.5
"""How often a store that does not answer is asked again at the start."""

_log = get_logger(__name__)


def main() -> None:
    """Run a control plane until a signal stops it."""
    settings = parse()
    configure_logs(SERVICE, level=settings.server.log_level, json=settings.server.log_json)

    async def body(stop: asyncio.Event) -> None:
        await serve(settings, stop)

    sys.exit(run(body))


async def serve(settings: ControlPlaneSettings, stop: asyncio.Event) -> None:
    """Serve until `stop` is set."""
    server_settings = settings.server
    identifier = server_settings.name or f"controlplane-{secrets.token_hex(4)}"
    telemetry = configure_telemetry(
        SERVICE,
        otlp_endpoint=server_settings.otlp or None,
        otlp_tls=server_settings.otlp_tls,
        otlp_metrics_endpoint=server_settings.otlp_metrics or None,
        otlp_metrics_tls=server_settings.otlp_metrics_tls,
        metrics_listen=server_settings.metrics_listen or None,
        metrics_tls=server_settings.tls,
        allow_insecure=server_settings.allow_insecure,
        instance=identifier,
    )
    server = Server(
        server_settings.listen, tls=server_settings.tls, allow_insecure=server_settings.allow_insecure
    )
    try:
        await _serve(settings, server, identifier, stop)
    finally:
        telemetry.shutdown()


async def _serve(
    settings: ControlPlaneSettings, server: Server, identifier: str, stop: asyncio.Event
) -> None:
    etcd = settings.server.etcd
    store = await open_store(etcd.endpoints, tls=etcd.tls, user=etcd.user, password=etcd.password())
    desk = Desk()
    demand = _demand(settings)
    try:
        assemble(
            server,
            store,
            ArtifactCatalog(DirectoryArtifacts(settings.artifacts)),
            clock=SystemClock(),
            tls=settings.server.tls,
            desk=desk,
            stop=stop,
        )
        receive_metrics(server, demand, LeadersMetrics(Leader(store, tls=settings.server.tls)))
        address = await server.start()
        try:
            # Nothing is kept in memory, so the store is in step once it answers.
            if await _store_answers(store, SystemClock(), stop):
                await server.serving(True)
                write_ready_file(settings.server.ready_file, address=address, identifier=identifier)
                _log.info("serving", address=address, id=identifier)
                loops = (
                    *leader_loops(settings),
                    demand.loop,
                    *_forecasting(settings, demand, desk),
                    pool_loop(settings, store),
                )
                await _take_part(settings, store, identifier, address, stop, loops)
        finally:
            await server.drain(DRAIN_SECONDS)
    finally:
        await store.close()


def _demand(settings: ControlPlaneSettings) -> DemandHouse:
    return furnished(
        settings.history,
        clock=SystemClock(),
        rng=Random(),  # noqa: S311 - jitter
        prometheus=settings.prometheus,
        token_file=settings.prometheus_token_file,
    )


def _forecasting(settings: ControlPlaneSettings, demand: DemandHouse, desk: Desk) -> tuple[LeaderLoop, ...]:
    if not settings.forecasting:
        return ()
    return forecast_loops(
        demand.demand,
        settings.learned,
        desk,
        clock=SystemClock(),
        rng=Random(),  # noqa: S311 - jitter
    )


async def _take_part(
    settings: ControlPlaneSettings,
    store: Store,
    identifier: str,
    address: str,
    stop: asyncio.Event,
    loops: Sequence[LeaderLoop],
) -> None:
    """Stand for election until `stop` is set; where this replica leads then, another one is elected."""
    ttl, clock, rng = settings.lease_seconds, SystemClock(), Random()  # noqa: S311 - jitter
    reached_at = settings.advertise or address
    election = Election(store, identifier, reached_at, ttl_seconds=ttl, clock=clock, rng=rng)
    async with Tasks() as tasks:
        tasks.start("take part in the election of a leader", election.run(loops))
        await stop.wait()


async def _store_answers(store: Store, clock: Clock, stop: asyncio.Event) -> bool:
    """Wait for the store, however long it takes; false where the process is told to stop meanwhile."""
    while not stop.is_set():
        try:
            status = await store.status()
        except UnavailableError as error:
            _log.warning("waiting for the store", fault=error.message)
            await clock.sleep(STORE_RETRY_SECONDS)
            continue
        for warning in status.warnings:
            _log.warning("unsafe store", warning=warning, version=status.version)
        return True
    return False


def leader_loops(settings: ControlPlaneSettings) -> Sequence[LeaderLoop]:
    """Put together what only the leader of all replicas does, and what needs nothing but the store."""
    clock, rng = SystemClock(), Random()  # noqa: S311 - jitter
    drafts = DraftsLoop(clock=clock, rng=rng)
    readers = (RequestRateReader(), ProfileReader(), SwitchEvidenceReader(), OutcomeReader(drafts.of))
    return (
        drafts,
        OutboxLoop(readers, clock=clock, rng=rng),
        SwitchingLoop(Handshakes(settings.server.tls), clock=clock, rng=rng),
        ArmPoolsLoop(clock=clock, rng=rng, pace_seconds=settings.experiments_seconds),
        PlanningLoop(clock=clock, rng=rng, pace_seconds=settings.planning_seconds),
        ExperimentsLoop(
            Handshakes(settings.server.tls), clock=clock, rng=rng, look_seconds=settings.experiments_seconds
        ),
    )


if __name__ == "__main__":
    main()
