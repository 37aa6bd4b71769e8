"""Routers in the test's own process, on a real store, with real gRPC between them, clients and engines."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from typing import Any

import grpc

from dataplane.router import Ready, serve
from dataplane.settings import RouterSettings
from enchain.chains import routes
from enchain.chains.errors import EnchainError
from enchain.chains.values import Json, to_struct, to_value_map
from enchain.process.channels import open_channel
from enchain.process.settings import ServerSettings
from enchain.process.statuses import from_rpc_error
from enchain.state import keys
from enchain.state.codec import encode
from enchain.state.store import KeyValue, Put, Store, put
from enchain.v1 import chain_pb2, operation_pb2, provisioning_pb2, provisioning_pb2_grpc, workload_pb2
from tests.harness.gated_engines import EngineScope, GatedInstance

OperationEvent = operation_pb2.OperationEvent

_INPUTS: Json = {
    "type": "object",
    "properties": {"name": {"type": "string"}, "size": {"type": "string", "default": "small"}},
    "required": ["name"],
    "additionalProperties": False,
}


def _schema(inputs: Mapping[str, Json], outputs: Mapping[str, Json]) -> chain_pb2.EngineSchema:
    return chain_pb2.EngineSchema(
        inputs=to_struct({"type": "object", "properties": inputs}),
        outputs=to_struct({"type": "object", "properties": outputs}),
    )


def site_chain(
    *,
    on_failure: workload_pb2.OnFailure.ValueType = workload_pb2.ON_FAILURE_COMPENSATE,
    engine: str = "terraform",
    attempts: int = 3,
) -> chain_pb2.Chain:
    """`configure` by one engine, then `serve` by `process` with what the first answered."""
    text = {"type": "string"}
    retry = workload_pb2.Retry(max_attempts=attempts)
    retry.initial_backoff.FromMilliseconds(10)
    first = chain_pb2.ChainStep(
        steps=["configure"],
        engine=engine,
        version="1",
        inputs=to_value_map({"name": "${inputs.name}"}),
        schema=_schema({"name": text}, {"files": text}),
        retry=retry,
    )
    second = chain_pb2.ChainStep(
        steps=["serve"],
        engine="process",
        version="1",
        inputs=to_value_map({"name": "${steps.configure.outputs.files}"}),
        schema=_schema({"name": text}, {"url": text}),
        retry=retry,
    )
    chain = chain_pb2.Chain(
        inputs=to_struct(_INPUTS),
        steps=[first, second],
        outputs=to_value_map({"url": "${steps.serve.outputs.url}"}),
        on_failure=on_failure,
    )
    chain.timeout.FromSeconds(60)
    return chain


async def put_chain(
    store: Store,
    chain: chain_pb2.Chain,
    *,
    workload: str = "site",
    chain_id: str = "default",
    revision: str = "r1",
) -> str:
    """Save a chain and send the whole workload to it; answer its name."""
    name = f"workloads/{workload}/chains/{chain_id}@{revision}"
    await put(
        store,
        [
            Put(keys.chain(workload, chain_id, revision), encode(chain)),
            Put(keys.route(workload), encode(routes.whole(name))),
        ],
    )
    return name


@dataclass
class RunningRouter:
    """A router that serves, and a client of it."""

    ready: Ready
    stop: asyncio.Event
    task: asyncio.Task[None]
    channel: grpc.aio.Channel
    stub: "provisioning_pb2_grpc.ProvisioningServiceAsyncStub" = field(repr=False, default=None)  # type: ignore[assignment]  # set at once

    async def kill(self) -> None:
        """End it without a word: nothing is handed over, the lease is left to expire."""
        self.task.cancel()
        await asyncio.wait([self.task])

    async def end(self) -> None:
        """Stop it as SIGTERM does."""
        self.stop.set()
        await asyncio.wait([self.task])
        if not self.task.cancelled():
            self.task.result()


@dataclass
class Site:
    """The workload `site` on a chain of two engines, with two instances each."""

    store: Store
    terraform: EngineScope
    process: EngineScope
    instances: list[GatedInstance]
    chain: str


SETTINGS = RouterSettings(server=ServerSettings(), lease_seconds=5, drain_seconds=5.0, scan_seconds=1.0)


@asynccontextmanager
async def running_router(
    store: Store, name: str = "a", settings: RouterSettings = SETTINGS
) -> AsyncIterator[RunningRouter]:
    """Run a router for as long as the block runs."""
    told: asyncio.Future[Ready] = asyncio.get_running_loop().create_future()
    stop = asyncio.Event()
    settings = replace(settings, server=replace(settings.server, name=name))
    task = asyncio.create_task(serve(settings, store, stop, on_ready=told.set_result), name=f"router {name}")
    waiting: list[asyncio.Future[Any]] = [task, told]
    await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
    if task.done():
        task.result()
    ready = told.result()
    channel = open_channel(ready.address, local_pool=True)
    stub = provisioning_pb2_grpc.ProvisioningServiceStub(channel)
    router = RunningRouter(ready, stop, task, channel, stub)
    try:
        yield router
    finally:
        await channel.close(None)
        if not task.done():
            await router.end()


def provision_request(
    request_id: str = "req-1", resource: str = "one", **inputs: Json
) -> provisioning_pb2.ProvisionRequest:
    """A request for a site."""
    return provisioning_pb2.ProvisionRequest(
        parent="tenants/default",
        workload="workloads/site",
        resource_id=resource,
        request_id=request_id,
        inputs=to_value_map(inputs or {"name": "x"}),
    )


def deprovision_request(
    request_id: str = "gone-1", resource: str = "one"
) -> provisioning_pb2.DeprovisionRequest:
    """A request for the end of a site."""
    return provisioning_pb2.DeprovisionRequest(
        name=f"tenants/default/resources/{resource}", request_id=request_id
    )


async def shown(call: Any) -> list[OperationEvent]:
    """Read a stream to its end."""
    return [event async for event in call]


async def until(call: Any, kind: str) -> list[OperationEvent]:
    """Read a stream up to the first event of a kind."""
    seen = []
    async for event in call:
        seen.append(event)
        if event.WhichOneof("kind") == kind:
            return seen
    raise AssertionError(f"the stream ended without {kind}: {[e.WhichOneof('kind') for e in seen]}")


def durable(events: list[OperationEvent]) -> list[str]:
    """Kinds of the durable events."""
    return [str(event.WhichOneof("kind")) for event in events if event.sequence]


async def refusal(call: Any) -> EnchainError:
    """The error that a call ends with."""
    try:
        await (shown(call) if hasattr(call, "__aiter__") else call)
    except grpc.aio.AioRpcError as error:
        return from_rpc_error(error)
    raise AssertionError("it was not refused")


async def everything(store: Store) -> tuple[tuple[str, bytes, int], ...]:
    """All keys with value and revision, but for what is leased."""
    listing = await store.list(keys.ROOT)
    return tuple(
        (item.key, item.value, item.mod_revision)
        for item in listing.items
        if not item.key.startswith(keys.LIVE)
    )


async def under(store: Store, prefix: str) -> list[KeyValue]:
    """The keys under a prefix."""
    return list((await store.list(prefix)).items)
