"""A real worker process: what it answers, and what becomes of whoever asks when it dies, hangs or raves."""

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator

import numpy as np
import pytest

from controlplane.forecast.quantiles import LEVELS
from controlplane.forecast.series import Series, Window
from controlplane.forecast.worker.client import Worker
from controlplane.forecast.worker.frames import Frame
from controlplane.forecast.worker.wire import windows_out
from enchain.chains.errors import EnchainError, MalformedError, OurError, UnavailableError
from enchain.process.clock import ManualClock
from tests.harness.waiting import eventually

DEADLINE = 60.0


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
async def worker(clock: ManualClock) -> AsyncIterator[Worker]:
    worker = Worker("test", clock)
    yield worker
    await worker.close()


async def _forecast(worker: Worker, deadline: float = DEADLINE) -> Frame:
    said, arrays = windows_out([Window(Series("a", 0, 300, np.arange(600.0)))])
    body = {
        "windows": said,
        "horizon": 12,
        "seed": 1,
        "wanted": {"SeasonalNaive": [0], "Naive": [0], "LSTM": [0]},
        "artifacts": {"LSTM": "/nowhere"},
        "budget": 5.0,
    }
    return await worker.ask("forecast", body, arrays, deadline_seconds=deadline)


async def test_it_forecasts_and_says_which_models_it_had_to_leave_out(worker: Worker) -> None:
    answer = await _forecast(worker)

    assert answer.arrays["SeasonalNaive"].shape == (1, 12, len(LEVELS))
    assert np.isfinite(answer.arrays["Naive"]).all()
    assert "LSTM" not in answer.arrays
    assert "LSTM" in answer.body["failures"]


async def test_one_that_is_killed_while_asked_is_told_and_another_one_comes(
    worker: Worker, clock: ManualClock
) -> None:
    await _forecast(worker)
    first = worker.pid
    assert first is not None
    os.kill(first, signal.SIGSTOP)
    asked = asyncio.create_task(_forecast(worker))
    await asyncio.sleep(0)
    os.kill(first, signal.SIGKILL)

    with pytest.raises(UnavailableError) as died:
        await asked
    with pytest.raises(UnavailableError) as down:
        await _forecast(worker)
    clock.advance(60)
    answer = await _forecast(worker)

    assert died.value.reason == "WORKER_DIED"
    assert down.value.reason == "WORKER_DOWN"
    assert np.isfinite(answer.arrays["Naive"]).all()
    assert worker.pid not in {None, first}


async def test_one_that_hangs_is_ended_at_the_deadline(worker: Worker) -> None:
    await _forecast(worker)
    pid = worker.pid
    assert pid is not None
    os.kill(pid, signal.SIGSTOP)

    with pytest.raises(UnavailableError) as error:
        await _forecast(worker, deadline=0.1)

    assert error.value.reason == "WORKER_DEADLINE"
    assert worker.pid is None
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


async def test_whoever_gives_up_leaves_no_answer_for_the_next(worker: Worker, clock: ManualClock) -> None:
    await _forecast(worker)
    pid = worker.pid
    assert pid is not None
    os.kill(pid, signal.SIGSTOP)
    asked = asyncio.create_task(_forecast(worker))
    await asyncio.sleep(0)
    asked.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asked
    clock.advance(60)

    assert (await _forecast(worker)).number == 3


async def test_rubbish_on_the_pipe_is_told(clock: ManualClock) -> None:
    raving = Worker("test", clock, command=[sys.executable, "-c", "print('hello, this is no frame' * 99)"])

    with pytest.raises(MalformedError):
        await _forecast(raving)


async def test_what_it_does_not_know_is_refused_and_it_lives_on(worker: Worker) -> None:
    with pytest.raises(OurError) as error:
        await worker.ask("juggle", {"windows": []}, {}, deadline_seconds=DEADLINE)

    assert error.value.reason == "UNKNOWN_TASK"
    assert np.isfinite((await _forecast(worker)).arrays["Naive"]).all()


async def test_it_ends_with_its_parent() -> None:
    program = (
        "import asyncio\n"
        "from controlplane.forecast.worker.client import Worker\n"
        "from enchain.process.clock import SystemClock\n"
        "async def main():\n"
        "    worker = Worker('test', SystemClock())\n"
        "    try:\n"
        "        await worker.ask('juggle', {'windows': []}, {}, deadline_seconds=60)\n"
        "    except Exception:\n"
        "        print(worker.pid, flush=True)\n"
        "    await asyncio.Event().wait()\n"
        "asyncio.run(main())\n"
    )
    parent = await asyncio.create_subprocess_exec(
        sys.executable, "-c", program, stdout=asyncio.subprocess.PIPE
    )
    assert parent.stdout is not None
    pid = int(await parent.stdout.readline())
    parent.kill()
    await parent.wait()

    def gone() -> bool:
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            return True
        return False

    await eventually(gone)


async def test_the_reason_of_a_fault_is_kept_for_the_forecast() -> None:
    from controlplane.forecast.worker.client import reason_of

    assert reason_of(UnavailableError("x", reason="WORKER_DIED")) == "WORKER_DIED"
    assert reason_of(EnchainError("x", reason="NO_FRAME")) == "WORKER_FAILED"
