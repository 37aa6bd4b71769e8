"""The leader's end of the pipe: asks a worker process, and starts another one where it has died.

The forecasting loop and the jobs own one each. A question has a deadline; a worker that misses it is killed,
since a library that hangs cannot be asked to stop. Whoever asks gets an error with a reason and goes on
without; the next question starts a new process, not sooner than a backoff allows.
"""

import asyncio
import contextlib
import os
import signal
import sys
from collections.abc import Mapping, Sequence
from typing import Any

from controlplane.forecast.port import Told, silent
from controlplane.forecast.series import FloatArray
from controlplane.forecast.worker.frames import HEAD_BYTES, Frame, lengths, pack, unpack
from enchain.chains.errors import EnchainError, OurError, PeerError, UnavailableError
from enchain.process.clock import Clock
from enchain.process.logs import get_logger
from enchain.process.parenthood import ending_with_parent
from enchain.process.telemetry import meter

MODULE = "controlplane.forecast.worker.main"

BACKOFF_SECONDS = 1.0
BACKOFF_SECONDS_MAX = 60.0

PIPE_SECONDS = 5.0
"""How long the end of a killed worker's pipe is waited for: a tool that left its group may hold it open."""

_log = get_logger(__name__)
_starts = meter(__name__).create_counter(
    "enchain.forecast.worker_starts", "{process}", "Worker processes started."
)
_deaths = meter(__name__).create_counter(
    "enchain.forecast.worker_deaths", "{process}", "Worker processes that died or were killed while asked."
)


class Worker:
    """One worker process, started when it is first asked.

    Args:
        name: For logs and metrics: `forecasts` or `jobs`.
        clock: Time.
        environment: Of the process; None for ours.
        command: What to start instead of the worker's module, for tests.
    """

    def __init__(
        self,
        name: str,
        clock: Clock,
        *,
        environment: Mapping[str, str] | None = None,
        command: Sequence[str] | None = None,
    ) -> None:
        self._name = name
        self._clock = clock
        self._environment = {**os.environ, **(environment or {})}
        self._command = list(command or [sys.executable, "-m", MODULE])
        self._process: asyncio.subprocess.Process | None = None
        self._turn = asyncio.Lock()
        self._endings: set[asyncio.Task[None]] = set()
        self._number = 0
        self._failures = 0
        self._not_before = 0.0

    @property
    def pid(self) -> int | None:
        """The process, where one runs."""
        process = self._process
        return process.pid if process is not None and process.returncode is None else None

    async def ask(
        self,
        kind: str,
        body: Mapping[str, Any],
        arrays: Mapping[str, FloatArray],
        *,
        deadline_seconds: float,
        told: Told = silent,
    ) -> Frame:
        """Ask, and wait for the answer.

        Raises:
            UnavailableError: The worker died (`WORKER_DIED`), missed the deadline (`WORKER_DEADLINE`), or has
                died so lately that no other is started yet (`WORKER_DOWN`).
            OurError: It answered that it failed; the message is its own.
        """
        async with self._turn:
            self._number += 1
            frame = Frame(kind, self._number, body, arrays)
            try:
                async with asyncio.timeout(deadline_seconds):
                    answer = await self._exchange(frame, told)
            except TimeoutError as error:
                await self._end("deadline")
                raise UnavailableError(
                    f"the forecasting worker did not answer within {deadline_seconds:.0f} s and was ended",
                    reason="WORKER_DEADLINE",
                ) from error
            except (OSError, asyncio.IncompleteReadError) as error:
                await self._end("died")
                raise UnavailableError("the forecasting worker died", reason="WORKER_DIED") from error
            except (PeerError, asyncio.CancelledError):
                # What is left on the pipe belongs to nobody.
                await self._end("pipe given up")
                raise
        self._failures = 0
        if answer.kind == "failed":
            raise OurError(
                str(answer.body["description"]),
                reason=str(answer.body["reason"]),
                remedy=str(answer.body["remedy"]),
            )
        return answer

    async def close(self) -> None:
        """End the process, and wait for the end of others whose asker was cancelled while it waited."""
        await self._end("")
        await asyncio.gather(*self._endings)

    async def _exchange(self, frame: Frame, told: Told) -> Frame:
        process = await self._running()
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(pack(frame))
        await process.stdin.drain()
        while True:
            said, data = lengths(await process.stdout.readexactly(HEAD_BYTES))
            answer = unpack(await process.stdout.readexactly(said), await process.stdout.readexactly(data))
            if answer.number != frame.number:
                raise PeerError("the worker answered another question", reason="NO_FRAME")
            if answer.kind != "progress":
                return answer
            told(float(answer.body["progress"]), str(answer.body["activity"]))

    async def _running(self) -> asyncio.subprocess.Process:
        if self._process is not None and self._process.returncode is None:
            return self._process
        if self._clock.monotonic() < self._not_before:
            raise UnavailableError(
                "the forecasting worker is down; it is started again soon", reason="WORKER_DOWN"
            )
        self._process = await asyncio.create_subprocess_exec(
            *ending_with_parent(self._command),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            env=self._environment,
            start_new_session=True,
        )
        _starts.add(1, {"worker": self._name})
        _log.info("worker started", worker=self._name, pid=self._process.pid)
        return self._process

    async def _end(self, why: str) -> None:
        """Kill the process, and wait for its end."""
        process, self._process = self._process, None
        if why:
            backoff = min(BACKOFF_SECONDS * 2**self._failures, BACKOFF_SECONDS_MAX)
            self._failures += 1
            self._not_before = self._clock.monotonic() + backoff
            _deaths.add(1, {"worker": self._name, "reason": why})
            _log.warning("worker ended", worker=self._name, reason=why)
        if process is None:
            return
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        ending = asyncio.create_task(_ended(process), name=f"end of worker {self._name}")
        self._endings.add(ending)
        ending.add_done_callback(self._endings.discard)
        await asyncio.shield(ending)


async def _ended(process: asyncio.subprocess.Process) -> None:
    """Wait for a killed process and the ends of its pipes: else they stay open until they are collected."""
    await process.wait()
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.close()
    with contextlib.suppress(OSError):
        await process.stdin.wait_closed()
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(PIPE_SECONDS):
            while await process.stdout.read(2**16):
                pass


def reason_of(error: EnchainError) -> str:
    """Answer the reason that a forecast shows for the models it goes without."""
    return error.reason if error.reason.startswith("WORKER_") else "WORKER_FAILED"
