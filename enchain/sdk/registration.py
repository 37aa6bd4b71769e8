"""How an engine instance makes itself known: its JSON under `live/instances/`, under a lease of its own.

`enchain.sdk.serve` owns one. The key says READY once calls are taken, DRAINING while only known keys are
served, and is deleted last of all.
"""

import contextlib
from datetime import datetime

from enchain.chains.errors import EnchainError
from enchain.chains.names import InstanceName
from enchain.process.clock import Clock
from enchain.process.logs import get_logger
from enchain.sdk.port import Engine
from enchain.sdk.schemas import handle_schema_of
from enchain.state import keys
from enchain.state.codec import encode
from enchain.state.leases import Lease
from enchain.state.store import Delete, Put, Store, Txn
from enchain.v1 import engine_pb2, origin_pb2

RETRY_SECONDS = 1.0

_log = get_logger("enchain.sdk.registration")


def instance_message(
    engine: Engine,
    *,
    instance: str,
    address: str,
    scope: str,
    capacity: int,
    start_time: datetime,
    locality: origin_pb2.Locality | None = None,
) -> engine_pb2.EngineInstance:
    """Answer what an instance says of itself."""
    message = engine_pb2.EngineInstance(
        name=str(InstanceName(engine.name, instance)),
        engine=engine.name,
        version=engine.version,
        address=address,
        scope=scope,
        capacity=capacity,
        state=engine_pb2.EngineInstance.STATE_READY,
        capabilities=sorted(engine.capabilities),
        artifact_inputs=engine.artifact_inputs,
        handle_schemas=[handle_schema_of(engine)],
        tool=engine.tool,
        locality=locality,
    )
    message.start_time.FromDatetime(start_time)
    return message


class Registration:
    """Keeps one instance registered from `start` to `stop`.

    Args:
        instance_id: The last part of the key.
        message: What is written; its state changes with `drain`.
    """

    def __init__(
        self,
        store: Store,
        *,
        clock: Clock,
        instance_id: str,
        message: engine_pb2.EngineInstance,
        ttl_seconds: int = 10,
    ) -> None:
        self._store = store
        self._clock = clock
        self._id = instance_id
        self._key = keys.instance(message.engine, instance_id)
        self._ttl_seconds = ttl_seconds
        self._lease: Lease | None = None
        self.message = message

    async def start(self) -> None:
        """Register; waits for the store where it cannot be reached."""
        while True:
            with contextlib.suppress(EnchainError):
                self._lease = Lease(self._store, self._ttl_seconds, clock=self._clock, name=self._id)
                await self._lease.start()
                await self._write()
                return
            _log.warning("store not reached, registering later", key=self._key)
            if self._lease is not None:
                await self._lease.stop(revoke=False)
            await self._clock.sleep(RETRY_SECONDS)

    async def maintain(self) -> None:
        """Register again whenever the lease was lost. Never ends."""
        while True:
            assert self._lease is not None
            await self._lease.lost.wait()
            _log.warning("lease lost, registering again", key=self._key)
            await self._lease.stop(revoke=False)
            await self.start()

    async def drain(self) -> None:
        """Say that only known keys are served from now on."""
        if self.message.state == engine_pb2.EngineInstance.STATE_DRAINING:
            return
        self.message.state = engine_pb2.EngineInstance.STATE_DRAINING
        if self._lease is None:
            return
        try:
            await self._write()
        except EnchainError as error:  # calls are refused all the same; the key merely says so later
            _log.warning("draining could not be told", key=self._key, error=error.message)

    async def stop(self) -> None:
        """Delete the key and end the lease. A store that cannot be reached forgets both by itself."""
        with contextlib.suppress(EnchainError):
            await self._store.commit(Txn(success=(Delete(self._key),)))
        if self._lease is not None:
            await self._lease.stop()

    async def _write(self) -> None:
        assert self._lease is not None
        await self._store.commit(Txn(success=(Put(self._key, encode(self.message), self._lease.id),)))
