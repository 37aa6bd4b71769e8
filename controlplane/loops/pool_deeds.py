"""Starting, draining and killing instances, each in a task of its own.

The rounds of the pools' loop hand in what is to be done and never wait for it: a launcher that hangs
holds up nothing but its own launch, and is given up after a while. What it said instead of starting
something is kept for the next round to decide upon.
"""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from controlplane.switching.launch_states import Fault
from controlplane.switching.launchers.port import Launcher
from controlplane.switching.pool_world import Act, Deed
from enchain.chains.errors import CallerError, EnchainError
from enchain.process.clock import Clock
from enchain.process.lifecycle import Tasks
from enchain.process.logs import get_logger
from enchain.process.telemetry import meter
from enchain.v1.engine_pb2 import Engine
from enchain.v1.pool_pb2 import Launching

CALL_SECONDS = 20.0
"""How long a launcher may take for one call."""

AGAIN_SECONDS = 1.0
"""Between two attempts at the same deed, at least."""

AT_ONCE_MAX = 32
"""Deeds in flight; what is beyond waits for a later round, and is counted."""

SERVED_MAX = 10_000
"""Launches of which it is remembered when they were served last."""

_log = get_logger(__name__)
_put_off = meter(__name__).create_counter(
    "enchain.pools.deeds_put_off", "{deed}", "Deeds that waited since too many were in flight."
)


@dataclass
class Deeds:
    """What is being done to instances.

    Args:
        here: The launcher of this place.
        elsewhere: Asks instances over the network.
        tasks: Owns the tasks.
        clock: Time.
        started: Called when the launcher was asked to start something, and has answered.

    Attributes:
        faults: By launch id, what the launcher said when it was last asked to start it.
    """

    here: Launcher
    elsewhere: Launcher
    tasks: Tasks
    clock: Clock
    started: Callable[[], None]
    faults: dict[str, Fault] = field(default_factory=dict)
    _in_flight: dict[str, tuple[Deed, asyncio.Task[None]]] = field(default_factory=dict)
    _served: dict[str, int] = field(default_factory=dict)
    _count: int = 0

    def begin(
        self, acts: Sequence[Act], launches: Mapping[str, Launching], engines: Mapping[str, Engine]
    ) -> None:
        """Begin what is not being done yet. Killing cuts off whatever else is done to the same instance.

        Where there is too much to do, whoever was served longest ago comes first: some deeds, such as to
        drain, are asked for in every round.
        """
        for act in sorted(acts, key=lambda act: self._served.get(act.launch, 0)):
            deed, task = self._in_flight.get(act.launch, (None, None))
            if task is not None and (deed is act.deed or act.deed is not Deed.KILL):
                continue
            if task is not None:
                task.cancel()
            elif len(self._in_flight) >= AT_ONCE_MAX:
                _put_off.add(1)
                continue
            work = self._watched(act, launches.get(act.launch), engines.get(act.engine, Engine()))
            begun = self.tasks.once(f"{act.deed.value} instance {act.launch}", work)
            self._count += 1
            self._served[act.launch] = self._count
            self._in_flight[act.launch] = act.deed, begun
            begun.add_done_callback(partial(self._over, act.launch, work))

    def keep(self, launches: set[str]) -> None:
        """Forget what was said of launches that are over."""
        self.faults = {launch: fault for launch, fault in self.faults.items() if launch in launches}
        if len(self._served) > SERVED_MAX:
            self._served.clear()

    async def _call(self, act: Act, launch: Launching | None, engine: Engine) -> None:
        if act.deed is Deed.START and launch is not None:
            await self.here.start(launch, engine)
            self.faults.pop(act.launch, None)
        elif act.deed is Deed.DRAIN:
            await self.here.drain(act.launch)
        elif act.deed is Deed.KILL:
            await self.here.kill(act.launch)
        elif act.deed is Deed.ASK:
            await self.elsewhere.drain(act.launch)

    async def _watched(self, act: Act, launch: Launching | None, engine: Engine) -> None:
        """Do something; what goes wrong is said, and ends nothing."""
        try:
            if not await within(self._call(act, launch, engine), CALL_SECONDS, self.clock):
                raise_silent(act)
        except EnchainError as error:
            _log.warning("launcher refuses", deed=act.deed.value, launch=act.launch, fault=error.message)
            await self._refused(act, error.reason, error, final=isinstance(error, CallerError))
        except Exception as error:  # noqa: BLE001 - whatever a launcher trips over is its own launch's fault
            _log.exception("launcher failed", deed=act.deed.value, launch=act.launch)
            await self._refused(act, "LAUNCHER_FAILED", error, final=False)

    async def _refused(self, act: Act, reason: str, error: Exception, *, final: bool) -> None:
        """Keep what was said, and try nothing again at once."""
        if act.deed is Deed.START:
            remedy = getattr(error, "remedy", "")
            self.faults[act.launch] = Fault(reason, f"{error}. {remedy}".removesuffix(". "), final)
        if not final:
            await self.clock.sleep(AGAIN_SECONDS)

    def _over(self, launch: str, work: Coroutine[Any, Any, None], task: asyncio.Task[None]) -> None:
        work.close()  # it was never begun where its task was cancelled at once
        if self._in_flight.get(launch, (None, None))[1] is task:
            deed, _ = self._in_flight.pop(launch)
            if deed is Deed.START:
                self.started()  # what else is done shows when it is looked at what runs


class _SilentError(EnchainError):
    default_reason = "LAUNCHER_SILENT"


def raise_silent(act: Act) -> None:
    """Say that a launcher did not answer.

    Raises:
        EnchainError: Always.
    """
    raise _SilentError(f"the launcher has not answered for {CALL_SECONDS:g} s ({act.deed.value})")


async def within(work: Awaitable[None], seconds: float, clock: Clock) -> bool:
    """Await something for so long at most; false where it was given up. What it raises is raised."""
    task = asyncio.ensure_future(work)
    timer = asyncio.ensure_future(clock.sleep(seconds))
    try:
        await asyncio.wait({task, timer}, return_when=asyncio.FIRST_COMPLETED)
        if task.done():
            task.result()
            return True
        return False
    finally:
        for each in (task, timer):
            each.cancel()
        await asyncio.gather(task, timer, return_exceptions=True)
