"""Instances that others run: people, a service manager, a cluster. They are found by what they say.

The leader's loop asks it to drain instances that another launcher started, and engines without a command
have nothing else. It starts and ends nothing.
"""

from collections.abc import Collection, Mapping

import grpc

from controlplane.catalog.instances import live
from enchain.chains.errors import PreconditionError
from enchain.engine.v1 import engine_pb2 as protocol
from enchain.engine.v1 import engine_pb2_grpc as protocol_grpc
from enchain.process.channels import open_channel
from enchain.process.statuses import from_rpc_error
from enchain.process.tls import TlsFiles
from enchain.state.store import Store
from enchain.v1.engine_pb2 import Engine, EngineInstance
from enchain.v1.pool_pb2 import Launching

ANSWER_SECONDS = 10.0


class StaticLauncher:
    """Stands for instances that others run.

    Args:
        store: Where they register.
        tls: Certificates for channels to them; None for plain text.
    """

    def __init__(self, store: Store, tls: TlsFiles | None = None) -> None:
        self._store = store
        self._tls = tls

    async def name(self) -> str:
        """Answer `static`."""
        return "static"

    async def start(self, launch: Launching, engine: Engine) -> str:
        """Refuse.

        Raises:
            PreconditionError: Always.
        """
        del engine
        raise _refused(f"an instance of {launch.engine}", "started", "Start it where instances of it run")

    async def find(self) -> Mapping[str, str]:
        """Answer the instances that are registered, with their addresses."""
        return {_id(instance): instance.address for instance in await live(self._store)}

    async def drain(self, launch: str) -> None:
        """Ask an instance to take no new work. Whoever runs it has to end it.

        Raises:
            UnavailableError: It does not answer.
        """
        for instance in await live(self._store):
            if _id(instance) == launch and instance.state != EngineInstance.STATE_DRAINING:
                await self._ask(instance)

    async def kill(self, launch: str) -> None:
        """Refuse, unless it is gone.

        Raises:
            PreconditionError: It is registered.
        """
        if launch in await self.find():
            raise _refused(f"the instance {launch}", "ended", "End it where it runs")

    async def forget(self, kept: Collection[str]) -> None:
        """Do nothing: it remembers nothing."""
        del kept

    async def _ask(self, instance: EngineInstance) -> None:
        async with open_channel(instance.address, tls=self._tls) as channel:
            stub = protocol_grpc.ProvisioningEngineStub(channel)
            request = protocol.DrainRequest(reason="it is not wanted any more")
            try:
                await stub.Drain(request, timeout=ANSWER_SECONDS)
            except grpc.aio.AioRpcError as error:
                raise from_rpc_error(error) from error


def _id(instance: EngineInstance) -> str:
    return instance.name.rpartition("/")[2]


def _refused(what: str, deed: str, remedy: str) -> PreconditionError:
    return PreconditionError(
        f"{what} cannot be {deed} here: it is run by others",
        reason="RUN_BY_OTHERS",
        remedy=f"{remedy}, or write launch.process into the engine's document.",
    )
