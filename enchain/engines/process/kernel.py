"""Processes as the kernel shows them in /proc: who they are, whose they are, and how to signal them safely.

Launching, stopping, supervising and measuring call it. A pid alone never names a process here: numbers are
used again, so identity is pid, start time and boot, and signals go through a pidfd that was checked after it
was opened. It never decides what to do with a process.
"""

import asyncio
import os
import signal
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

_PROC = Path("/proc")
_TICKS_PER_SECOND = os.sysconf("SC_CLK_TCK")
_CODES_MAX = 1024
"""Exit codes kept; the oldest are forgotten beyond it."""
_PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")


@dataclass(frozen=True, slots=True)
class Identity:
    """One process, for all time.

    Attributes:
        pid: Its number.
        start_ticks: When it began, in clock ticks since the boot.
        boot: The boot's id and the pid namespace's number.
    """

    pid: int
    start_ticks: int
    boot: str


@dataclass(frozen=True, slots=True)
class Stat:
    """What /proc/PID/stat says of a process."""

    pid: int
    state: str
    parent: int
    group: int
    session: int
    start_ticks: int
    cpu_seconds: float
    children_cpu_seconds: float
    resident_bytes: int

    @property
    def gone(self) -> bool:
        """It has ended, and at most waits for its parent to take notice."""
        return self.state in "ZXx"


def boot() -> str:
    """Answer what makes start times comparable: this boot and this pid namespace."""
    boot_id = (_PROC / "sys/kernel/random/boot_id").read_text().strip()
    return f"{boot_id}/{os.readlink('/proc/self/ns/pid')}"  # noqa: PTH115 - a link to no path


def stat_of(pid: int) -> Stat | None:
    """Answer a process's figures; None where there is no such process."""
    try:
        text = (_PROC / str(pid) / "stat").read_text(errors="replace")
    except (FileNotFoundError, ProcessLookupError):
        return None
    return parse_stat(text)


def parse_stat(text: str) -> Stat:
    """Read a line of /proc/PID/stat. The command in it may have blanks and brackets of its own."""
    pid, rest = text.split(" ", 1)
    fields = rest[rest.rindex(")") + 2 :].split()
    return Stat(
        pid=int(pid),
        state=fields[0],
        parent=int(fields[1]),
        group=int(fields[2]),
        session=int(fields[3]),
        start_ticks=int(fields[19]),
        cpu_seconds=(int(fields[11]) + int(fields[12])) / _TICKS_PER_SECOND,
        children_cpu_seconds=(int(fields[13]) + int(fields[14])) / _TICKS_PER_SECOND,
        resident_bytes=int(fields[21]) * _PAGE_BYTES,
    )


def all_stats() -> dict[int, Stat]:
    """Answer the figures of every process there is, by pid."""
    numbers = [int(name) for name in os.listdir(_PROC) if name.isdigit()]  # noqa: PTH208 - names, not paths
    return {pid: stat for pid in numbers if (stat := stat_of(pid)) is not None}


def age_seconds(start_ticks: int) -> float:
    """Answer how long ago a process of this boot began."""
    uptime = float((_PROC / "uptime").read_text().split()[0])
    return max(0.0, uptime - start_ticks / _TICKS_PER_SECOND)


