"""One trace through client, server and the server behind it; metrics; nothing of what was sent in either.

A process of its own exports to a real collector inside the test.
"""

import asyncio
import itertools
import json
import sys
from pathlib import Path
from typing import Any

import pytest

from enchain.chains.errors import InvalidArgumentError
from enchain.process.telemetry import configure_telemetry, context_from, current_traceparent
from tests.harness.certificates import issue, make_authority
from tests.harness.echo import SERVICE
from tests.harness.otlp import OtlpReceiver
from tests.harness.traced_process import SECRET

SERVER, CLIENT = 2, 3


async def run_process(**asked: Any) -> tuple[dict[str, Any], str]:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-W", "error", "-m", "tests.harness.traced_process", json.dumps(asked)),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        cwd=Path(__file__).parents[3],
    )
    out, err = await process.communicate()
    assert process.returncode == 0, err.decode()
    return json.loads(out), err.decode()


async def test_one_trace_runs_through_every_process_and_carries_nothing_that_was_sent() -> None:
    async with OtlpReceiver() as receiver:
        answer, log = await run_process(otlp=receiver.address)

    traces = receiver.traces()
    trace_id = answer["traceparent"].split("-")[1]
    assert list(traces) == [trace_id]
    by_id = {span.span_id: span for span in traces[trace_id]}
    relayed = [span for span in by_id.values() if span.name == f"{SERVICE}/Unary"]
    chain = sorted(relayed, key=lambda span: depth(span.span_id, by_id))
    assert [span.kind for span in chain] == [CLIENT, SERVER, CLIENT, SERVER]
    assert all(inner.parent_id == outer.span_id for outer, inner in itertools.pairwise(chain))
    assert SECRET not in repr(receiver.spans)
    assert receiver.metrics["traced"] >= {"enchain.rpc.server.calls", "enchain.rpc.server.duration"}

    (line,) = [json.loads(line) for line in log.splitlines() if "relaying" in line]
    assert (line["trace_id"], by_id[line["span_id"]].kind) == (trace_id, SERVER)


async def test_streams_end_their_spans_with_their_status() -> None:
    async with OtlpReceiver() as receiver:
        answer, _ = await run_process(otlp=f"http://{receiver.address}")

    codes = {
        (span.name.rpartition("/")[2], span.kind): (span.attributes["rpc.grpc.status_code"], span.failed)
        for span in receiver.spans
        if "rpc.grpc.status_code" in span.attributes
    }
    not_found = 5
    # The caller's own fault is no error of the server.
    assert codes[("Stream", CLIENT)] == (not_found, True)
    assert codes[("Stream", SERVER)] == (not_found, False)
    assert codes[("Converse", CLIENT)] == codes[("Converse", SERVER)] == (0, False)
    assert codes[("Collect", CLIENT)] == codes[("Collect", SERVER)] == (0, False)
    assert {span.name for span in receiver.spans} >= {"provision", "adopted"}

    labels = f'code="NOT_FOUND",method="{SERVICE}/Stream"'
    assert f"enchain_rpc_server_calls_total{{{labels}" in answer["metrics"]
    assert f'enchain_rpc_server_in_flight{{method="{SERVICE}/Unary"' in answer["metrics"]


async def test_traces_go_to_a_collector_with_mutual_tls(tmp_path: Path) -> None:
    authority = make_authority(tmp_path)
    files = issue(authority, "router")
    async with OtlpReceiver(issue(authority, "collector")) as receiver:
        await run_process(
            otlp=f"https://{receiver.address}",
            tls=[str(files.certificate), str(files.key), str(authority.path)],
        )

    assert receiver.spans_of("traced")


def test_without_a_span_there_is_no_traceparent() -> None:
    assert current_traceparent() == ""
    assert context_from("") == context_from("nonsense")


@pytest.mark.parametrize(
    ("listen", "reason"),
    [
        ("0.0.0.0:0", "INSECURE_LISTENER"),
        ("nowhere", "INSECURE_LISTENER"),
        ("127.0.0.1:x", "ADDRESS_UNUSABLE"),
    ],
)
def test_a_metrics_page_that_cannot_be_served_is_refused_before_anything_is_set_up(
    listen: str, reason: str
) -> None:
    with pytest.raises(InvalidArgumentError) as caught:
        configure_telemetry("x", metrics_listen=listen)

    assert caught.value.reason == reason
    assert caught.value.violations[0].field == "metrics_listen"


def depth(span_id: str, by_id: dict[str, Any]) -> int:
    span = by_id.get(span_id)
    return 0 if span is None else 1 + depth(span.parent_id, by_id)
