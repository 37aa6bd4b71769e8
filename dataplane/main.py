"""The router's process: `enchain-router`.

Settings, telemetry, store, then `router.serve` until a signal comes.
"""

import asyncio
import sys
from collections.abc import Sequence
from functools import partial

from dataplane.router import Ready, serve
from dataplane.settings import RouterSettings, parse
from enchain.process.lifecycle import run, write_ready_file
from enchain.process.logs import configure_logs, get_logger
from enchain.process.telemetry import configure_telemetry
from enchain.state.etcd import open_store

SERVICE = "enchain-router"

_log = get_logger(__name__)


async def _main(settings: RouterSettings, stop: asyncio.Event) -> None:
    server = settings.server
    telemetry = configure_telemetry(
        SERVICE,
        otlp_endpoint=server.otlp or None,
        otlp_tls=server.otlp_tls,
        otlp_metrics_endpoint=server.otlp_metrics or None,
        otlp_metrics_tls=server.otlp_metrics_tls,
        metrics_listen=server.metrics_listen or None,
        metrics_tls=server.tls,
        allow_insecure=server.allow_insecure,
        instance=server.name,
    )
    etcd = server.etcd
    store = await open_store(etcd.endpoints, tls=etcd.tls, user=etcd.user, password=etcd.password())

    def ready(known: Ready) -> None:
        write_ready_file(
            server.ready_file,
            address=known.address,
            identifier=known.router,
            metrics=telemetry.metrics_address,
        )

    try:
        await serve(settings, store, stop, on_ready=ready)
    finally:
        await store.close()
        telemetry.shutdown()


def main(argv: Sequence[str] | None = None) -> int:
    """Run a router; answer the exit code."""
    settings = parse(argv)
    configure_logs(SERVICE, level=settings.server.log_level, json=settings.server.log_json)
    return run(partial(_main, settings))


if __name__ == "__main__":
    sys.exit(main())
