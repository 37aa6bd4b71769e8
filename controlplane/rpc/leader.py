"""The leader, asked by another replica: calls that only whoever has the history of demand can answer.

`controlplane.rpc.forecasts` and `controlplane.rpc.metrics` call it. A channel is opened for each call, since
leaders change; gRPC lets those of one address share a connection. A call is forwarded once, never in circles.
"""

from collections.abc import Awaitable, Callable
from typing import TypeVar

import grpc

from controlplane.rpc.callers import Context
from enchain.chains.errors import EnchainError, UnavailableError
from enchain.process.channels import OpenChannel, open_channel
from enchain.process.statuses import from_rpc_error
from enchain.process.tls import TlsFiles
from enchain.state import keys
from enchain.state.codec import decode
from enchain.state.store import Store
from enchain.v1 import presence_pb2

FORWARDED = "enchain-forwarded"
"""Metadata of a call that was forwarded once: nobody forwards it again."""

METADATA = ((FORWARDED, "1"),)
"""What a forwarded call carries."""

RETRY_SECONDS = 2.0
"""After which asking again may help: an election takes about so long."""

Answer = TypeVar("Answer")


class Leader:
    """Whoever leads, by the store.

    Args:
        store: Where the leader's presence is.
        tls: Certificates of this replica; None in plain text.
        channels: Opens the channel.
    """

    def __init__(
        self, store: Store, *, tls: TlsFiles | None = None, channels: OpenChannel = open_channel
    ) -> None:
        self._store = store
        self._tls = tls
        self._channels = channels

    async def ask(self, call: Callable[[grpc.aio.Channel], Awaitable[Answer]]) -> Answer:
        """Make a call of the leader.

        Args:
            call: Makes it over a channel, with `METADATA` and a timeout.

        Raises:
            UnavailableError: No replica leads, or the leader does not answer.
            EnchainError: What the leader refused.
        """
        address = await self._address()
        channel = self._channels(address, tls=self._tls)
        try:
            return await call(channel)
        except grpc.aio.AioRpcError as failure:
            raise _explained(from_rpc_error(failure), address) from failure
        finally:
            await channel.close(None)

    async def _address(self) -> str:
        item = await self._store.get(keys.leader("controlplane"))
        if item is None:
            raise not_leading("no replica of the control plane leads")
        return decode(presence_pb2.LeaderPresence, item.value, key=item.key).address


def forwarded(context: Context) -> bool:
    """Say whether a call was forwarded already."""
    return any(key == FORWARDED for key, _ in context.invocation_metadata() or ())


def not_leading(why: str) -> UnavailableError:
    """Say that a call reached nobody who leads."""
    return UnavailableError(
        f"{why}, and measured demand is with the leader",
        reason="NO_LEADER",
        remedy="Try again in a moment: one is elected within the time of the leader's lease.",
        retry_after=RETRY_SECONDS,
    )


def _explained(error: EnchainError, address: str) -> EnchainError:
    """Say which way failed where the leader said nothing itself."""
    if error.reason not in {"UNAVAILABLE", "DEADLINE_EXCEEDED"}:
        return error
    return UnavailableError(
        f"the leader at {address} does not answer: {error.message}",
        reason="LEADER_UNREACHABLE",
        remedy="Give each control plane an --advertise that the others can reach.",
        metadata={"leader": address},
        retry_after=RETRY_SECONDS,
    )