def peak_memory_bytes(pid: int) -> int:
    """Answer the most memory that a process ever had resident; 0 where it is gone."""
    try:
        lines = (_PROC / str(pid) / "status").read_text(errors="replace").splitlines()
    except (FileNotFoundError, ProcessLookupError):
        return 0
    return next((int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM:")), 0)


def is_running(identity: Identity) -> bool:
    """Say whether this very process runs. A zombie does not."""
    if identity.boot != boot():
        return False
    stat = stat_of(identity.pid)
    return stat is not None and stat.start_ticks == identity.start_ticks and not stat.gone


def is_same_running(seen: Stat) -> bool:
    """Say whether the process that was seen still runs."""
    stat = stat_of(seen.pid)
    return stat is not None and stat.start_ticks == seen.start_ticks and not stat.gone


def marked_with(mark: str, pids: Iterable[int]) -> frozenset[int]:
    """Answer the processes that were started with `mark` (`NAME=value`) in their environment."""
    wanted = mark.encode()
    return frozenset(pid for pid in pids if wanted in _environment(pid))


def _environment(pid: int) -> list[bytes]:
    try:
        return (_PROC / str(pid) / "environ").read_bytes().split(b"\0")
    except OSError:  # it is gone, or somebody else's: then it is not ours
        return []


def family(
    stats: Mapping[int, Stat], *, leader: Identity | None, marked: frozenset[int], but: int
) -> list[Stat]:
    """Answer the living processes of a service: its session, the marked ones, and all their descendants.

    Args:
        stats: Every process there is.
        leader: The service's recorded process, of this boot; it led a session of its own.
        marked: Processes that carry the service's mark.
        but: The asking process, which is never one of them.
    """
    found = {pid for pid in marked if pid in stats}
    if leader is not None and _number_still_its_own(stats, leader):
        found |= {
            stat.pid
            for stat in stats.values()
            if stat.session == leader.pid and stat.start_ticks >= leader.start_ticks
        }
    children: dict[int, list[int]] = {}
    for stat in stats.values():
        children.setdefault(stat.parent, []).append(stat.pid)
    frontier = list(found)
    while frontier:
        new = [child for child in children.get(frontier.pop(), []) if child not in found]
        found.update(new)
        frontier.extend(new)
    return [stats[pid] for pid in sorted(found - {but}) if not stats[pid].gone]


def _number_still_its_own(stats: Mapping[int, Stat], leader: Identity) -> bool:
    # The kernel gives a number away again only when no process has it as its session any more.
    holder = stats.get(leader.pid)
    return holder is None or holder.start_ticks == leader.start_ticks


def send_signal(stat: Stat, number: signal.Signals) -> bool:
    """Signal this very process; False where it is gone already."""
    try:
        descriptor = os.pidfd_open(stat.pid)
    except ProcessLookupError:
        return False
    try:
        current = stat_of(stat.pid)  # the pidfd holds the number: what we see now is what we signal
        if current is None or current.start_ticks != stat.start_ticks:
            return False
        signal.pidfd_send_signal(descriptor, number)
    except ProcessLookupError:
        return False
    finally:
        os.close(descriptor)
    return True


async def ended(identity: Identity) -> None:
    """Wait until a process has ended, whoever its parent is."""
    try:
        descriptor = os.pidfd_open(identity.pid)
    except ProcessLookupError:
        return
    loop = asyncio.get_running_loop()
    gone = asyncio.Event()
    try:
        loop.add_reader(descriptor, gone.set)
        if is_running(identity):
            await gone.wait()
    finally:
        loop.remove_reader(descriptor)
        os.close(descriptor)


class Offspring:
    """The processes that this instance started: their exit codes are readable by it alone, and once."""

    def __init__(self) -> None:
        self._codes: dict[int, int | None] = {}

    def adopt(self, pid: int) -> None:
        """Remember a child that was just started."""
        self._codes.pop(pid, None)  # the number of an earlier one
        self._codes[pid] = None
        ended = [each for each, code in self._codes.items() if code is not None]
        for each in ended[: max(0, len(ended) - _CODES_MAX)]:
            del self._codes[each]

    def exit_code(self, pid: int) -> int | None:
        """Answer how a child ended (`-N` by signal N); None where it runs or is nobody's child of ours."""
        if self._codes.get(pid) is None:
            self._codes[pid] = _reap(pid)
        return self._codes[pid]

    def reap(self) -> None:
        """Take notice of every child that has ended, so that none stays a zombie."""
        for pid in list(self._codes):
            self.exit_code(pid)


def _reap(pid: int) -> int | None:
    try:
        reaped, status = os.waitpid(pid, os.WNOHANG)
    except ChildProcessError:
        return None
    return os.waitstatus_to_exitcode(status) if reaped else None
