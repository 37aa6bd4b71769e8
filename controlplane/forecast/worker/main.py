"""The worker process: `python -m controlplane.forecast.worker.main`. Only `worker.client` starts it.

It answers one frame after another on its standard streams and keeps what models have learned in memory. It
may be killed at any time: whatever must outlive it is an artifact on disk, written whole. What libraries
print goes to standard error, so that nothing but frames is on the pipe. It talks to nobody else.
"""

import os
import sys
import time
from typing import BinaryIO

from controlplane.forecast.worker.frames import HEAD_BYTES, Frame, lengths, pack, unpack
from controlplane.forecast.worker.tasks import Tasks
from enchain.chains.errors import EnchainError
from enchain.process.logs import configure_logs, get_logger

PROGRESS_SECONDS = 0.2
"""Progress is told no oftener than this."""

_log = get_logger(__name__)


def main() -> int:
    """Answer until the pipe ends."""
    asked, answers = _pipe()
    configure_logs("enchain-forecast-worker")
    tasks = Tasks(monotonic=time.monotonic)
    while head := asked.read(HEAD_BYTES):
        said, data = lengths(head)
        frame = unpack(asked.read(said), asked.read(data))
        answers.write(pack(_answer(tasks, frame, answers)))
        answers.flush()
    return 0


def _pipe() -> tuple[BinaryIO, BinaryIO]:
    """Answer the two ends; from here on, what anything prints goes to standard error."""
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    return os.fdopen(os.dup(0), "rb"), answers


def _answer(tasks: Tasks, frame: Frame, answers: BinaryIO) -> Frame:
    told_at = -PROGRESS_SECONDS

    def told(progress: float, activity: str) -> None:
        nonlocal told_at
        if (now := time.monotonic()) - told_at >= PROGRESS_SECONDS:
            told_at = now
            said = {"progress": progress, "activity": activity}
            answers.write(pack(Frame("progress", frame.number, said)))
            answers.flush()

    try:
        body, arrays = tasks.do(frame, told)
    except EnchainError as error:
        said = {"reason": error.reason, "description": error.message, "remedy": error.remedy}
        return Frame("failed", frame.number, said)
    except Exception as error:  # noqa: BLE001 - told to whoever asked, and the process lives on
        _log.exception("worker failed", kind=frame.kind)
        said = {"reason": "WORKER_FAILED", "description": f"{type(error).__name__}: {error}", "remedy": ""}
        return Frame("failed", frame.number, said)
    return Frame("done", frame.number, body, arrays)


if __name__ == "__main__":
    sys.exit(main())
