"""An event loop in virtual time, on which several processes live, freeze and die.

The world of a simulation makes one. Time stands still while anything is ready and then jumps to the next
timer, so that a minute costs what is done in it. Nothing here reads a real clock, and sets of tasks keep one
order, so that a run is the same each time.

Every handle belongs to the process in whose context it was made. Handles of a frozen process wait until it
thaws, timers that came due meanwhile included; those of a dead one never run, so that not even a `finally`
does.
"""

import asyncio
import heapq
import itertools
from collections import deque
from collections.abc import Callable, Coroutine
from contextvars import Context, ContextVar, copy_context
from datetime import UTC, datetime, timedelta
from enum import Enum
from typing import Any

EPOCH = datetime(2026, 3, 1, 12, tzinfo=UTC)

_numbers = itertools.count()


class Life(Enum):
    """How a process stands."""

    RUNNING = "runs"
    FROZEN = "is frozen"
    DEAD = "is dead"


class Process:
    """One simulated process: a clock of its own, and all handles made in its context.

    Attributes:
        name: What it is called in the trace.
        life: How it stands.
        offset: How far its wall clock is off, in seconds.
    """

    def __init__(self, loop: "VirtualLoop", name: str) -> None:
        self._loop = loop
        self.name = name
        self.life = Life.RUNNING
        self.offset = 0.0
        self.waiting: deque[asyncio.Handle] = deque()
        self.tasks: list[asyncio.Task[Any]] = []
        self._context = copy_context()
        self._context.run(PROCESS.set, self)

    def start(self, name: str, work: Coroutine[Any, Any, Any]) -> asyncio.Task[Any]:
        """Run a task as a part of this process."""
        return self._loop.create_task(work, name=name, context=self._context.copy())

    def later(self, seconds: float, tell: Callable[..., object], *arguments: Any) -> None:
        """Call something as a part of this process, not before so much time has passed."""
        self._loop.call_later(seconds, tell, *arguments, context=self._context)

    def freeze(self) -> None:
        """Stop it in the middle, as SIGSTOP does."""
        if self.life is Life.RUNNING:
            self.life = Life.FROZEN

    def thaw(self) -> None:
        """Let it go on."""
        if self.life is Life.FROZEN:
            self.life = Life.RUNNING
            self._loop.again(self.waiting)

    def kill(self) -> None:
        """End it at once, as SIGKILL does."""
        self.life = Life.DEAD

    def bury(self) -> None:
        """Let what is left of it unwind, once nothing that it does has an effect any more."""
        self.life = Life.RUNNING
        self._loop.again(self.waiting)
        for task in self.tasks:
            if not task.done():
                task.cancel()


PROCESS: ContextVar[Process | None] = ContextVar("process", default=None)


class _Task(asyncio.Task[Any]):
    """A task whose place in a set depends on when it was made and not on where it lies in memory."""

    __slots__ = ("_number",)

    def __init__(self, *arguments: Any, **options: Any) -> None:
        self._number = next(_numbers)
        super().__init__(*arguments, **options)

    def __hash__(self) -> int:
        return self._number


class _Future(asyncio.Future[Any]):
    """A future of the same kind."""

    __slots__ = ("_number",)

    def __init__(self, *arguments: Any, **options: Any) -> None:
        self._number = next(_numbers)
        super().__init__(*arguments, **options)

    def __hash__(self) -> int:
        return self._number


class DeadlockError(Exception):
    """Nothing is ready and no timer runs: the simulated world stands still for ever."""


