"""The client over real gRPC, with routers that die: it goes on by itself, shows each event once, says so."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing

import pytest

from enchain.chains.errors import (
    ConflictError,
    EnchainError,
    ExhaustedError,
    InvalidArgumentError,
    UnavailableError,
)
from enchain.client import Client, Reattached
from enchain.client.following import Happening
from tests.harness.scripted_routers import (
    OPERATION,
    Script,
    ScriptedRouter,
    States,
    admitted,
    ended,
    moved,
    routers,
    started,
)
from tests.harness.waiting import eventually


def client_of(*routers: ScriptedRouter, patience_seconds: float = 30) -> Client:
    return Client(routers=[router.address for router in routers], patience_seconds=patience_seconds)


def words(happenings: list[Happening]) -> list[str]:
    return [
        "reattached" if isinstance(item, Reattached) else f"{item.sequence} {item.WhichOneof('kind')}"
        for item in happenings
    ]


async def gather(stream: AsyncIterator[Happening], into: list[Happening]) -> list[Happening]:
    async for happening in stream:
        into.append(happening)  # noqa: PERF401 - tests look into it while it grows
    return into


async def test_another_router_goes_on_where_the_first_one_died_and_each_event_comes_once() -> None:
    script, seen = Script(), list[Happening]()
    async with routers(script) as (first, second), client_of(first, second) as client:
        reading = asyncio.create_task(gather(client.provision("site"), seen), name="reading")
        await eventually(lambda: len(seen) == 1)
        await script.tell(started())
        await eventually(lambda: len(seen) == 2)

        await first.die()
        await eventually(lambda: script.watched == [2])
        await script.tell(ended())

        assert words(await reading) == ["1 admitted", "2 step_started", "reattached", "3 ended"]
    notice = next(item for item in seen if isinstance(item, Reattached))
    assert (notice.router, notice.after_sequence) == (second.address, 2)
    assert notice.reason


async def test_events_that_a_router_repeats_are_shown_once() -> None:
    script, seen = Script(rude=True), list[Happening]()
    async with routers(script) as (first, second), client_of(first, second) as client:
        reading = asyncio.create_task(gather(client.provision("site"), seen), name="reading")
        await eventually(lambda: len(seen) == 1)

        await first.die()
        await eventually(lambda: bool(script.watched))
        await script.tell(started(), ended())

        assert words(await reading) == ["1 admitted", "reattached", "2 step_started", "3 ended"]


async def test_a_request_without_an_answer_is_sent_again_with_the_same_id_and_admitted_once() -> None:
    script = Script()
    async with routers(script) as (first, second), client_of(first, second) as client:
        first.silent = True
        reading = asyncio.create_task(gather(client.provision("site"), []), name="reading")
        await eventually(lambda: len(script.requests) == 1)
        assert not script.events

        await first.die()
        await eventually(lambda: bool(script.events))
        await script.tell(ended())

        assert words(await reading) == ["1 admitted", "2 ended"]
    assert len(script.requests) > 1
    assert len(set(script.requests)) == 1


async def test_a_router_that_stops_hands_its_watchers_over() -> None:
    script, seen = Script(), list[Happening]()
    async with routers(script) as (first, second), client_of(first, second) as client:
        reading = asyncio.create_task(gather(client.provision("site"), seen), name="reading")
        await eventually(lambda: len(seen) == 1)

        await first.leave("it is told to stop")
        await eventually(lambda: script.watched == [1])
        await script.tell(ended())
        await reading

    assert [item.reason for item in seen if isinstance(item, Reattached)] == ["it is told to stop"]


@pytest.mark.parametrize(
    "refusal",
    [InvalidArgumentError("no", reason="INVALID_INPUTS"), ConflictError("busy", reason="RESOURCE_BUSY")],
)
async def test_a_refusal_is_the_callers_and_is_not_asked_for_again(refusal: EnchainError) -> None:
    script = Script(refusal=refusal)
    async with routers(script) as pair, client_of(*pair) as client:
        with pytest.raises(type(refusal)) as caught:
            await gather(client.provision("site"), [])

    assert caught.value.reason == refusal.reason
    assert len(script.requests) == 1


async def test_a_full_router_does_not_end_the_watching_of_what_runs() -> None:
    script, seen = Script(), list[Happening]()
    async with routers(script) as (first, second), client_of(first, second) as client:
        reading = asyncio.create_task(gather(client.provision("site"), seen), name="reading")
        await eventually(lambda: len(seen) == 1)
        script.refusal = ExhaustedError("too many streams")
        await first.die()
        await eventually(lambda: len(script.watched) == 1)

        script.refusal = None
        await script.tell(ended())

        assert words(await reading)[-1] == "2 ended"


async def test_a_client_gives_up_when_no_router_is_heard_of_and_names_the_operation() -> None:
    script, seen = Script(), list[Happening]()
    async with routers(script) as pair, client_of(*pair, patience_seconds=0.1) as client:
        reading = asyncio.create_task(gather(client.provision("site"), seen), name="reading")
        await eventually(lambda: len(seen) == 1)
        for router in pair:
            await router.die()

        with pytest.raises(UnavailableError) as caught:
            await reading

    assert caught.value.reason == "NO_ROUTER_ANSWERS"
    assert caught.value.metadata["operation"] == OPERATION
    assert OPERATION in caught.value.remedy


async def test_a_client_that_finds_no_router_at_all_says_where_it_looked() -> None:
    async with routers(Script()) as pair:
        pass  # their ports are closed now
    async with client_of(*pair, patience_seconds=0.1) as client:
        with pytest.raises(UnavailableError) as following:
            await gather(client.provision("site"), [])
        with pytest.raises(UnavailableError) as asking:
            await client.get_operation(OPERATION)

    for caught in (following, asking):
        assert caught.value.reason == "NO_ROUTER_ANSWERS"
        assert all(router.address in caught.value.message for router in pair)
        assert "ENCHAIN_ROUTERS" in caught.value.remedy


async def test_a_router_that_stands_still_does_not_use_up_the_patience_for_the_others() -> None:
    script = Script()
    await script.tell(admitted(), ended())

    def keep_silent(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connections.append(writer)

    connections: list[asyncio.StreamWriter] = []
    frozen = await asyncio.start_server(keep_silent, "127.0.0.1", 0)
    address = f"127.0.0.1:{frozen.sockets[0].getsockname()[1]}"
    async with frozen, routers(script) as (first, _):
        async with Client(routers=[address, first.address], patience_seconds=0.01) as client:
            assert words(await gather(client.provision("site"), [])) == ["1 admitted", "2 ended"]
        for connection in connections:
            connection.transport.abort()
    assert connections


async def test_a_call_goes_to_the_next_router_where_one_is_dead() -> None:
    async with routers(Script()) as (first, second), client_of(first, second) as client:
        await first.die()

        assert (await client.get_operation(OPERATION)).name == OPERATION
        assert client.router_address == second.address


async def test_calls_that_run_at_once_do_not_send_each_other_back_to_a_dead_router() -> None:
    script = Script()
    await script.tell(admitted(), ended())
    async with routers(script) as (first, second), client_of(first, second) as client:
        await first.die()
        answers = await asyncio.gather(*(client.get_operation(OPERATION) for _ in range(4)))

    assert [answer.name for answer in answers] == [OPERATION] * 4


async def test_an_old_hold_does_not_end_a_replay_and_the_last_one_does() -> None:
    script = Script()
    await script.tell(admitted(), moved(States.STATE_HELD), moved(States.STATE_RUNNING), started())
    async with routers(script, 1) as (router,), client_of(router) as client:
        seen = list[Happening]()
        reading = asyncio.create_task(gather(client.watch(OPERATION), seen), name="reading")
        await eventually(lambda: len(seen) == 4)
        await script.tell(moved(States.STATE_HELD))

        assert words(await reading)[-1] == "5 state_changed"
    assert script.watched == [0]


async def test_watching_from_beyond_the_end_ends() -> None:
    script = Script()
    await script.tell(admitted(), ended())
    async with routers(script) as pair, client_of(*pair) as client:
        assert await gather(client.watch(OPERATION, after_sequence=9), []) == []

    assert script.watched == [9]


async def test_a_check_only_ends_without_an_event() -> None:
    script = Script()
    async with routers(script) as pair, client_of(*pair) as client:
        assert await gather(client.provision("site", validate_only=True), []) == []

    assert len(script.requests) == 1


async def test_leaving_a_stream_closes_it_and_cancels_nothing() -> None:
    script = Script()
    async with routers(script) as pair, client_of(*pair) as client:
        stream = client.provision("site")
        async with aclosing(stream):  # type: ignore[type-var]  # it is a generator
            await anext(stream)
            assert script.streams == 1
        await eventually(lambda: script.streams == 0)

        await script.tell(ended())
        assert words(await gather(client.watch(OPERATION), [])) == ["1 admitted", "2 ended"]


async def test_pages_are_read_to_the_last() -> None:
    async with routers(Script()) as pair, client_of(*pair) as client:
        found = [operation.name async for operation in client.list_operations()]

    assert [name[-1] for name in found] == ["0", "1"]
