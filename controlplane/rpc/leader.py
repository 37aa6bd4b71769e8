"""The leader, asked by another replica: the one call that only the leader can answer.

`controlplane.rpc.forecasts` calls it. A channel is opened for each question: they are rare, leaders change.
"""

import grpc

from enchain.chains.errors import EnchainError, UnavailableError
from enchain.process.channels import OpenChannel, open_channel
from enchain.process.statuses import from_rpc_error
from enchain.process.tls import TlsFiles
from enchain.state import keys
from enchain.state.codec import decode
from enchain.state.store import Store
from enchain.v1 import forecast_pb2, forecast_pb2_grpc, presence_pb2

FORWARDED = "enchain-forwarded"
"""Metadata of a call that was forwarded once: nobody forwards it again, so that it cannot go in circles."""

ANSWER_SECONDS = 10.0
"""How long the leader may take."""

RETRY_SECONDS = 2.0
"""After which asking again may help: an election takes about so long."""


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

    async def demand(self, request: forecast_pb2.GetDemandRequest) -> forecast_pb2.DemandHistory:
        """Ask the leader for measured demand.

        Raises:
            UnavailableError: No replica leads, or the leader does not answer.
            EnchainError: What the leader refused.
        """
        address = await self._address()
        channel = self._channels(address, tls=self._tls)
        try:
            stub = forecast_pb2_grpc.ForecastServiceStub(channel)
            answer: forecast_pb2.DemandHistory = await stub.GetDemand(
                request, timeout=ANSWER_SECONDS, metadata=((FORWARDED, "1"),)
            )
        except grpc.aio.AioRpcError as failure:
            raise _explained(from_rpc_error(failure), address) from failure
        finally:
            await channel.close(None)
        return answer

    async def _address(self) -> str:
        item = await self._store.get(keys.leader("controlplane"))
        if item is None:
            raise not_leading("no replica of the control plane leads")
        return decode(presence_pb2.LeaderPresence, item.value, key=item.key).address


def not_leading(why: str) -> UnavailableError:
    """Say that the question reached nobody who leads."""
    return UnavailableError(
        f"{why}, and measured demand is with the leader",
        reason="NO_LEADER",
        remedy="Ask again in a moment; forecasts that stand are answered meanwhile.",
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
