"""The life of a process: signals, exit codes, and tasks that must not end unnoticed."""

import asyncio
import json
import logging
import os
import signal
from pathlib import Path

import pytest

from enchain.chains.errors import InvalidArgumentError, OurError
from enchain.process.lifecycle import (
    EXIT_FAILED,
    EXIT_INTERRUPTED,
    EXIT_OK,
    TaskEndedError,
    Tasks,
    run,
    write_ready_file,
)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_asks_the_process_to_stop_and_lets_it_finish(number: signal.Signals) -> None:
    finished = []

    async def main(stop: asyncio.Event) -> None:
        os.kill(os.getpid(), number)
        await stop.wait()
        finished.append("in order")

    assert run(main) == EXIT_OK
    assert finished == ["in order"]


def test_a_second_signal_ends_the_process_at_once() -> None:
    async def main(stop: asyncio.Event) -> None:
        os.kill(os.getpid(), signal.SIGTERM)
        await stop.wait()
        os.kill(os.getpid(), signal.SIGTERM)
        await asyncio.Event().wait()

    assert run(main) == EXIT_INTERRUPTED


def test_signals_mean_again_afterwards_what_they_meant_before() -> None:
    before = signal.getsignal(signal.SIGINT)

    async def main(stop: asyncio.Event) -> None:
        pass

    run(main)

    assert signal.getsignal(signal.SIGINT) is before


def test_an_error_makes_the_exit_code_1_and_is_logged_with_its_remedy(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def main(stop: asyncio.Event) -> None:
        raise InvalidArgumentError("no such file", reason="NO_FILE", remedy="Make one.")

    assert run(main) == EXIT_FAILED
    assert "NO_FILE" in caplog.text
    assert "Make one." in caplog.text
    assert "Traceback" not in caplog.text


def test_a_bug_makes_the_exit_code_1_and_is_logged_with_its_traceback(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def main(stop: asyncio.Event) -> None:
        raise KeyError("bug")

    assert run(main) == EXIT_FAILED
    assert "Traceback" in caplog.text


def test_an_eternal_task_that_ends_stops_the_process_and_is_named(caplog: pytest.LogCaptureFixture) -> None:
    async def short() -> None:
        await asyncio.sleep(0)

    async def main(stop: asyncio.Event) -> None:
        async with Tasks() as tasks:
            tasks.start("follow the table", short())
            await stop.wait()

    assert run(main) == EXIT_FAILED
    assert "follow the table" in caplog.text


async def test_a_task_that_fails_cancels_the_others_and_the_block(caplog: pytest.LogCaptureFixture) -> None:
    ended: list[str] = []

    async def fails() -> None:
        await asyncio.sleep(0)
        raise RuntimeError("boom")

    async def lasts() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            ended.append("other task")

    async def block() -> None:
        async with Tasks() as tasks:
            tasks.start("keep the lease", fails())
            tasks.start("other", lasts())
            try:
                await asyncio.Event().wait()
            finally:
                ended.append("block")

    with pytest.raises(TaskEndedError) as caught:
        await block()

    assert caught.value.metadata["task"] == "keep the lease"
    assert isinstance(caught.value.__cause__, BaseException)
    assert sorted(ended) == ["block", "other task"]
    assert [record.levelno for record in caplog.records] == [logging.ERROR]


async def test_leaving_the_block_cancels_the_tasks_without_complaint() -> None:
    ended: list[str] = []

    async def lasts(name: str) -> None:
        try:
            await asyncio.Event().wait()
        finally:
            ended.append(name)

    async with Tasks() as tasks:
        tasks.start("one", lasts("one"))
        tasks.once("two", lasts("two"))
        await asyncio.sleep(0)
    await asyncio.sleep(0)

    assert ended == ["one", "two"]


async def test_what_the_block_raises_comes_out_as_it_is() -> None:
    async def block() -> None:
        async with Tasks() as tasks:
            tasks.start("lasts", asyncio.Event().wait())
            raise InvalidArgumentError("mine")

    with pytest.raises(InvalidArgumentError, match="mine"):
        await block()


async def test_a_cancellation_that_meets_a_failure_is_not_forgotten() -> None:
    ending, may_end = asyncio.Event(), asyncio.Event()
    caught: list[BaseException] = []

    async def slow() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            ending.set()
            await may_end.wait()

    def fail() -> None:
        raise OurError("a failure")

    async def owner() -> None:
        try:
            async with Tasks() as tasks:
                tasks.start("end slowly", slow())
                await asyncio.sleep(0)
                fail()
        except OurError as error:
            caught.append(error)
        await asyncio.Event().wait()

    task = asyncio.create_task(owner(), name="owner")
    await ending.wait()
    task.cancel()
    await asyncio.sleep(0)
    may_end.set()

    await asyncio.wait_for(asyncio.wait([task]), 10)

    assert task.cancelled()
    assert len(caught) == 1


async def test_a_task_that_may_end_hands_back_its_answer() -> None:
    async def answer() -> int:
        return 42

    async with Tasks() as tasks:
        assert await tasks.once("ask", answer()) == 42


def test_the_ready_file_appears_whole_and_replaces_an_older_one(tmp_path: Path) -> None:
    path = tmp_path / "ready.json"
    path.write_text("old")

    write_ready_file(path, address="127.0.0.1:7000", identifier="r1", metrics="127.0.0.1:7001")

    facts = {"address": "127.0.0.1:7000", "id": "r1", "metrics": "127.0.0.1:7001", "pid": os.getpid()}
    assert json.loads(path.read_text()) == facts
    assert [file.name for file in tmp_path.iterdir()] == ["ready.json"]


def test_no_ready_file_is_asked_for_none_is_written_and_a_bad_one_is_an_error(tmp_path: Path) -> None:
    write_ready_file(None, address="x")

    with pytest.raises(OurError, match="cannot write the ready file"):
        write_ready_file(tmp_path / "missing" / "ready.json", address="x")
