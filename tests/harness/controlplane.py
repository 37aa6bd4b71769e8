"""A running control plane for tests, and small real engine servers that only know their schema.

Fixtures of `tests/integration/controlplane` hand a `Plane` to tests. It talks gRPC on loopback; nothing in
it is replaced by a fake.
"""

from collections.abc import Awaitable, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import grpc
from google.protobuf import struct_pb2

from enchain.chains.errors import EnchainError
from enchain.engine.v1 import engine_pb2 as protocol
from enchain.engine.v1 import engine_pb2_grpc as protocol_grpc
from enchain.process.servers import Server
from enchain.process.statuses import from_rpc_error
from enchain.process.tls import TlsFiles
from enchain.state import keys
from enchain.state.codec import encode
from enchain.state.store import Delete, Put, Store, Txn, put
from enchain.v1 import (
    artifact_pb2_grpc,
    chain_pb2,
    chain_pb2_grpc,
    engine_pb2,
    engine_pb2_grpc,
    operation_pb2,
    presence_pb2,
    workload_pb2_grpc,
)


def struct(content: Mapping[str, Any]) -> struct_pb2.Struct:
    """Make a Struct."""
    made = struct_pb2.Struct()
    made.update(dict(content))
    return made


def schema(
    inputs: Mapping[str, Any], outputs: Sequence[str] = (), variables: Mapping[str, Any] | None = None
) -> chain_pb2.EngineSchema:
    """Make an engine's schema: properties of the inputs, names of string outputs, engine variables."""
    return chain_pb2.EngineSchema(
        inputs=struct({"type": "object", "properties": dict(inputs), "additionalProperties": False}),
        outputs=struct({"type": "object", "properties": {name: {"type": "string"} for name in outputs}}),
        variables=struct(variables or {}),
        handle_schemas=["test/1"],
    )


FILES = schema({"name": {"type": "string"}, "size": {"type": "string"}}, ["files", "url"])
SERVING = schema(
    {"run": {"type": "array", "items": {"type": "string"}}, "files": {"type": "string"}},
    ["url"],
    {"port": {"type": "integer"}},
)


class SchemaEngine(protocol_grpc.ProvisioningEngineServicer):
    """An engine that knows its schema and nothing else."""

    def __init__(self, instance: engine_pb2.EngineInstance, answer: chain_pb2.EngineSchema) -> None:
        self.instance = instance
        self.answer = answer
        self.refusal: EnchainError | None = None
        self.asked: list[protocol.GetSchemaRequest] = []

    async def Handshake(  # noqa: N802 - the method's name on the wire
        self, request: protocol.HandshakeRequest, context: grpc.aio.ServicerContext[Any, Any]
    ) -> protocol.HandshakeResponse:
        del request, context
        return protocol.HandshakeResponse(instance=self.instance)

    async def GetSchema(  # noqa: N802 - the method's name on the wire
        self, request: protocol.GetSchemaRequest, context: grpc.aio.ServicerContext[Any, Any]
    ) -> protocol.GetSchemaResponse:
        del context
        self.asked.append(request)
        if self.refusal is not None:
            raise self.refusal
        return protocol.GetSchemaResponse(schema=self.answer)


