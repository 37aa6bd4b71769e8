"""Mutual TLS on real connections: who gets in, who does not, and who they are."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import grpc

from enchain.chains.errors import UnavailableError
from enchain.process.channels import open_channel
from enchain.process.servers import Server
from enchain.process.statuses import from_rpc_error
from enchain.process.tls import TlsFiles
from tests.harness.certificates import issue, make_authority
from tests.harness.echo import SERVICE, Echo, EchoStub, Identity, add_echo

HELLO = Identity(subject="hello")


@asynccontextmanager
async def serving(echo: Echo, tls: TlsFiles) -> AsyncIterator[str]:
    server = Server("127.0.0.1:0", tls=tls)
    server.add(add_echo, echo, SERVICE)
    yield await server.start()
    await server.stop(0)


async def refused(address: str, tls: TlsFiles | None) -> bool:
    async with open_channel(address, tls=tls) as channel:
        try:
            await EchoStub(channel).unary(HELLO)
        except grpc.aio.AioRpcError as error:
            return isinstance(from_rpc_error(error), UnavailableError)
    return False


async def test_a_caller_is_known_by_its_certificate(tmp_path: Path) -> None:
    authority = make_authority(tmp_path)
    echo = Echo()
    async with serving(echo, issue(authority, "server")) as address:
        for tls in (issue(authority, "router-1"), issue(authority, "r2", uris=["spiffe://enchain/router/2"])):
            async with open_channel(address, tls=tls) as channel:
                assert await EchoStub(channel).unary(HELLO) == HELLO

    assert [seen.subject for seen in echo.seen] == ["router-1", "spiffe://enchain/router/2"]


async def test_a_caller_with_a_foreign_old_or_missing_certificate_is_refused(tmp_path: Path) -> None:
    ours, theirs = make_authority(tmp_path / "ours"), make_authority(tmp_path / "theirs")
    foreign = issue(theirs, "router-1")
    echo = Echo()
    async with serving(echo, issue(ours, "server")) as address:
        assert await refused(address, TlsFiles(foreign.certificate, foreign.key, ours.path))
        assert await refused(address, issue(ours, "expired", valid_days=-1))
        assert await refused(address, None)

    assert echo.seen == []


async def test_a_server_with_a_foreign_or_misnamed_certificate_is_refused(tmp_path: Path) -> None:
    ours, theirs = make_authority(tmp_path / "ours"), make_authority(tmp_path / "theirs")
    client = issue(ours, "client")
    echo = Echo()
    async with serving(echo, issue(theirs, "server")) as address:
        assert await refused(address, client)
    async with serving(echo, issue(ours, "elsewhere", hosts=["elsewhere.example"])) as address:
        assert await refused(address, client)

    assert echo.seen == []


async def test_renewed_certificates_are_used_without_a_restart(tmp_path: Path) -> None:
    old, new = make_authority(tmp_path / "old"), make_authority(tmp_path / "new")
    served = issue(old, "server")
    echo = Echo()
    async with serving(echo, served) as address:
        assert not await refused(address, issue(old, "client"))

        renewed = issue(new, "server")
        for before, after in zip(
            (served.key, served.certificate, old.path),
            (renewed.key, renewed.certificate, new.path),
            strict=True,
        ):
            after.replace(before)
        new_client = issue(new, "client")

        assert not await refused(address, TlsFiles(new_client.certificate, new_client.key, old.path))

        served.certificate.unlink()
        assert not await refused(address, TlsFiles(new_client.certificate, new_client.key, old.path))


async def test_without_an_authority_a_server_asks_nobody_for_a_certificate(tmp_path: Path) -> None:
    authority = make_authority(tmp_path)
    server = issue(authority, "server")
    echo = Echo()
    async with (
        serving(echo, TlsFiles(server.certificate, server.key)) as address,
        open_channel(address, tls=issue(authority, "client")) as channel,
    ):
        assert await EchoStub(channel).unary(HELLO) == HELLO

    assert echo.seen[0].subject == "anonymous"
