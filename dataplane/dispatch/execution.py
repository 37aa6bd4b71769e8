"""One operation, run by this router: events in, the pipeline machine, effects out.

`executing` owns the task `run`. Everything that happens reaches the machine one at a time. What is
durable is committed before it is shown, and a call is made only after the commit before it. A client that
goes away stops nothing here.
"""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Coroutine
from contextlib import aclosing
from dataclasses import dataclass
from random import Random
from typing import Any, TypeVar

from dataplane.dispatch.engines import Engines, Token
from dataplane.dispatch.fanout import Fanout
from dataplane.dispatch.pool import Place, Pool
from dataplane.journal.journal import Journal
from dataplane.journal.ownership import Owned
from dataplane.routing import calling, events, journaling, pipeline, runs
from dataplane.routing.effects import (
    CallApply,
    CallCancel,
    CallDestroy,
    Checkpoint,
    Choose,
    Effect,
    Finish,
    Hold,
    Show,
    Wait,
    WriteIntent,
)
from dataplane.routing.leaving import resource_of
from dataplane.routing.runs import Run
from enchain.chains.errors import UnavailableError
from enchain.process.clock import Clock
from enchain.process.logs import get_logger
from enchain.process.telemetry import tracer
from enchain.v1 import operation_pb2

T = TypeVar("T")

QUEUE_MAX = 64
"""Events that the call at hand may be ahead of the machine; the engine's stream waits then."""

COMMIT_BACKOFF_SECONDS = 0.2
COMMIT_BACKOFF_SECONDS_MAX = 3.0

FENCE_SECONDS = 3.0
"""Nothing is asked of engines while the lease is certain for less than this."""

FENCE_POLL_SECONDS = 0.2

_log = get_logger(__name__)
_tracer = tracer(__name__)


@dataclass(frozen=True, slots=True)
class Means:
    """What an execution works with.

    Attributes:
        journal: Writes.
        pool: Places on instances.
        engines: Calls.
        fanout: Shows.
        clock: Time.
        rng: Jitter.
        remaining: For how many seconds the router's lease certainly stands.
        stands: Whether a lease, by id, is the router's and not lost.
    """

    journal: Journal
    pool: Pool
    engines: Engines
    fanout: Fanout
    clock: Clock
    rng: Random
    remaining: Callable[[], float]
    stands: Callable[[int], bool]


