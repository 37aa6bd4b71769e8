"""The main path with mutual TLS on every leg, etcd's included, and one trace through all processes.

A second, small enchain of its own, since every process of it needs certificates. The collector of spans
runs in the test; the client exports to it like everybody else.
"""

import asyncio
import subprocess
import sys
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import grpc
import pytest

from enchain.cli.documents import load, save
from enchain.client import Client
from enchain.dev.cluster import Cluster
from enchain.dev.plan import Layout
from enchain.process.tls import TlsFiles
from enchain.state.server import LocalEtcd
from tests.e2e.conftest import SITE
from tests.harness.certificates import issue, make_authority
from tests.harness.otlp import OtlpReceiver, SeenSpan
from tests.harness.waiting import eventually

ROLES = ("controlplane", "router", "terraform", "process")
SERVICES = {"enchain-client", "enchain-router", "enchain-engine-terraform", "enchain-engine-process"}

CLIENT = """
import asyncio, sys
from pathlib import Path
from enchain.client import Client
from enchain.process.telemetry import configure_telemetry, tracer
from enchain.process.tls import TlsFiles

async def main(routers, otlp, *files):
    tls = TlsFiles(*(Path(file) for file in files))
    telemetry = configure_telemetry("enchain-client", otlp_endpoint=otlp)
    async with Client(routers=[routers], tls=tls) as client:
        with tracer("client").start_as_current_span("ask for a site"):
            async for event in client.provision("site", {"name": "traced"}, resource_id="traced"):
                print(event.WhichOneof("kind"), flush=True)
    telemetry.shutdown()

asyncio.run(main(*sys.argv[1:]))
"""


@dataclass(frozen=True, slots=True)
class Secured:
    """An enchain with mutual TLS on every leg, a client's certificate, and the collector of spans."""

    cluster: Cluster
    tls: TlsFiles
    spans: OtlpReceiver
    folder: Path


@pytest.fixture
async def secured(tmp_path: Path) -> AsyncIterator[Secured]:
    """Start it, and save the workload with the client's certificate."""
    authority = make_authority(tmp_path / "tls")
    files = {name: issue(authority, name) for name in (*ROLES, "etcd", "client")}
    async with OtlpReceiver() as spans:
        layout = Layout(
            data=tmp_path / "house",
            control="127.0.0.1:0",
            routers=("127.0.0.1:0",),
            tls={role: files[role] for role in ROLES},
            otlp=spans.address,
        )
        etcd = LocalEtcd(tmp_path / "etcd", tls=files["etcd"])
        async with Cluster(layout, etcd=etcd) as cluster:
            house = Secured(cluster, files["client"], spans, tmp_path)
            async with client_of(house, house.tls) as client:
                for item in load([SITE]):
                    await save(client, item, dry_run=False)
            yield house
            async with client_of(house, house.tls) as client:
                for name in [resource.name async for resource in client.list_resources()]:
                    async for _ in client.deprovision(name):
                        pass


def client_of(house: Secured, tls: TlsFiles | None) -> Client:
    """Open a client that shows some certificate, or none."""
    return Client(control=house.cluster.control, routers=house.cluster.routers, tls=tls, patience_seconds=0.2)


async def test_one_trace_goes_through_client_router_and_both_engines(secured: Secured) -> None:
    done = await asyncio.to_thread(
        subprocess.run,
        [sys.executable, "-c", CLIENT, secured.cluster.routers[0], secured.spans.address,
         *(str(file) for file in (secured.tls.certificate, secured.tls.key, secured.tls.authority))],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert done.stdout.split()[-1] == "ended"

    trace = await eventually(lambda: whole_trace(secured.spans), within=20)

    roots = [span for span in trace if not span.parent_id]
    assert [span.name for span in roots] == ["ask for a site"]


def whole_trace(spans: OtlpReceiver) -> list[SeenSpan]:
    """Answer the trace that all services take part in, once each span's parent has arrived too."""
    for trace in spans.traces().values():
        known = {span.span_id for span in trace} | {""}
        if {span.service for span in trace} >= SERVICES and {span.parent_id for span in trace} <= known:
            return trace
    return []


@pytest.mark.parametrize("who", ["a stranger", "nobody"])
async def test_a_wrong_certificate_is_refused_on_every_leg(secured: Secured, who: str) -> None:
    stranger = issue(make_authority(secured.folder / "other"), "client")
    tls = stranger if who == "a stranger" else None
    children = secured.cluster.children
    legs = [child.address for child in children.values()] + [secured.cluster.etcd.address]
    assert len(legs) == 5

    for address in legs:
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await _ask(address, tls)
        assert caught.value.code() == grpc.StatusCode.UNAVAILABLE, address


SERVING = b"\x08\x01"
"""`grpc.health.v1.HealthCheckResponse` with the status SERVING, as it is on the wire."""


async def _ask(address: str, tls: TlsFiles | None) -> bytes:
    """Ask for the health of a server, with some certificate or none; etcd has the service too."""
    from enchain.process.channels import open_channel

    async with open_channel(address, tls=tls, local_pool=True) as channel:
        check = channel.unary_unary("/grpc.health.v1.Health/Check", bytes, bytes)
        return bytes(await check(b"", timeout=5.0))


async def test_the_right_certificate_is_let_in_on_every_leg(secured: Secured) -> None:
    for child in secured.cluster.children.values():
        assert await _ask(child.address, secured.tls) == SERVING
