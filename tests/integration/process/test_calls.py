"""Calls between a real server and a real channel of ours: every kind, every way to fail."""

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import grpc
import pytest

from enchain.chains.errors import InvalidArgumentError, OurError, UnavailableError, Violation
from enchain.process.channels import open_channel
from enchain.process.servers import Server
from enchain.process.statuses import abort, from_rpc_error
from tests.harness.echo import SERVICE, Echo, EchoStub, Identity, add_echo
from tests.harness.waiting import eventually

HELLO = Identity(subject="hello")


@asynccontextmanager
async def serving(echo: Echo, **settings: Any) -> AsyncIterator[EchoStub]:
    server = Server("127.0.0.1:0", new_incident=lambda: "incident-1", **settings)
    server.add(add_echo, echo, SERVICE)
    address = await server.start()
    async with open_channel(address) as channel:
        yield EchoStub(channel)
    await server.stop(0)


async def test_every_kind_of_call_gets_through() -> None:
    echo = Echo()
    echo.release.set()
    two = [Identity(subject="a"), Identity(subject="b")]

    async with serving(echo) as stub:
        assert await stub.unary(HELLO) == HELLO
        assert [reply async for reply in stub.stream(HELLO)] == [HELLO, HELLO]
        assert [reply async for reply in stub.writing(HELLO)] == [HELLO, HELLO]
        assert await stub.collect(iter(two)) == Identity(subject="a,b")
        assert [reply async for reply in stub.converse(iter(two))] == two
    assert echo.seen[0].subject == "anonymous"


async def test_an_error_arrives_with_all_its_parts() -> None:
    echo = Echo()
    echo.fail = InvalidArgumentError(
        "size is no number",
        reason="NO_NUMBER",
        remedy="Send one.",
        metadata={"size": "big"},
        violations=[Violation("inputs.size", "big is no number", "NOT_A_NUMBER")],
    )

    async with serving(echo) as stub:
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await stub.unary(HELLO)

    back = from_rpc_error(caught.value)
    assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert vars(back) == vars(echo.fail)


async def test_an_error_in_a_stream_comes_after_what_was_sent_before() -> None:
    echo = Echo()
    echo.fail = UnavailableError("the store is gone", retry_after=2)

    async with serving(echo) as stub:
        call = stub.stream(HELLO)
        replies = [await call.read(), await call.read()]
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await call.read()

    assert replies == [HELLO, HELLO]
    assert from_rpc_error(caught.value).retry_after == 2


@pytest.mark.parametrize("error", [RuntimeError("password is hunter2"), OurError("row hunter2 is missing")])
async def test_an_error_of_our_own_is_logged_and_tells_the_caller_nothing_but_where_to_look(
    error: Exception, caplog: pytest.LogCaptureFixture
) -> None:
    echo = Echo()
    echo.fail = error

    async with serving(echo) as stub:
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await stub.unary(HELLO)

    assert caught.value.code() is grpc.StatusCode.INTERNAL
    assert "hunter2" not in f"{caught.value!r}{caught.value.trailing_metadata()!r}"
    assert from_rpc_error(caught.value).metadata["incident"] == "incident-1"
    (record,) = [record for record in caplog.records if record.levelno == logging.ERROR]
    assert "incident-1" in record.getMessage()
    assert record.exc_info is not None


async def test_an_error_with_hundreds_of_violations_still_arrives() -> None:
    echo = Echo()
    echo.fail = InvalidArgumentError("much", violations=[Violation(f"f{n}", "é" * 400) for n in range(400)])

    async with serving(echo) as stub:
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await stub.unary(HELLO)

    assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert from_rpc_error(caught.value).violations[0].field == "f0"


async def test_a_servicer_may_abort_by_itself() -> None:
    class Aborting(Echo):
        async def unary(
            self, _request: Identity, context: grpc.aio.ServicerContext[Identity, Identity]
        ) -> Identity:
            context.set_trailing_metadata((("hint", "kept"),))
            await abort(context, InvalidArgumentError("by hand"))

    async with serving(Aborting()) as stub:
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await stub.unary(HELLO)

    assert from_rpc_error(caught.value).message == "by hand"
    trailers: Any = caught.value.trailing_metadata()  # its stub says a single pair
    assert ("hint", "kept") in list(trailers)


async def test_a_method_that_does_not_exist_is_unimplemented() -> None:
    async with serving(Echo()) as stub:
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await stub.missing(HELLO)

    assert caught.value.code() is grpc.StatusCode.UNIMPLEMENTED


async def test_a_stream_is_closed_at_once_when_its_caller_goes_away() -> None:
    echo = Echo()
    async with serving(echo) as stub:
        call = stub.stream(HELLO)
        assert await call.read() == HELLO
        await echo.entered.wait()
        call.cancel()

        await asyncio.wait_for(echo.closed.wait(), 10)


async def test_a_message_beyond_the_limit_is_refused_on_both_sides() -> None:
    big = Identity(subject="x" * 3000)
    async with serving(Echo(), max_message_bytes=2000) as stub:
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await stub.unary(big)
        assert await stub.unary(HELLO) == HELLO

    assert caught.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED


async def test_more_calls_than_allowed_are_refused_and_not_queued() -> None:
    echo = Echo()
    async with serving(echo, maximum_concurrent_rpcs=1) as stub:
        first = asyncio.ensure_future(stub.slow(HELLO))
        await echo.entered.wait()
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await stub.unary(HELLO)
        echo.release.set()
        assert await first == HELLO

    assert caught.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED


async def test_a_server_that_is_not_there_is_unavailable() -> None:
    server = Server("127.0.0.1:0")
    address = await server.start()
    await server.stop(0)

    async with open_channel(address) as channel:
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await EchoStub(channel).unary(HELLO)

    assert isinstance(from_rpc_error(caught.value), UnavailableError)


async def test_a_channel_finds_a_server_that_is_back() -> None:
    first = Server("127.0.0.1:0")
    first.add(add_echo, Echo(), SERVICE)
    address = await first.start()
    async with open_channel(address) as channel:
        stub = EchoStub(channel)
        assert await stub.unary(HELLO) == HELLO
        await first.stop(0)
        second = Server(address)
        second.add(add_echo, Echo(), SERVICE)
        await second.start()

        async def answered() -> bool:
            try:
                return bool(await stub.unary(HELLO) == HELLO)
            except grpc.aio.AioRpcError:
                return False

        assert await eventually(answered)
    await second.stop(0)
