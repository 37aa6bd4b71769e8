"""Users, roles, tokens and certificates on a real etcd."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing
from pathlib import Path
from random import Random

import grpc
import pytest

from enchain.chains.errors import EnchainError, ForbiddenError, UnauthenticatedError, UnavailableError
from enchain.etcd import auth_pb2, rpc_pb2, rpc_pb2_grpc
from enchain.process.clock import SystemClock
from enchain.process.tls import TlsFiles
from enchain.state.etcd import EtcdStore, open_store
from enchain.state.etcd_wire import range_end
from enchain.state.follow import Health, follow
from enchain.state.server import LocalEtcd
from enchain.state.store import Batch, Put, put
from tests.harness.certificates import issue, make_authority
from tests.harness.proxy import Proxy
from tests.harness.waiting import eventually

MAY = "/may/"
MAY_NOT = "/may-not/"


class Administrator:
    """What whoever runs etcd does to its users."""

    def __init__(self, channel: grpc.aio.Channel) -> None:
        self._auth = rpc_pb2_grpc.AuthStub(channel)
        self._token: tuple[tuple[str, str], ...] = ()

    async def enable(self) -> None:
        """Make root, and let no call go without a user from now on."""
        await self._auth.UserAdd(rpc_pb2.AuthUserAddRequest(name="root", password="root"))
        await self._auth.RoleAdd(rpc_pb2.AuthRoleAddRequest(name="root"))
        await self._auth.UserGrantRole(rpc_pb2.AuthUserGrantRoleRequest(user="root", role="root"))
        await self._auth.AuthEnable(rpc_pb2.AuthEnableRequest())
        login = rpc_pb2.AuthenticateRequest(name="root", password="root")
        self._token = (("token", (await self._auth.Authenticate(login)).token),)

    async def add_user(self, name: str, password: str = "") -> None:
        """Make a user; without a password it can only be the name in a certificate."""
        options = auth_pb2.UserAddOptions(no_password=not password)
        request = rpc_pb2.AuthUserAddRequest(name=name, password=password, options=options)
        await self._auth.UserAdd(request, metadata=self._token)

    async def end_tokens(self, name: str, password: str) -> None:
        """Set a user's password again, which makes its tokens invalid."""
        request = rpc_pb2.AuthUserChangePasswordRequest(name=name, password=password)
        await self._auth.UserChangePassword(request, metadata=self._token)

    async def allow(self, user: str, prefix: str) -> None:
        """Let a user read and write under a prefix."""
        role = f"{user}-{prefix}"
        permission = auth_pb2.Permission(
            permType=auth_pb2.Permission.READWRITE, key=prefix.encode(), range_end=range_end(prefix)
        )
        grant = rpc_pb2.AuthRoleGrantPermissionRequest(name=role, perm=permission)
        give = rpc_pb2.AuthUserGrantRoleRequest(user=user, role=role)
        await self._auth.RoleAdd(rpc_pb2.AuthRoleAddRequest(name=role), metadata=self._token)
        await self._auth.RoleGrantPermission(grant, metadata=self._token)
        await self._auth.UserGrantRole(give, metadata=self._token)


@pytest.fixture
async def guarded(tmp_path: Path) -> AsyncIterator[LocalEtcd]:
    """An etcd in the clear."""
    async with LocalEtcd(tmp_path / "data") as server:
        yield server


@pytest.fixture
async def administrator(guarded: LocalEtcd) -> AsyncIterator[Administrator]:
    async with grpc.aio.insecure_channel(guarded.address) as channel:
        administrator = Administrator(channel)
        await administrator.enable()
        yield administrator


@pytest.fixture
async def proxy(guarded: LocalEtcd) -> AsyncIterator[Proxy]:
    async with Proxy(guarded.address) as proxy:
        yield proxy


@pytest.fixture
async def store(proxy: Proxy, administrator: Administrator) -> AsyncIterator[EtcdStore]:
    """A store as the user `router`, who may use one prefix."""
    await administrator.add_user("router", "secret")
    await administrator.allow("router", MAY)
    store = await open_store([proxy.address], user="router", password="secret")
    yield store
    await store.close()


async def test_a_user_may_do_what_its_roles_say_and_nothing_else(store: EtcdStore) -> None:
    await put(store, [Put(f"{MAY}a", b"1")])
    assert len((await store.list(MAY)).items) == 1

    with pytest.raises(ForbiddenError) as caught:
        await put(store, [Put(f"{MAY}a", b"2"), Put(f"{MAY_NOT}a", b"1")])

    assert caught.value.reason == "STORE_PERMISSION"
    assert caught.value.remedy
    with pytest.raises(ForbiddenError):
        await store.list(MAY_NOT)
    with pytest.raises(ForbiddenError):
        await anext(store.watch(MAY_NOT, 1))
    found = await store.get(f"{MAY}a")
    assert found is not None
    assert found.value == b"1"


async def test_a_change_with_a_token_that_has_ended_is_done_once_with_a_new_one(
    store: EtcdStore, administrator: Administrator
) -> None:
    await put(store, [Put(f"{MAY}a", b"1")])
    await administrator.end_tokens("router", "secret")

    await put(store, [Put(f"{MAY}a", b"2")])

    found = await store.get(f"{MAY}a")
    assert found is not None
    assert (found.value, found.version) == (b"2", 2)