class Execution:
    """Runs one operation until it rests or belongs to somebody else.

    Args:
        means: What it works with.
        owned: The ownership.
        run: The operation as it stands in the journal.
        epoch: The store's epoch, for fencing.
        first: What happened last: it was admitted, adopted or retried.
        shown: Sequence of the newest durable event that needs not be shown again.
    """

    def __init__(
        self, means: Means, owned: Owned, run: Run, *, epoch: int, first: events.Event, shown: int
    ) -> None:
        self._means = means
        self.owned = owned
        self.run_state = run
        self._token = Token(epoch, owned.token)
        self._urgent: deque[events.Event] = deque([first])
        self._happened: asyncio.Queue[events.Event] = asyncio.Queue(QUEUE_MAX)
        self._stirred = asyncio.Event()
        self._shown = shown
        self._work: asyncio.Task[None] | None = None
        self._place: Place | None = None
        self._cancels: set[asyncio.Task[None]] = set()
        self._fault: BaseException | None = None

    @property
    def name(self) -> str:
        """The operation's name."""
        return str(self.owned.name)

    def tell(self, event: events.Event) -> None:
        """Let the machine know of something that comes from outside, such as a cancel."""
        self._urgent.append(event)
        self._stirred.set()

    async def run(self) -> None:
        """Run it.

        Raises:
            DisplacedError: This router is not the owner any more.
        """
        try:
            self._show()
            while runs.alarm(self.run_state) is not None or self._urgent:
                event = await self._next()
                if event is not None:
                    await self._take(event)
        finally:
            await self._rest()

    async def _take(self, event: events.Event) -> None:
        now, jitter = self._means.clock.now(), self._means.rng.random()
        try:
            self.run_state, effects = pipeline.step(self.run_state, event, now, jitter)
        except pipeline.IllegalEventError as error:
            # A timer or a signal may cross with a result; anything else is a bug, and told as one.
            _log.warning("event ignored", operation=self.name, kind=type(event).__name__, why=error.message)
            return
        for effect in effects:
            await self._perform(effect)

    # --- waiting for what happens

    async def _next(self) -> events.Event | None:
        """Wait for the next event, but no longer than the machine wants to sleep; None to look again."""
        if self._fault is not None:
            raise self._fault
        if self._urgent:
            return self._urgent.popleft()
        if not self._happened.empty():
            return self._happened.get_nowait()
        alarm = runs.alarm(self.run_state)
        if alarm is None:
            return None
        delay = (alarm.at - self._means.clock.now()).total_seconds()
        if delay <= 0:
            return alarm.event
        await self._stir_or_sleep(delay)
        return None

    async def _stir_or_sleep(self, seconds: float) -> None:
        self._stirred.clear()
        if self._urgent or not self._happened.empty() or self._fault is not None:
            return
        stirred = asyncio.create_task(self._stirred.wait(), name=f"wait for events of {self.name}")
        slept = asyncio.create_task(self._means.clock.sleep(seconds), name=f"wait for time of {self.name}")
        try:
            await asyncio.wait({stirred, slept}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            stirred.cancel()
            slept.cancel()

    # --- performing

    async def _perform(self, effect: Effect) -> None:
        match effect:
            case WriteIntent() | Checkpoint():
                await self._commit(self._checkpoint)
            case Hold():
                await self._rest()
                await self._commit(self._hold)
            case Finish():
                await self._rest()
                await self._commit(self._finish)
            case Choose():
                await self._choose(effect)
            case CallApply() | CallDestroy():
                await self._start(f"call the engine for {self.name}", self._call(effect))
            case CallCancel():
                self._cancel(effect)
            case Show():
                self._means.fanout.publish(self.name, effect.event)
            case Wait():
                await self._drop_work()

    async def _commit(self, write: Callable[[], Awaitable[None]]) -> None:
        """Write, and show what is durable now. While the store is away, wait: nothing may be shown."""
        pause = COMMIT_BACKOFF_SECONDS
        while True:
            try:
                await write()
            except UnavailableError as error:
                _log.warning("commit waits for the store", operation=self.name, reason=error.reason)
                await self._means.clock.sleep(pause * self._means.rng.random())
                pause = min(pause * 2, COMMIT_BACKOFF_SECONDS_MAX)
            else:
                return self._show()

    async def _checkpoint(self) -> None:
        self.owned = await self._means.journal.checkpoint(self.owned, self.run_state.operation)

    async def _hold(self) -> None:
        resource = resource_of(self.run_state, self._means.clock.now())
        await self._means.journal.hold(self.owned, self.run_state.operation, resource)

    async def _finish(self) -> None:
        resource = resource_of(self.run_state, self._means.clock.now())
        await self._means.journal.finish(self.owned, self.run_state.operation, resource)

    def _show(self) -> None:
        operation = self.run_state.operation
        for event in journaling.after(operation, self._shown):
            self._means.fanout.publish(self.name, event)
        self._shown = operation.last_sequence

    async def _choose(self, wanted: Choose) -> None:
        """Take a place now, or stand in the queue for one."""
        await self._drop_work()
        place = self._means.pool.take(wanted)
        if place is not None:
            self._place = place
            self._urgent.append(_chosen(wanted, place))
            return
        self._say_waiting(wanted)
        self._urgent.append(events.CapacityAwaited(wanted.step))
        await self._start(f"wait for a place for {self.name}", self._wait_for_place(wanted))

    def _say_waiting(self, wanted: Choose) -> None:
        step = runs.step_name(self.run_state.operation.steps[wanted.step])
        told = f"waits for a free instance of {wanted.engine} {wanted.version}".rstrip()
        progress = operation_pb2.StepProgress(step=step, message=told)
        event = operation_pb2.OperationEvent(operation=self.name, step_progress=progress)
        event.time.FromDatetime(self._means.clock.now())
        self._means.fanout.publish(self.name, event)

    async def _wait_for_place(self, wanted: Choose) -> None:
        place = await self._means.pool.wait(wanted)
        if place is None:
            await self._put(events.NoInstance(wanted.step, "too many steps wait for instances"))
            return
        self._place = place
        await self._put(_chosen(wanted, place))

    async def _call(self, effect: CallApply | CallDestroy) -> None:
        """Send the call and hand on what comes back."""
        step = self.run_state.operation.steps[effect.step]
        await self._fence()
        if effect.again or self._place is None:
            self._give_back()
            wanted = calling.choose(self.run_state, effect.step)
            self._place = self._means.pool.hold(wanted, step.intent.instance)
        if self._place is None:
            reason = f"no instance of {step.engine} is left in the scope {step.intent.scope}"
            await self._put(events.StepUnreachable(effect.step, reason))
            return
        name = f"enchain.step {runs.step_name(step)}"
        attributes = {"enchain.engine": step.engine, "enchain.instance": self._place.instance.name}
        with _tracer.start_as_current_span(name, attributes=attributes):
            happened = self._means.engines.run(effect, self._place.instance, self._token, fence=self._fence)
            async with aclosing(happened):
                async for event in happened:
                    await self._put(event)

    async def _fence(self) -> None:
        """Ask nothing of engines while this router may have lost its lease."""
        while self._means.remaining() < FENCE_SECONDS:
            await self._means.clock.sleep(FENCE_POLL_SECONDS)

    def _cancel(self, effect: CallCancel) -> None:
        place, step = self._place, self.run_state.operation.steps[effect.step]
        if place is None:
            return
        call = calling.step_call(self.run_state, effect.step)
        name = f"cancel step {runs.step_name(step)} of {self.name}"

        async def ask() -> None:
            await self._fence()
            await self._means.engines.cancel(call, place.instance, self._token, effect.reason)

        task = self._guarded(name, ask())
        self._cancels.add(task)
        task.add_done_callback(self._cancels.discard)

    async def _rest(self) -> None:
        """Ask nothing in the name of an operation that is given up: whoever goes on with it decides anew."""
        await self._drop_work()
        for task in self._cancels:
            task.cancel()

    # --- the one piece of work under way

    async def _start(self, name: str, work: Coroutine[Any, Any, None]) -> None:
        """Start what the step at hand needs; there is never more than one such task."""
        await self._stop_task()
        self._work = self._guarded(name, work)

    def _guarded(self, name: str, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = asyncio.create_task(self._guard(work), name=name)
        # Cancelled before its first step, the task never gets to the work, which must not be left dangling.
        task.add_done_callback(lambda _: work.close())
        return task

    async def _guard(self, work: Coroutine[Any, Any, None]) -> None:
        try:
            await work
        except asyncio.CancelledError:
            raise
        except BaseException as error:  # noqa: BLE001 - `run` raises it
            self._fault = error
            self._stirred.set()

    async def _put(self, event: events.Event) -> None:
        await self._happened.put(event)
        self._stirred.set()

    async def _drop_work(self) -> None:
        """End what is under way for the step at hand, and give its place back."""
        await self._stop_task()
        choosing = events.InstanceChosen | events.CapacityAwaited
        self._urgent = deque(event for event in self._urgent if not isinstance(event, choosing))
        self._give_back()

    async def _stop_task(self) -> None:
        task, self._work = self._work, None
        if task is not None and not task.done():
            task.cancel("the step has moved on")
            await asyncio.wait([task])
        while not self._happened.empty():
            self._happened.get_nowait()  # of a call that is over

    def _give_back(self) -> None:
        place, self._place = self._place, None
        if place is not None:
            self._means.pool.give_back(place)


def _chosen(wanted: Choose, place: Place) -> events.InstanceChosen:
    instance = place.instance
    return events.InstanceChosen(
        wanted.step, instance.scope, instance.name, instance.address, place.in_flight
    )
