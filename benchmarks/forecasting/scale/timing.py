"""A worker that notes what each of its answers took, and what processes have used. Only the benchmark's."""

import os
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from controlplane.forecast.port import Told, silent
from controlplane.forecast.series import FloatArray
from controlplane.forecast.worker.client import Worker
from controlplane.forecast.worker.frames import Frame
from controlplane.loops.forecast_house import THREADS
from enchain.process.clock import Clock

KIB = 1024


@dataclass(frozen=True, slots=True)
class Asked:
    """One question: its kind, and what it took.

    Attributes:
        kind: Of the frame.
        wall: Seconds until the answer.
        cpu: Seconds of CPU of the worker.
        seconds: By model, as the worker told.
        pending: Fits that were left undone.
        failures: By model that failed: reason and words.
    """

    kind: str
    wall: float
    cpu: float
    seconds: Mapping[str, float] = field(default_factory=dict)
    pending: int = 0
    failures: Mapping[str, Sequence[str]] = field(default_factory=dict)


class TimedWorker(Worker):
    """A worker as the leader has it; what it was asked lies in `asked`.

    Args:
        name: Of the worker.
        clock: Time.
    """

    def __init__(self, name: str, clock: Clock) -> None:
        super().__init__(name, clock, environment=THREADS)
        self.asked: list[Asked] = []

    async def ask(
        self,
        kind: str,
        body: Mapping[str, Any],
        arrays: Mapping[str, FloatArray],
        *,
        deadline_seconds: float,
        told: Told = silent,
    ) -> Frame:
        """See `Worker.ask`."""
        began, used = time.perf_counter(), cpu_seconds(self.pid)
        answer = await super().ask(kind, body, arrays, deadline_seconds=deadline_seconds, told=told)
        wall, cpu = time.perf_counter() - began, cpu_seconds(self.pid) - used
        seconds, pending = answer.body.get("seconds", {}), int(answer.body.get("pending", 0))
        if isinstance(seconds, dict):
            self.asked.append(Asked(kind, wall, cpu, seconds, pending, answer.body.get("failures", {})))
        return answer

    def taken(self) -> list[Asked]:
        """Answer what was asked since the last time."""
        answer, self.asked = self.asked, []
        return answer


def cpu_seconds(pid: int | None) -> float:
    """Answer the CPU seconds that a process has used, its children left out; 0 where there is none."""
    if pid is None:
        return 0.0
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def memory_mib(pid: int, what: str = "VmRSS") -> float:
    """Answer resident memory of a process, its children left out: now (`VmRSS`) or at most (`VmHWM`)."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith(f"{what}:"):
            return int(line.split()[1]) / KIB
    return 0.0
