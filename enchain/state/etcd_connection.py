"""Connections to the members of an etcd cluster, tokens, and the one way in which calls are made.

`etcd.py` and `etcd_watch.py` call it. Several endpoints are tried in turn, beginning at a random one. A
call goes out on a connection that stands; gRPC's own retries are off; so where there was no connection it
is certain that nothing was sent, and another member may be tried. What was sent is never sent again here,
except reads, and calls that the member refused because of a stale token.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from random import Random
from typing import TypeVar
from weakref import WeakKeyDictionary

import grpc

from enchain.chains.errors import EnchainError, InvalidArgumentError, UnavailableError, Violation
from enchain.etcd import rpc_pb2, rpc_pb2_grpc
from enchain.process.channels import open_channel
from enchain.process.tls import TlsFiles
from enchain.state.etcd_errors import StaleTokenError, explain, explain_silence, unreachable

T = TypeVar("T")
Metadata = tuple[tuple[str, str], ...]

CALL_SECONDS = 5.0
"""How long a call may take, unless said otherwise: longer than an election, shorter than a lease."""

CONNECT_SECONDS = 2.0
"""How long making a connection may take before the next member is tried."""

MESSAGE_BYTES_MAX = 64 * 1024 * 1024
"""The largest answer that is taken. A page of a list is at most a quarter of it."""

OPTIONS: tuple[tuple[str, int], ...] = (
    ("grpc.max_receive_message_length", MESSAGE_BYTES_MAX),
    # gRPC must not send anything twice.
    ("grpc.enable_retries", 0),
    # Find half-open connections under calls. etcd takes one ping in 5 s, and only while a call is open.
    ("grpc.keepalive_time_ms", 6_000),
    ("grpc.keepalive_timeout_ms", 3_000),
    ("grpc.http2.ping_timeout_ms", 3_000),
)


DEAD = ("STORE_UNREACHABLE", "STORE_SILENT", "STORE_UNSETTLED", "STORE_NO_LEADER", "STORE_BEHIND")
"""Reasons after which another connection is taken: this one may never answer."""


def parse_endpoints(endpoints: Sequence[str]) -> list[str]:
    """Check endpoints; `host:port`, or the URL that etcd's own tools take.

    Raises:
        InvalidArgumentError: There is none, or one has no port.
    """
    found = [each.removeprefix("https://").removeprefix("http://").strip().rstrip("/") for each in endpoints]
    bad = [each for each in found if not each.rpartition(":")[0] or not each.rpartition(":")[2].isdecimal()]
    if bad or not found:
        described = f"{bad[0]!r} is no host:port" if bad else "there is no endpoint"
        raise InvalidArgumentError(
            f"etcd endpoints: {described}",
            reason="BAD_ENDPOINT",
            remedy="Name each etcd member as host:port, such as 127.0.0.1:2379.",
            violations=[Violation("etcd", described, "BAD_ENDPOINT")],
        )
    return found


@dataclass(frozen=True, slots=True)
class Login:
    """The etcd user to be; an empty name where etcd asks for none."""

    user: str = ""
    password: str = field(default="", repr=False)


class Connection:
    """Channels to one cluster, and the token that its calls carry.

    Args:
        endpoints: The members, as `host:port`.
        tls: Certificates; None connects in the clear.
        login: The etcd user.
        rng: Chooses the first member.
        call_seconds: How long a call may take.
    """

    def __init__(
        self,
        endpoints: Sequence[str],
        *,
        tls: TlsFiles | None,
        login: Login,
        rng: Random,
        call_seconds: float = CALL_SECONDS,
    ) -> None:
        self._endpoints = parse_endpoints(endpoints)
        self._tls = tls
        self._login = login
        self._next = rng.randrange(len(self._endpoints))
        self.call_seconds = call_seconds
        self._channel: grpc.aio.Channel | None = None
        self._lent: set[grpc.aio.Channel] = set()
        self._endpoint_of: WeakKeyDictionary[grpc.aio.Channel, str] = WeakKeyDictionary()
        self._retired: set[asyncio.Task[None]] = set()
        self._token = ""
        self._logging_in = asyncio.Lock()
        self.closed = False

    async def change(self, send: Callable[[grpc.aio.Channel, Metadata], Awaitable[T]]) -> T:
        """Make a call that changes something; it is sent at most once to a member that could have done it.

        Raises:
            UnavailableError: It certainly was not done.
            UnsettledError: It may or may not have been done.
        """
        return await self._over_members(send, mutation=True, again=("STORE_UNREACHABLE",))

    async def read(self, send: Callable[[grpc.aio.Channel, Metadata], Awaitable[T]]) -> T:
        """Make a call that changes nothing; where a member does not answer, the others are asked.

        Raises:
            UnavailableError: None answered.
        """
        return await self._over_members(send, mutation=False, again=DEAD)

    @asynccontextmanager
    async def channel_of_its_own(self) -> AsyncIterator[grpc.aio.Channel]:
        """Open a channel for a stream that stays open, to the next member in turn; `close` ends it too.

        Raises:
            UnavailableError: The store is closed.
        """
        channel = self._open_channel(traced=False)
        self._lent.add(channel)
        try:
            yield channel
        finally:
            self._lent.discard(channel)
            await channel.close(None)

    def _open_channel(self, *, traced: bool) -> grpc.aio.Channel:
        if self.closed:
            raise UnavailableError("the store is closed", reason="STORE_CLOSED")
        endpoint = self._endpoints[self._next % len(self._endpoints)]
        self._next += 1
        # A new channel must mean a new connection: the shared pool would hand out the one that just went
        # silent.
        channel = open_channel(endpoint, tls=self._tls, local_pool=True, options=OPTIONS, traced=traced)
        self._endpoint_of[channel] = endpoint
        return channel

    def doubt(self, channel: grpc.aio.Channel, error: EnchainError) -> None:
        """Take another connection for calls where a stream to the same member went silent.

        A half-open connection that is idle tells nothing, so the next call would wait for its answer in vain.
        """
        shared = self._channel
        if shared is not None and self._endpoint_of[shared] == self._endpoint_of[channel]:
            self._retire_if_dead(shared, error)

    async def metadata(self, channel: grpc.aio.Channel) -> Metadata:
        """Answer what a call carries: the token, got anew where there is none.

        Raises:
            UnauthenticatedError: etcd does not know the user or the password.
            UnavailableError: It does not answer.
        """
        if not self._login.user:
            return ()
        async with self._logging_in:
            if not self._token:
                self._token = await self._authenticate(channel)
            return (("token", self._token),)

    def forget_token(self, carried: Metadata) -> None:
        """Drop a token that a member did not take, unless there is a newer one."""
        if carried == (("token", self._token),):
            self._token = ""

    async def close(self) -> None:
        """Give up all connections; calls that are under way end unanswered."""
        self.closed = True
        channel, self._channel = self._channel, None
        for each in [*self._lent, *([channel] if channel is not None else [])]:
            await each.close(None)
        for task in list(self._retired):
            task.cancel()
        if self._retired:
            await asyncio.wait(list(self._retired))

    async def _over_members(
        self,
        send: Callable[[grpc.aio.Channel, Metadata], Awaitable[T]],
        *,
        mutation: bool,
        again: tuple[str, ...],
    ) -> T:
        # One more than there are members: the connection in hand may be one to a member that has gone.
        for attempt in range(len(self._endpoints) + 1):
            channel = self._channel = self._channel or self._open_channel(traced=True)
            try:
                return await self._with_token(send, channel, mutation=mutation)
            except EnchainError as error:
                if not isinstance(error, StaleTokenError):
                    self._retire_if_dead(channel, error)
                if error.reason not in again or attempt == len(self._endpoints) or self.closed:
                    raise
        raise AssertionError("the last attempt returns or raises")

    async def _with_token(
        self,
        send: Callable[[grpc.aio.Channel, Metadata], Awaitable[T]],
        channel: grpc.aio.Channel,
        *,
        mutation: bool,
    ) -> T:
        await ready(channel)
        carried = await self.metadata(channel)
        try:
            return await answered(send(channel, carried), mutation=mutation)
        except StaleTokenError:
            # The member refused before it did anything, so sending again is no blind retry.
            self.forget_token(carried)
            return await answered(send(channel, await self.metadata(channel)), mutation=mutation)

    async def _authenticate(self, channel: grpc.aio.Channel) -> str:
        request = rpc_pb2.AuthenticateRequest(name=self._login.user, password=self._login.password)
        call = rpc_pb2_grpc.AuthStub(channel).Authenticate(request, timeout=self.call_seconds)
        return (await answered(call, mutation=False)).token

    def _retire_if_dead(self, channel: grpc.aio.Channel, error: EnchainError) -> None:
        """Let the next call begin on a new connection where this one gave no answer."""
        if error.reason not in DEAD or self._channel is not channel:
            return
        self._channel = None
        # Other calls may still be under way on it; they end by themselves within their time.
        task = asyncio.create_task(channel.close(self.call_seconds), name="close an old etcd connection")
        self._retired.add(task)
        task.add_done_callback(self._retired.discard)


async def ready(channel: grpc.aio.Channel) -> None:
    """Wait until a channel has a connection.

    Raises:
        UnreachableError: It gets none.
    """
    try:
        async with asyncio.timeout(CONNECT_SECONDS):
            while (state := channel.get_state(try_to_connect=True)) is not grpc.ChannelConnectivity.READY:
                if state is grpc.ChannelConnectivity.TRANSIENT_FAILURE:
                    raise unreachable("no connection to etcd could be made")
                await channel.wait_for_state_change(state)
    except TimeoutError:
        raise unreachable(f"no connection to etcd within {CONNECT_SECONDS} s") from None
    except grpc.aio.UsageError:
        raise unreachable("the connection to etcd was closed") from None


async def answered(call: Awaitable[T], *, mutation: bool) -> T:
    """Wait for the answer of a call, and say in our words what went wrong.

    Raises:
        EnchainError: By what it means; `UnsettledError` where a mutation may have been done.
    """
    try:
        return await call
    except grpc.aio.AioRpcError as error:
        raise explain(error.code(), error.details() or "", mutation=mutation) from error
    except asyncio.CancelledError:
        task = asyncio.current_task()
        if task is not None and task.cancelling():
            raise
        # Nobody cancelled us: the channel was closed under the call.
        raise explain_silence("the connection was closed", mutation=mutation) from None
    except asyncio.InvalidStateError as error:
        # The stream has ended since it was looked at; what is written to it goes nowhere.
        raise explain_silence("the stream had ended", mutation=mutation) from error
    except grpc.aio.UsageError as error:
        # The channel was closed before the call began.
        raise unreachable("the connection to etcd was closed") from error