class VirtualLoop(asyncio.BaseEventLoop):
    """The loop.

    Attributes:
        turns: How many handles it has run.
        troubles: What was told to the exception handler.
    """

    _ready: "deque[asyncio.Handle]"

    def __init__(self) -> None:
        super().__init__()
        self._moment = 0.0
        self._timers: list[tuple[float, int, asyncio.TimerHandle]] = []
        self._count = 0
        self.turns = 0
        self.troubles: list[str] = []
        self._nobody = Context()
        self.set_exception_handler(self._on_trouble)

    def time(self) -> float:
        """Answer the virtual seconds since the beginning."""
        return self._moment

    def process(self, name: str) -> Process:
        """Make a process."""
        return Process(self, name)

    def create_task(
        self, coro: Any, *, name: Any = None, context: Context | None = None
    ) -> asyncio.Task[Any]:
        """Make a task; it belongs to the process in whose context it was made."""
        task = _Task(coro, loop=self, name=name, context=context)
        owner = (context or copy_context()).get(PROCESS)
        if owner is not None:
            owner.tasks.append(task)
            if len(owner.tasks) > 256:
                owner.tasks = [kept for kept in owner.tasks if not kept.done()]
        return task

    def create_future(self) -> "asyncio.Future[Any]":
        """Make a future."""
        return _Future(loop=self)

    def outside(self, seconds: float, tell: Callable[..., object], *arguments: Any) -> None:
        """Call something that belongs to no process, such as a message on its way."""
        self.call_later(seconds, tell, *arguments, context=self._nobody)

    def again(self, handles: "deque[asyncio.Handle]") -> None:
        """Take up handles that had to wait."""
        self._ready.extend(handles)
        handles.clear()

    def run_in_executor(  # type: ignore[override]  # typeshed's is generic in variadic types
        self, executor: Any, func: Callable[..., Any], *arguments: Any
    ) -> "asyncio.Future[Any]":
        """Do it at once: there are no threads."""
        del executor
        future = self.create_future()
        try:
            future.set_result(func(*arguments))
        except Exception as error:  # noqa: BLE001 - whoever awaits it gets it
            future.set_exception(error)
        return future

    def call_at(  # type: ignore[override]  # the same but for variadic types
        self, when: float, callback: Callable[..., object], *arguments: Any, context: Context | None = None
    ) -> asyncio.TimerHandle:
        """Call something at a moment; what has the same moment comes in the order of asking."""
        timer = asyncio.TimerHandle(when, callback, arguments, self, context)
        timer._scheduled = True  # type: ignore[attr-defined]  # asyncio's own field, left out of typeshed
        self._count += 1
        heapq.heappush(self._timers, (when, self._count, timer))
        return timer

    def _run_once(self) -> None:
        """Run what is ready; where nothing is, jump to the next timer."""
        timers, ready = self._timers, self._ready
        while timers and timers[0][2]._cancelled:
            heapq.heappop(timers)
        if not ready:
            if not timers:
                raise DeadlockError
            self._moment = max(self._moment, timers[0][0])
        while timers and timers[0][0] <= self._moment:
            timer = heapq.heappop(timers)[2]
            if not timer._cancelled:
                ready.append(timer)
        for _ in range(len(ready)):
            self._run(ready.popleft())

    def _run(self, handle: asyncio.Handle) -> None:
        if handle._cancelled:
            return
        process: Process | None = handle._context.get(PROCESS)  # type: ignore[attr-defined]  # asyncio's own
        if process is None or process.life is Life.RUNNING:
            self.turns += 1
            handle._run()
        else:
            process.waiting.append(handle)

    def _on_trouble(self, _loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        self.troubles.append(f"{context.get('message')}: {context.get('exception')!r}")

    def _timer_handle_cancelled(self, handle: asyncio.TimerHandle) -> None:
        """Cancelled timers are passed over when their time comes."""

    def _process_events(self, event_list: Any) -> None:
        """There are none."""

    def _write_to_self(self) -> None:
        """There is nobody to wake."""


class ProcessClock:
    """The clock of one process, on the loop's time; it keeps the `Clock` port."""

    def __init__(self, loop: VirtualLoop, process: Process) -> None:
        self._loop = loop
        self._process = process

    def now(self) -> datetime:
        """Answer the wall time as this process has it."""
        return EPOCH + timedelta(seconds=self._loop.time() + self._process.offset)

    def monotonic(self) -> float:
        """Answer the monotonic seconds."""
        return self._loop.time()

    async def sleep(self, seconds: float) -> None:
        """Wait."""
        future = self._loop.create_future()
        handle = self._loop.call_later(max(seconds, 0), _wake, future)
        try:
            await future
        finally:
            handle.cancel()


def _wake(future: "asyncio.Future[None]") -> None:
    if not future.done():
        future.set_result(None)
