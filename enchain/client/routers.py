"""The routers that a client may talk to: one channel each, tried in turn.

`Client` owns it. All routers answer alike, so any will do; a call that finds one dead goes to the next.
"""

from collections.abc import Awaitable, Callable, Sequence
from typing import TYPE_CHECKING, TypeAlias, TypeVar

import grpc

from enchain.chains.errors import EnchainError, InvalidArgumentError, UnavailableError
from enchain.client.attachment import goes_on
from enchain.process.channels import open_channel
from enchain.process.statuses import from_rpc_error
from enchain.process.tls import TlsFiles
from enchain.v1 import provisioning_pb2_grpc

T = TypeVar("T")
if TYPE_CHECKING:
    Stub: TypeAlias = provisioning_pb2_grpc.ProvisioningServiceAsyncStub
else:  # the generated module knows the name in its stub file only
    Stub = object


class Routers:
    """Channels to routers, opened when first used.

    Args:
        addresses: `host:port` of each; the first is preferred while it answers.
        tls: Files for mutual TLS; None on loopback.
    """

    def __init__(self, addresses: Sequence[str], *, tls: TlsFiles | None = None) -> None:
        if not addresses:
            raise InvalidArgumentError(
                "no router is named",
                reason="NO_ROUTER",
                remedy="Set ENCHAIN_ROUTERS, or pass --routers HOST:PORT.",
            )
        self._addresses = tuple(addresses)
        self._tls = tls
        self._channels: dict[str, grpc.aio.Channel] = {}
        self._at = 0

    @property
    def addresses(self) -> tuple[str, ...]:
        """All of them."""
        return self._addresses

    @property
    def address(self) -> str:
        """The router that is used now."""
        return self._addresses[self._at]

    def leave(self, address: str) -> None:
        """Turn to the next router, unless another call has done so already: many use the same routers."""
        if address == self.address:
            self._at = (self._at + 1) % len(self._addresses)

    def stub(self, address: str) -> Stub:
        """Answer the stub of a router."""
        channel = self._channels.get(address)
        if channel is None:
            channel = self._channels[address] = open_channel(address, tls=self._tls)
        return provisioning_pb2_grpc.ProvisioningServiceStub(channel)

    async def call(self, ask: Callable[[Stub], Awaitable[T]]) -> T:
        """Ask one router after another until one answers.

        Raises:
            EnchainError: What the router answered, or that none can be reached.
        """
        met = False
        last: EnchainError | None = None
        for address in (*self._addresses[self._at :], *self._addresses[: self._at]):
            try:
                return await ask(self.stub(address))
            except grpc.aio.AioRpcError as error:
                last, met = from_rpc_error(error), met or answered(error)
                if not goes_on(last):
                    raise last from error
                self.leave(address)
        assert last is not None
        raise last if met else no_router(self._addresses, last.message)

    async def close(self) -> None:
        """Close every channel."""
        channels, self._channels = list(self._channels.values()), {}
        for channel in channels:
            await channel.close(None)


def answered(error: grpc.aio.AioRpcError) -> bool:
    """Tell whether a server answered at all, be it with an error; a mere lack of connection has no reason."""
    return error.code() is not grpc.StatusCode.UNAVAILABLE or from_rpc_error(error).reason != "UNAVAILABLE"


def no_router(addresses: Sequence[str], told: str) -> UnavailableError:
    """Make the error that says that there is no router where one was looked for."""
    return UnavailableError(
        f"no router answers at {', '.join(addresses)}: {told}",
        reason="NO_ROUTER_ANSWERS",
        remedy="Start one, or say where one is: ENCHAIN_ROUTERS=HOST:PORT,… or --routers.",
        metadata={"routers": ",".join(addresses)},
    )
