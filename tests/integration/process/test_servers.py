"""A server's life: bound, healthy when said so, seen by reflection and channelz, drained at the end."""

import asyncio
from pathlib import Path

import grpc
import pytest
from grpc_channelz.v1 import channelz_pb2, channelz_pb2_grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc

from enchain.chains.errors import InvalidArgumentError
from enchain.process.channels import open_channel
from enchain.process.servers import Server
from enchain.v1 import workload_pb2_grpc
from tests.harness.echo import SERVICE, Echo, EchoStub, Identity, add_echo
from tests.harness.waiting import eventually

HELLO = Identity(subject="hello")
States = health_pb2.HealthCheckResponse


async def health(channel: grpc.aio.Channel, service: str = "") -> int:
    reply = await health_pb2_grpc.HealthStub(channel).Check(health_pb2.HealthCheckRequest(service=service))
    return int(reply.status)


async def test_a_server_is_not_serving_until_it_is_said_to_be() -> None:
    server = Server("127.0.0.1:0")
    server.add(add_echo, Echo(), SERVICE)
    address = await server.start()
    async with open_channel(address) as channel:
        assert [await health(channel), await health(channel, SERVICE)] == [States.NOT_SERVING] * 2

        await server.serving(True)
        assert [await health(channel), await health(channel, SERVICE)] == [States.SERVING] * 2

        await server.serving(False)
        assert await health(channel) == States.NOT_SERVING
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await health(channel, "enchain.test.Unknown")
    await server.stop(0)

    assert caught.value.code() is grpc.StatusCode.NOT_FOUND


async def test_reflection_tells_the_services_and_channelz_the_server() -> None:
    server = Server("127.0.0.1:0")
    server.add(
        workload_pb2_grpc.add_WorkloadServiceServicer_to_server,
        workload_pb2_grpc.WorkloadServiceServicer(),  # type: ignore[abstract]  # nobody calls it
        "enchain.v1.WorkloadService",
    )
    address = await server.start()
    async with open_channel(address) as channel:
        request = reflection_pb2.ServerReflectionRequest(list_services="")
        stub = reflection_pb2_grpc.ServerReflectionStub(channel)
        replies = [reply async for reply in stub.ServerReflectionInfo(iter([request]))]
        names = {service.name for service in replies[0].list_services_response.service}
        servers = await channelz_pb2_grpc.ChannelzStub(channel).GetServers(channelz_pb2.GetServersRequest())
    await server.stop(0)

    assert {"enchain.v1.WorkloadService", "grpc.health.v1.Health"} <= names
    assert servers.server


async def test_draining_lets_running_calls_end_and_tells_probes_first() -> None:
    echo = Echo()
    server = Server("127.0.0.1:0")
    server.add(add_echo, echo, SERVICE)
    address = await server.start()
    await server.serving(True)
    async with open_channel(address) as channel:
        running = asyncio.ensure_future(EchoStub(channel).slow(HELLO))
        await echo.entered.wait()
        drain = asyncio.create_task(server.drain(60))

        async def told() -> bool:
            return bool(await health(channel) == States.NOT_SERVING)

        assert await eventually(told)
        assert server.in_flight == 1
        assert not drain.done()
        echo.release.set()
        assert await running == HELLO
        assert await drain == 0


async def test_draining_ends_at_its_deadline_and_counts_what_it_cut_off() -> None:
    echo = Echo()
    server = Server("127.0.0.1:0")
    server.add(add_echo, echo, SERVICE)
    address = await server.start()
    async with open_channel(address) as channel:
        running = asyncio.ensure_future(EchoStub(channel).slow(HELLO))
        await echo.entered.wait()

        assert await server.drain(0) == 1
        with pytest.raises(grpc.aio.AioRpcError):
            await running


async def test_a_server_listens_for_others_only_with_tls_or_when_told_so() -> None:
    with pytest.raises(InvalidArgumentError) as caught:
        Server("0.0.0.0:0")
    assert caught.value.reason == "INSECURE_LISTENER"

    server = Server("0.0.0.0:0", allow_insecure=True)
    assert not (await server.start()).endswith(":0")
    await server.stop(0)


async def test_an_address_that_is_taken_is_refused_by_name() -> None:
    first = Server("127.0.0.1:0")
    address = await first.start()
    second = Server(address)
    with pytest.raises(InvalidArgumentError) as caught:
        await second.start()
    await first.stop(0)
    await second.stop(0)

    assert caught.value.reason == "ADDRESS_UNUSABLE"
    assert address in caught.value.message


async def test_a_server_can_listen_on_a_unix_socket(tmp_path: Path) -> None:
    server = Server(f"unix:{tmp_path}/enchain.sock")
    server.add(add_echo, Echo(), SERVICE)
    address = await server.start()
    async with open_channel(address) as channel:
        assert await EchoStub(channel).unary(HELLO) == HELLO
    await server.stop(0)
    await server.stop(0)