@dataclass
class Plane:
    """A running control plane with its services, its store, and the engines that a test starts."""

    store: Store
    channel: grpc.aio.Channel
    address: str
    artifacts_directory: Path
    stack: AsyncExitStack
    engines_started: list[SchemaEngine] = field(default_factory=list)
    engine_tls: TlsFiles | None = None

    @property
    def workloads(self) -> Any:
        return workload_pb2_grpc.WorkloadServiceStub(self.channel)

    @property
    def chains(self) -> Any:
        return chain_pb2_grpc.ChainServiceStub(self.channel)

    @property
    def engines(self) -> Any:
        return engine_pb2_grpc.EngineRegistryStub(self.channel)

    @property
    def artifacts(self) -> Any:
        return artifact_pb2_grpc.ArtifactServiceStub(self.channel)

    async def start_engine(
        self,
        engine: str,
        answer: chain_pb2.EngineSchema,
        version: str = "1.0",
        name: str = "",
    ) -> SchemaEngine:
        """Start an engine server and register it."""
        instance = engine_pb2.EngineInstance(
            name=f"engines/{engine}/instances/{name or f'i{len(self.engines_started)}'}",
            engine=engine,
            version=version,
            scope=f"{engine}-scope",
            capacity=4,
            state=engine_pb2.EngineInstance.STATE_READY,
            artifact_inputs=["module"],
        )
        servicer = SchemaEngine(instance, answer)  # type: ignore[abstract]  # the rest is UNIMPLEMENTED
        server = Server("127.0.0.1:0", tls=self.engine_tls)
        server.add(
            protocol_grpc.add_ProvisioningEngineServicer_to_server,
            servicer,
            "enchain.engine.v1.ProvisioningEngine",
        )
        instance.address = await server.start()
        self.stack.push_async_callback(server.stop, 0)
        self.engines_started.append(servicer)
        await self.register(instance)
        return servicer

    async def register(self, instance: engine_pb2.EngineInstance) -> None:
        """Write an instance's registration."""
        key = keys.instance(instance.engine, instance.name.rpartition("/")[2])
        await put(self.store, [Put(key, encode(instance))])

    async def unregister(self, instance: engine_pb2.EngineInstance) -> None:
        """Delete an instance's registration, as its lease would."""
        key = keys.instance(instance.engine, instance.name.rpartition("/")[2])
        await self.store.commit(Txn(success=(Delete(key),)))

    async def contents(self) -> dict[str, bytes]:
        """Everything under `/enchain/`."""
        return {item.key: item.value for item in (await self.store.list("/enchain/")).items}

    async def put_chain(self, chain: str, revision: str, message: chain_pb2.Chain) -> None:
        """Write a chain of `site` by hand."""
        by_hand = chain_pb2.Chain()
        by_hand.CopyFrom(message)
        for name in ("name", "digest", "etag"):
            by_hand.ClearField(name)
        await put(self.store, [Put(keys.chain("site", chain, revision), encode(by_hand))])

    async def put_raw(self, key: str, content: bytes) -> None:
        """Write any bytes by hand."""
        await put(self.store, [Put(key, content)])

    async def delete_key(self, key: str) -> None:
        """Delete a key by hand."""
        await self.store.commit(Txn(success=(Delete(key),)))

    async def put_resource(self, name: str, chain: str, workload: str = "workloads/site") -> None:
        """Write a resource, as a router does."""
        resource = operation_pb2.Resource(
            name=f"tenants/default/resources/{name}", uid=f"01-{name}", workload=workload, chain=chain
        )
        await put(self.store, [Put(keys.resource("default", name), encode(resource))])

    async def put_active(self, operation: str, chain: str, workload: str = "workloads/site") -> None:
        """Write that an operation runs, as a router does."""
        active = operation_pb2.ActiveOperation(
            operation=f"tenants/default/operations/{operation}", chain=chain, workload=workload
        )
        await put(self.store, [Put(keys.active(operation), encode(active))])

    async def put_router(self, name: str, applied: int, refused: str = "") -> None:
        """Write a router's presence, as routers do."""
        presence = presence_pb2.RouterPresence(
            name=f"routers/{name}", address="127.0.0.1:1", applied_revision=applied
        )
        if refused:
            presence.refusals.add(workload=refused, key="some/key", reason="BAD", revision=applied)
        await put(self.store, [Put(keys.router(name), encode(presence))])


async def refusal(call: Awaitable[Any]) -> EnchainError:
    """Answer the error that a call ends with, as a client sees it."""
    try:
        answer = await call
    except grpc.aio.AioRpcError as error:
        return from_rpc_error(error)
    raise AssertionError(f"it was not refused: {answer}")
