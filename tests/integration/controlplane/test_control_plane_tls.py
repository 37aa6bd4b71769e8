"""Mutual TLS on both legs of the control plane: from its clients, and to the engines that it asks."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from controlplane.catalog.artifacts import ArtifactCatalog
from controlplane.services import assemble
from enchain.artifacts.store import DirectoryArtifacts
from enchain.chains.errors import UnavailableError
from enchain.process.channels import open_channel
from enchain.process.clock import SystemClock
from enchain.process.servers import Server
from enchain.state import keys
from enchain.state.codec import decode
from enchain.state.store import Store
from enchain.v1 import presence_pb2, workload_pb2, workload_pb2_grpc
from tests.harness.certificates import Authority, issue, make_authority
from tests.harness.controlplane import FILES, SERVING, Plane, refusal
from tests.harness.site import save_site


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return make_authority(tmp_path / "authority")


@pytest.fixture
async def plane(store: Store, tmp_path: Path, authority: Authority) -> AsyncIterator[Plane]:
    """A control plane that shows, and asks for, certificates of one authority."""
    async with AsyncExitStack() as stack:
        own = issue(authority, "controlplane")
        server = Server("127.0.0.1:0", tls=own)
        artifacts = ArtifactCatalog(DirectoryArtifacts(tmp_path / "artifacts"))
        assemble(server, store, artifacts, clock=SystemClock(), tls=own)
        address = await server.start()
        stack.push_async_callback(server.stop, 0)
        channel = open_channel(address, tls=issue(authority, "ada"))
        stack.push_async_callback(channel.close, None)
        yield Plane(store, channel, address, tmp_path, stack, engine_tls=issue(authority, "engine"))


async def test_engines_are_asked_over_tls_and_the_audit_names_the_certificate(site: Plane) -> None:
    await save_site(site)

    [item] = (await site.store.list(keys.AUDIT)).items
    actor = decode(presence_pb2.AuditRecord, item.value).actor
    assert actor.subject == "ada"


async def test_an_engine_of_another_authority_is_not_believed(plane: Plane, tmp_path: Path) -> None:
    plane.engine_tls = issue(make_authority(tmp_path / "other", name="another"), "engine")
    await plane.start_engine("files", FILES)
    await plane.start_engine("serving", SERVING)

    error = await refusal(save_site(plane))

    assert isinstance(error, UnavailableError)
    assert error.reason == "ENGINE_UNAVAILABLE"


@pytest.mark.parametrize("certificate", ["none", "another authority"])
async def test_a_caller_without_a_certificate_of_the_authority_is_not_served(
    plane: Plane, tmp_path: Path, certificate: str
) -> None:
    tls = None
    if certificate != "none":
        tls = issue(make_authority(tmp_path / "other", name="another"), "mallory")
    async with open_channel(plane.address, tls=tls) as channel:
        stub = workload_pb2_grpc.WorkloadServiceStub(channel)

        error = await refusal(stub.ListWorkloads(workload_pb2.ListWorkloadsRequest(), timeout=10))

    assert isinstance(error, UnavailableError)
