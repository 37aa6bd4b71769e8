"""Requests, instances and time, event by event, in virtual time. Pure: all that is random was drawn before.

The benchmark calls it with the instances that a policy wants at each step. Launched instances take the lead
time to come; those no longer wanted finish their request first. Requests wait in one queue, first come, first
served. It must never ask why an instance was wanted.
"""

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from heapq import heappop, heappush
from math import inf

from controlplane.forecast.series import FloatArray

IDLE_STEPS_MAX = 10_000
"""After the last step the queue is worked off for so many steps at most; what is left has missed."""


@dataclass(frozen=True, slots=True)
class Served:
    """What came of a trace.

    Attributes:
        requests: How many arrived.
        missed: How many took longer than promised, waiting and work together.
        hours: Instance hours paid, from launch to end.
        waited: Seconds that requests waited, in all.
    """

    requests: int
    missed: int
    hours: float
    waited: float


@dataclass(slots=True)
class Floor:
    """Instances and requests at a moment.

    Attributes:
        ready: Instances that take requests, those at work among them.
        leaving: Instances that end with the request that they are at.
        coming: When launched instances will be ready, ascending.
        busy: When instances at work will be done, a heap.
        waiting: Requests that wait, as arrival and duration.
        seconds: Instance seconds paid until the end of the step.
        missed: See `Served`.
        waited: Likewise.
    """

    ready: int
    promised: float
    leaving: int = 0
    coming: deque[float] = field(default_factory=deque)
    busy: list[float] = field(default_factory=list)
    waiting: deque[tuple[float, float]] = field(default_factory=deque)
    seconds: float = 0.0
    missed: int = 0
    waited: float = 0.0

    def retarget(self, target: int, now: float, lead: float) -> None:
        """Launch what lacks, keeping those that were about to leave; or let go, those not ready first."""
        lacking = target - self.ready - len(self.coming)
        if lacking > 0:
            stay = min(lacking, self.leaving)
            self.leaving -= stay
            self.ready += stay
            self.coming.extend([now + lead] * (lacking - stay))
            return
        surplus = -lacking
        while surplus and self.coming:
            self.coming.pop()
            surplus -= 1
        idle = self.ready - (len(self.busy) - self.leaving)
        self.ready -= surplus
        self.leaving += max(0, surplus - idle)

    def pay(self, seconds: float) -> None:
        """Pay for all there are for so long; who leaves earlier is paid back."""
        self.seconds += seconds * (self.ready + self.leaving + len(self.coming))

    def take(self, now: float) -> None:
        """Let idle instances take requests that wait."""
        free = self.ready - (len(self.busy) - self.leaving)
        while free > 0 and self.waiting:
            arrival, duration = self.waiting.popleft()
            heappush(self.busy, now + duration)
            self.waited += now - arrival
            self.missed += now - arrival + duration > self.promised
            free -= 1

    def finish(self, until: float) -> None:
        """End the request that is done first, and its instance where it is to leave."""
        done = heappop(self.busy)
        if self.leaving:
            self.leaving -= 1
            self.seconds -= until - done
        elif self.waiting:
            self.take(done)


def serve(
    targets: Sequence[int],
    arrivals: FloatArray,
    durations: FloatArray,
    *,
    step: float,
    lead: float,
    promised: float,
) -> Served:
    """Serve the requests of a trace.

    Args:
        targets: Instances wanted from the beginning of each step on; the first are ready at once.
        arrivals: When requests arrive, ascending, seconds since the first step began.
        durations: How long each takes.
        step: Seconds of a step.
        lead: Seconds from launch to ready.
        promised: See `Served.missed`.
    """
    floor = Floor(ready=targets[0], promised=promised)
    coming = list(zip(arrivals.tolist(), durations.tolist(), strict=True))
    place = 0
    for index, target in enumerate(targets):
        floor.retarget(target, index * step, lead)
        floor.take(index * step)
        floor.pay(step)
        place = _until((index + 1) * step, floor, coming, place)
    paid, end = floor.seconds, len(targets)
    for index in range(end, end + IDLE_STEPS_MAX):
        if not floor.waiting:
            break
        floor.retarget(max(1, targets[-1]), index * step, 0.0)
        _until((index + 1) * step, floor, coming, place)
    return Served(len(coming), floor.missed + len(floor.waiting), paid / 3600, floor.waited)


def _until(end: float, floor: Floor, coming: Sequence[tuple[float, float]], place: int) -> int:
    """Let happen what happens before a time; answer which request arrives next."""
    count = len(coming)
    while True:
        arrival = coming[place][0] if place < count else inf
        done = floor.busy[0] if floor.busy else inf
        ready = floor.coming[0] if floor.coming else inf
        if min(arrival, done, ready) >= end:
            return place
        if done <= arrival and done <= ready:
            floor.finish(end)
        elif ready <= arrival:
            floor.coming.popleft()
            floor.ready += 1
            floor.take(ready)
        else:
            floor.waiting.append(coming[place])
            place += 1
            floor.take(arrival)
