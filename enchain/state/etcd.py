"""The Store port on etcd v3, over our own stubs.

Every process opens one with `open_store` and hands it around as a `Store`. It needs no etcd to be there
when it is opened: calls fail with `UnavailableError` until there is one. What it promises is in
`store.py`; how calls and connections are made in `etcd_connection.py`, the watch in `etcd_watch.py`, what
errors mean in `etcd_errors.py`.
"""

from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from random import Random

import grpc

from enchain.chains.errors import UnavailableError
from enchain.etcd import rpc_pb2, rpc_pb2_grpc
from enchain.process.tls import TlsFiles
from enchain.state import etcd_wire
from enchain.state.etcd_connection import CALL_SECONDS, Connection, Login, Metadata
from enchain.state.etcd_errors import is_compacted
from enchain.state.etcd_watch import LEADER_REQUIRED, WatchRequest, watch
from enchain.state.store import (
    Batch,
    CompactedError,
    KeyValue,
    Listing,
    StoreStatus,
    Txn,
    TxnResult,
)
from enchain.state.versions import warnings_for

PAGE = 250
"""Keys read at once. With values of at most 64 KiB a page stays well below the largest answer taken."""

RELISTS_MAX = 3
"""How often a list that was overtaken by a compaction is begun anew."""


async def open_store(
    endpoints: Sequence[str],
    *,
    tls: TlsFiles | None = None,
    user: str = "",
    password: str = "",
    rng: Random | None = None,
    call_seconds: float = CALL_SECONDS,
) -> "EtcdStore":
    """Open a store on an etcd cluster. It connects when it is first used.

    Args:
        endpoints: The members, as `host:port`; they are tried in turn.
        tls: Certificates; None connects in the clear.
        user: The etcd user, where etcd asks for one and no certificate names it.
        password: Its password.
        rng: Chooses the first member; None takes any.
        call_seconds: How long a call may take.

    Raises:
        InvalidArgumentError: An endpoint or a certificate file cannot be used.
    """
    connection = Connection(
        endpoints,
        tls=tls,
        login=Login(user, password),
        rng=rng or Random(),  # noqa: S311 - spreads load, guards nothing
        call_seconds=call_seconds,
    )
    # Bad files are told at once and not at the first call.
    async with connection.channel_of_its_own():
        pass
    return EtcdStore(connection)


