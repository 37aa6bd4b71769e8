"""The synchronous face, used from a thread as a script would: it does the same, and leaves nothing open."""

import asyncio
import gc
from collections.abc import Callable
from typing import TypeVar

import pytest

from enchain.chains.errors import NotFoundError, UnavailableError
from enchain.client import Reattached, SyncClient
from tests.harness.scripted_routers import OPERATION, Script, ended, routers
from tests.harness.waiting import eventually

T = TypeVar("T")


async def in_a_thread(script: Script, work: Callable[[SyncClient], T]) -> T:
    """Serve a script here and use a client of it in a thread; the client is closed at the end."""
    async with routers(script) as pair:
        addresses = [router.address for router in pair]

        def use() -> T:
            with SyncClient(routers=addresses, patience_seconds=20) as client:
                return work(client)

        return await asyncio.to_thread(use)


async def test_streams_are_plain_iterators() -> None:
    script = Script()

    def work(client: SyncClient) -> list[str]:
        stream = client.provision("site", {"name": "x"})
        first = next(stream)
        asyncio.run_coroutine_threadsafe(script.tell(ended()), loop).result()
        return [str(first.WhichOneof("kind")) if not isinstance(first, Reattached) else ""] + [
            str(event.WhichOneof("kind")) for event in stream if not isinstance(event, Reattached)
        ]

    loop = asyncio.get_running_loop()
    assert await in_a_thread(script, work) == ["admitted", "ended"]


async def test_answers_and_pages_come_as_they_are() -> None:
    def work(client: SyncClient) -> tuple[str, int]:
        return client.get_operation(OPERATION).name, len(list(client.list_operations()))

    assert await in_a_thread(Script(), work) == (OPERATION, 2)


async def test_refusals_are_raised_as_errors_of_enchain() -> None:
    def work(client: SyncClient) -> str:
        with pytest.raises(NotFoundError) as caught:
            list(client.provision("nope"))
        return caught.value.reason

    refusal = NotFoundError("there is none", reason="WORKLOAD_NOT_FOUND")
    assert await in_a_thread(Script(refusal=refusal), work) == "WORKLOAD_NOT_FOUND"


async def test_a_stream_that_is_left_early_is_closed_at_once() -> None:
    script, loop = Script(), asyncio.get_running_loop()

    def leave_by_breaking(client: SyncClient) -> None:
        for _ in client.provision("site"):
            assert script.streams == 1
            break
        gc.collect()
        closed = eventually(lambda: script.streams == 0)  # while the client itself is open
        asyncio.run_coroutine_threadsafe(closed, loop).result()

    await in_a_thread(script, leave_by_breaking)


async def test_a_client_that_is_closed_under_a_stream_leaves_nothing_open() -> None:
    script = Script()

    def leave_it_open(client: SyncClient) -> object:
        stream = client.provision("site")
        next(stream)
        return stream

    stream = await in_a_thread(script, leave_it_open)
    await eventually(lambda: script.streams == 0)
    del stream
    gc.collect()  # what was left open would be reported here, as a warning that fails the test


def test_a_closed_client_may_be_closed_again_and_never_needs_a_server() -> None:
    client = SyncClient(routers=["127.0.0.1:1"], patience_seconds=0)
    with pytest.raises(UnavailableError):
        client.get_operation(OPERATION)
    client.close()
    client.close()