async def test_many_calls_that_meet_an_ended_token_all_succeed(
    store: EtcdStore, administrator: Administrator
) -> None:
    await put(store, [Put(f"{MAY}a", b"1")])
    await administrator.end_tokens("router", "secret")

    await asyncio.gather(*(put(store, [Put(f"{MAY}{n}", b"1")]) for n in range(20)))

    assert len((await store.list(MAY)).items) == 21


async def test_following_goes_on_with_a_new_token_after_its_connection_broke(
    guarded: LocalEtcd, store: EtcdStore, administrator: Administrator, proxy: Proxy
) -> None:
    straight = await open_store([guarded.address], user="router", password="secret")
    async with aclosing(follow(store, MAY, clock=SystemClock(), rng=Random(1))) as batches:
        assert (await anext(batches)).resync
        first = await put(straight, [Put(f"{MAY}a", b"1")])
        assert (await anext(batches)).revision == first
        await administrator.end_tokens("router", "secret")
        proxy.cut()

        second = await put(straight, [Put(f"{MAY}a", b"2")])

        batch = await asyncio.wait_for(anext(batches), 60)
        assert (batch.revision, batch.resync) == (second, False)
    await straight.close()


async def test_following_without_the_right_waits_and_begins_once_it_is_given(
    store: EtcdStore, administrator: Administrator
) -> None:
    health = Health()
    loop = follow(store, MAY_NOT, clock=SystemClock(), rng=Random(1), health=health)
    beginning: asyncio.Future[Batch] = asyncio.ensure_future(anext(loop))
    await eventually(lambda: "permission denied" in health.last_error)

    await administrator.allow("router", MAY_NOT)

    assert (await asyncio.wait_for(beginning, 60)).resync
    await loop.aclose()


@pytest.mark.parametrize(("user", "password"), [("router", "wrong"), ("nobody", "secret"), ("", "")])
async def test_whoever_is_not_known_is_told_so(
    guarded: LocalEtcd, store: EtcdStore, user: str, password: str
) -> None:
    stranger = await open_store([guarded.address], user=user, password=password)

    with pytest.raises(UnauthenticatedError) as caught:
        await put(stranger, [Put(f"{MAY}a", b"1")])

    assert caught.value.remedy
    assert not password or password not in str(caught.value)
    await stranger.close()


async def test_a_user_where_etcd_knows_none_is_told_so(etcd: str) -> None:
    store = await open_store([etcd], user="router", password="secret")

    with pytest.raises(EnchainError) as caught:
        await store.get(f"{MAY}a")

    assert caught.value.reason == "STORE_LOGIN"
    await store.close()


# Certificates.


@pytest.fixture
async def tls_server(tmp_path: Path) -> AsyncIterator[tuple[LocalEtcd, TlsFiles]]:
    """An etcd that asks for certificates, and one that it takes, in the name of `router`."""
    authority = make_authority(tmp_path / "ca")
    router = issue(authority, "router")
    async with LocalEtcd(tmp_path / "data", tls=issue(authority, "etcd"), client_tls=router) as server:
        yield server, router


async def test_with_certificates_of_one_authority_store_and_follow_work(
    tls_server: tuple[LocalEtcd, TlsFiles],
) -> None:
    server, router = tls_server
    store = await open_store([server.address], tls=router)

    async with aclosing(follow(store, MAY, clock=SystemClock(), rng=Random(1))) as batches:
        assert (await anext(batches)).resync
        revision = await put(store, [Put(f"{MAY}a", b"1")])
        assert (await asyncio.wait_for(anext(batches), 60)).revision == revision

    lease = await store.grant(10)
    assert await store.keep_alive(lease) == 10
    await store.close()


async def test_no_certificate_or_one_of_another_authority_is_refused(
    tls_server: tuple[LocalEtcd, TlsFiles], tmp_path: Path
) -> None:
    server, router = tls_server
    stranger = issue(make_authority(tmp_path / "other"), "router")
    believing = TlsFiles(stranger.certificate, stranger.key, router.authority)
    expired = issue(make_authority(tmp_path / "expired"), "router", valid_days=-1)
    for tls in (None, stranger, believing, expired):
        store = await open_store([server.address], tls=tls)
        with pytest.raises(UnavailableError):
            await store.get(f"{MAY}a")
        await store.close()


async def test_the_name_in_the_certificate_is_the_user(tls_server: tuple[LocalEtcd, TlsFiles]) -> None:
    server, router = tls_server
    assert router.authority is not None
    credentials = grpc.ssl_channel_credentials(
        router.authority.read_bytes(), router.key.read_bytes(), router.certificate.read_bytes()
    )
    async with grpc.aio.secure_channel(server.address, credentials) as channel:
        administrator = Administrator(channel)
        await administrator.enable()
        await administrator.add_user("router")
        await administrator.allow("router", MAY)
    store = await open_store([server.address], tls=router)

    await put(store, [Put(f"{MAY}a", b"1")])

    with pytest.raises(ForbiddenError):
        await put(store, [Put(f"{MAY_NOT}a", b"1")])
    await store.close()