class EtcdStore:
    """A `Store` on etcd.

    Args:
        connection: The cluster; closed with the store.
    """

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    async def get(self, key: str) -> KeyValue | None:
        """Read one key; None where it does not exist."""
        response = await self._range(rpc_pb2.RangeRequest(key=key.encode()))
        return etcd_wire.key_value(response.kvs[0]) if response.kvs else None

    async def list(
        self,
        prefix: str,
        *,
        limit: int = 0,
        start_after: str = "",
        revision: int = 0,
        keys_only: bool = False,
    ) -> Listing:
        """Read the keys under a prefix in pages, all as they were at one revision."""
        key, range_end = etcd_wire.span(prefix)
        if start_after:
            key = max(key, start_after.encode() + b"\0")
        request = rpc_pb2.RangeRequest(
            key=key, range_end=range_end, revision=revision, keys_only=keys_only, limit=limit
        )
        for _ in range(RELISTS_MAX):
            try:
                return await self._pages(request)
            except CompactedError:
                if revision:
                    raise
        raise UnavailableError("compactions overtook a list", reason="STORE_BUSY", retry_after=1.0)

    async def commit(self, txn: Txn) -> TxnResult:
        """Run a transaction once; where its answer is missing, say so."""
        request = etcd_wire.txn_request(txn)

        def send(channel: grpc.aio.Channel, carried: Metadata) -> Awaitable[rpc_pb2.TxnResponse]:
            return rpc_pb2_grpc.KVStub(channel).Txn(request, metadata=carried, timeout=self._seconds)

        return etcd_wire.txn_result(txn, await self._connection.change(send))

    async def grant(self, ttl_seconds: int) -> int:
        """Grant a lease and answer its id."""
        request = rpc_pb2.LeaseGrantRequest(TTL=ttl_seconds)

        def send(channel: grpc.aio.Channel, carried: Metadata) -> Awaitable[rpc_pb2.LeaseGrantResponse]:
            return rpc_pb2_grpc.LeaseStub(channel).LeaseGrant(
                request, metadata=carried, timeout=self._seconds
            )

        return (await self._connection.change(send)).ID

    async def keep_alive(self, lease: int) -> int:
        """Renew a lease; answer the seconds it has now, or 0 where it is gone."""

        async def send(channel: grpc.aio.Channel, carried: Metadata) -> int:
            call = rpc_pb2_grpc.LeaseStub(channel).LeaseKeepAlive(
                iter([rpc_pb2.LeaseKeepAliveRequest(ID=lease)]),
                metadata=(*carried, *LEADER_REQUIRED),
                timeout=self._seconds,
            )
            async for response in call:
                return max(response.TTL, 0)
            raise UnavailableError("etcd ended a keepalive without an answer", reason="STORE_SILENT")

        return await self._connection.read(send)

    async def revoke(self, lease: int) -> None:
        """End a lease and delete its keys. A lease that is gone already is no fault."""

        async def send(channel: grpc.aio.Channel, carried: Metadata) -> None:
            try:
                await rpc_pb2_grpc.LeaseStub(channel).LeaseRevoke(
                    rpc_pb2.LeaseRevokeRequest(ID=lease), metadata=carried, timeout=self._seconds
                )
            except grpc.aio.AioRpcError as error:
                if error.code() is not grpc.StatusCode.NOT_FOUND:
                    raise

        await self._connection.change(send)

    def watch(
        self,
        prefix: str,
        start_revision: int,
        *,
        cluster_id: int = 0,
        heard: Callable[[], None] = lambda: None,
    ) -> AsyncGenerator[Batch, None]:
        """Deliver all revisions from `start_revision` that change keys under a prefix (or one key)."""
        return watch(self._connection, WatchRequest(prefix, start_revision, cluster_id, heard))

    async def status(self) -> StoreStatus:
        """Ask a member for its version, cluster and revision."""

        def send(channel: grpc.aio.Channel, carried: Metadata) -> Awaitable[rpc_pb2.StatusResponse]:
            return rpc_pb2_grpc.MaintenanceStub(channel).Status(
                rpc_pb2.StatusRequest(), metadata=carried, timeout=self._seconds
            )

        response = await self._connection.read(send)
        return StoreStatus(
            version=response.version,
            cluster_id=response.header.cluster_id,
            member_id=response.header.member_id,
            revision=response.header.revision,
            warnings=(*warnings_for(response.version), *response.errors),
        )

    async def compact(self, revision: int) -> None:
        """Forget what keys were before a revision; not part of the port, as etcd does it by itself."""
        request = rpc_pb2.CompactionRequest(revision=revision, physical=True)

        def send(channel: grpc.aio.Channel, carried: Metadata) -> Awaitable[rpc_pb2.CompactionResponse]:
            return rpc_pb2_grpc.KVStub(channel).Compact(request, metadata=carried, timeout=self._seconds)

        await self._connection.change(send)

    async def close(self) -> None:
        """Give up connections. Leases are left to expire."""
        await self._connection.close()

    @property
    def _seconds(self) -> float:
        return self._connection.call_seconds

    async def _pages(self, request: rpc_pb2.RangeRequest) -> Listing:
        """Read page after page, all at the revision of the first."""
        items: list[KeyValue] = []
        page = rpc_pb2.RangeRequest()
        page.CopyFrom(request)
        cluster_id = 0
        while True:
            page.limit = min(PAGE, request.limit - len(items)) if request.limit else PAGE
            response = await self._range(page)
            items.extend(etcd_wire.key_value(item) for item in response.kvs)
            # Every page must be of the first one's revision, whatever was asked for.
            page.revision = page.revision or response.header.revision
            cluster_id = cluster_id or response.header.cluster_id
            full = bool(request.limit) and len(items) >= request.limit
            if full or not response.more:
                return Listing(tuple(items), page.revision, more=response.more, cluster_id=cluster_id)
            page.key = response.kvs[-1].key + b"\0"

    async def _range(self, request: rpc_pb2.RangeRequest) -> rpc_pb2.RangeResponse:
        async def send(channel: grpc.aio.Channel, carried: Metadata) -> rpc_pb2.RangeResponse:
            try:
                return await rpc_pb2_grpc.KVStub(channel).Range(
                    request, metadata=carried, timeout=self._seconds
                )
            except grpc.aio.AioRpcError as error:
                if is_compacted(error.details() or ""):
                    raise CompactedError(0) from error
                raise

        return await self._connection.read(send)
