"""The life of a process: its signals, its eternal tasks, and the file that says it is ready.

Every `main.py` goes through `run`. SIGTERM and SIGINT set an event and interrupt nothing; a second one
ends the process at once. No task of a process is nameless, and none ends unnoticed.
"""

import asyncio
import contextlib
import json
import os
import signal
from collections.abc import Awaitable, Callable, Coroutine
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeVar

from enchain.chains.errors import EnchainError, OurError
from enchain.process.logs import get_logger

T = TypeVar("T")

_log = get_logger(__name__)

EXIT_OK = 0
EXIT_FAILED = 1
EXIT_INTERRUPTED = 130
"""A second signal came before the process had stopped by itself."""


def run(main: Callable[[asyncio.Event], Awaitable[None]]) -> int:
    """Run a process until it has stopped; answer its exit code.

    Args:
        main: Gets an event that a signal sets. Whatever it raises is logged and makes the exit code 1.
    """
    try:
        asyncio.run(_supervise(main))
    except asyncio.CancelledError:
        _log.warning("process interrupted before it had stopped")
        return EXIT_INTERRUPTED
    except EnchainError as error:
        if error.reason != TaskEndedError.default_reason:  # that one is logged where it happened
            _log.error("process failed", error=error.message, reason=error.reason, remedy=error.remedy)
        return EXIT_FAILED
    except Exception:  # noqa: BLE001 - the last line of defence, and it is logged
        _log.exception("process failed by an error of our own")
        return EXIT_FAILED
    return EXIT_OK


async def _supervise(main: Callable[[asyncio.Event], Awaitable[None]]) -> None:
    loop = asyncio.get_running_loop()
    stop = asyncio.Event()
    own = asyncio.current_task()

    def on_signal(number: signal.Signals) -> None:
        if stop.is_set() and own is not None:
            own.cancel()
            return
        _log.info("stopping", signal=number.name)
        stop.set()

    caught = (signal.SIGTERM, signal.SIGINT)
    for number in caught:
        loop.add_signal_handler(number, on_signal, number)
    try:
        await main(stop)
    finally:
        for number in caught:
            loop.remove_signal_handler(number)


class TaskEndedError(OurError):
    """A task that must never end has ended, or has raised."""

    default_reason = "TASK_ENDED"


class Tasks:
    """Owns the long-lived tasks of a process or a part of one.

    Inside `async with Tasks() as tasks:` start them. Leaving the block cancels them all and waits. A task
    that ends or raises cancels block and other tasks, and leaves as `TaskEndedError`, which names it.
    """

    def __init__(self) -> None:
        self._group = asyncio.TaskGroup()
        self._eternal: list[asyncio.Task[Any]] = []

    async def __aenter__(self) -> Self:
        await self._group.__aenter__()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        for task in self._eternal:
            task.cancel("its owner stops")
        try:
            await self._group.__aexit__(kind, error, traceback)
        except BaseExceptionGroup as group:
            # Before Python 3.13 a group that ends by an error forgets that it was cancelled meanwhile.
            owner = asyncio.current_task()
            if owner is not None and owner.cancelling():
                owner.uncancel()
                owner.cancel()
            # What the block itself raised says more than what that caused; among tasks, the first to fail.
            own = error is not None and error in group.exceptions
            raise (error if own and error is not None else group.exceptions[0]) from group

    def start(self, name: str, work: Coroutine[Any, Any, Any]) -> asyncio.Task[None]:
        """Start a task that goes on until its owner stops. `name` is in plain words."""
        task = self._group.create_task(self._guarded(name, work), name=name)
        self._eternal.append(task)
        # Cancelled before its first step, the task never gets to the work, which must not be left dangling.
        task.add_done_callback(lambda _: work.close())
        return task

    def once(self, name: str, work: Coroutine[Any, Any, T]) -> asyncio.Task[T]:
        """Start a task that may end by itself. What it raises ends all; leaving the block cancels it."""
        task = self._group.create_task(work, name=name)
        self._eternal.append(task)
        task.add_done_callback(self._eternal.remove)
        return task

    async def _guarded(self, name: str, work: Coroutine[Any, Any, Any]) -> None:
        try:
            await work
        except Exception as error:
            _log.exception("eternal task failed", task=name)
            raise TaskEndedError(f"the task '{name}' failed: {error}", metadata={"task": name}) from error
        _log.error("eternal task ended", task=name)
        raise TaskEndedError(f"the task '{name}' ended, and never should", metadata={"task": name})


def write_ready_file(path: Path | None, *, address: str, identifier: str = "", metrics: str = "") -> None:
    """Say in a file that the process serves: address, id, pid, metrics page. Appears whole or not at all."""
    if path is None:
        return
    facts = {"address": address, "id": identifier, "metrics": metrics, "pid": os.getpid()}
    content = json.dumps(facts, sort_keys=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        temporary.write_text(content + "\n", encoding="utf-8")
        temporary.replace(path)
    except OSError as error:
        with contextlib.suppress(OSError):
            temporary.unlink()
        raise OurError(
            f"cannot write the ready file {path}: {error.strerror}",
            reason="READY_FILE_UNUSABLE",
            remedy="Give --ready-file a path in a directory that this process may write to.",
            metadata={"path": str(path)},
        ) from error
