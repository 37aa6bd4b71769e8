"""One trace a command, for those who collect traces: it begins here and goes on through router and engines.

`enchain.cli.running` calls it. Nothing is imported unless OTEL_EXPORTER_OTLP_ENDPOINT is set.
"""

import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager

import click

from enchain.chains.errors import EnchainError

ENDPOINT = "OTEL_EXPORTER_OTLP_ENDPOINT"


@contextmanager
def traced(command: str) -> Iterator[None]:
    """Put a span around a command. A command never fails because its trace cannot be sent."""
    endpoint = os.environ.get(ENDPOINT)
    if not endpoint:
        yield
        return
    from enchain.process.telemetry import configure_telemetry, tracer  # noqa: PLC0415 - only where wanted

    logging.getLogger("opentelemetry").setLevel(logging.CRITICAL)  # a collector that is away is no news
    try:
        telemetry = configure_telemetry("enchain-cli", otlp_endpoint=endpoint)
    except EnchainError as error:
        click.echo(f"not traced: {error.message}", err=True)
        yield
        return
    try:
        with tracer(__name__).start_as_current_span(f"enchain {command}"):
            yield
    finally:
        telemetry.shutdown()
