"""The command begins one trace, where traces are collected; without a collector it works all the same."""

import asyncio
import os
import sys
from collections.abc import Mapping

from enchain.cli import exits
from tests.harness.otlp import OtlpReceiver
from tests.harness.scripted_routers import OPERATION, Script, admitted, ended, routers
from tests.harness.waiting import eventually


async def watch(**environment: str) -> tuple[int, str]:
    """Run the real command, against routers of the test's own process."""
    script = Script()
    await script.tell(admitted(), ended())
    async with routers(script, 1) as (router,):
        given: Mapping[str, str] = {**os.environ, "ENCHAIN_ROUTERS": router.address, **environment}
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "enchain.cli.main", "watch", OPERATION,
            env=given, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
        )  # fmt: skip
        told, _ = await process.communicate()
    assert process.returncode is not None
    return process.returncode, told.decode()


async def test_a_command_and_its_calls_are_one_trace() -> None:
    async with OtlpReceiver() as receiver:
        code, _ = await watch(OTEL_EXPORTER_OTLP_ENDPOINT=f"http://{receiver.address}")
        spans = await eventually(lambda: {span.name: span for span in receiver.spans_of("enchain-cli")})

    root, call = spans["enchain watch"], spans["enchain.v1.ProvisioningService/WatchOperation"]
    assert code == exits.OK
    assert not root.parent_id
    assert (call.trace_id, call.parent_id) == (root.trace_id, root.span_id)


async def test_an_endpoint_that_cannot_be_used_is_said_and_does_not_stop_the_command() -> None:
    code, told = await watch(OTEL_EXPORTER_OTLP_ENDPOINT="nowhere")

    assert code == exits.OK
    assert "succeeded" in told
