"""Runs the suite in this process against a server, as its console script does."""

from collections.abc import Sequence
from pathlib import Path

from ulid import ULID

from enchain.process.channels import open_channel
from enchain.process.clock import SystemClock
from enchain.sdk.conformance import suite
from enchain.sdk.conformance.calling import Caller
from enchain.sdk.conformance.probe import Options, Restart
from enchain.sdk.conformance.report import Report
from enchain.sdk.conformance.samples import SuiteInputs

SAMPLES = Path(__file__).parent / "samples"
TIMEOUT_SECONDS = 60.0


async def run_suite(
    address: str, inputs: SuiteInputs, *, restart: Restart | None = None, only: Sequence[str] = ()
) -> Report:
    """Run the checks, or only those named, and answer the report."""
    clock = SystemClock()
    channel = open_channel(address, local_pool=True, traced=False)
    try:
        return await suite.run(
            Caller(channel, timeout_seconds=TIMEOUT_SECONDS, clock=clock),
            inputs,
            Options(restart=restart, timeout_seconds=TIMEOUT_SECONDS),
            clock=clock,
            new_id=lambda: str(ULID()).lower(),
            only=only,
        )
    finally:
        await channel.close(None)


def broken(report: Report) -> list[str]:
    """List the checks that failed, with their reasons."""
    return [f"{verdict.name}: {verdict.why}" for verdict in report.checks if verdict.status == "failed"]
