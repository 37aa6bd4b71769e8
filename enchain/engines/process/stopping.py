"""Finds every process of a service, ends them all, and proves it.

Engine and supervisor call it while they hold the service's change lock. A service's processes are those of
its session, those that carry its mark in their environment, and whatever descends from either; so a service
that forks is stopped whole, also where its record was lost. A process that leaves the session and cleans its
environment, after its parent ended, cannot be told from a stranger and is never touched.
"""

import asyncio
import os
import signal

from enchain.engines.process.kernel import (
    Identity,
    Stat,
    all_stats,
    boot,
    family,
    is_same_running,
    marked_with,
    send_signal,
)
from enchain.engines.process.records import (
    Registry,
    Service,
    forget_launches,
    launches,
    withdraw_launches,
)
from enchain.engines.process.spec import Stop
from enchain.process.clock import Clock

_POLL_SECONDS = 0.02
_KILL_SECONDS = 10.0


class StillRunningError(Exception):
    """Processes of the service could not be ended.

    Args:
        pids: Theirs.
    """

    def __init__(self, pids: list[int]) -> None:
        super().__init__(f"processes {', '.join(map(str, pids))} do not end, though killed")
        self.pids = pids


def members(registry: Registry, service: Service) -> list[Stat]:
    """Answer all living processes of a service. It reads /proc, so it is called in a thread."""
    stats = all_stats()
    marked = marked_with(registry.mark(service.key), stats)
    this_boot = boot()
    leaders: list[Identity | None] = [
        found.identity for found in launches(service.home) if found.identity.boot == this_boot
    ]
    found: dict[int, Stat] = {}
    for leader in leaders or [None]:
        found.update(
            (stat.pid, stat) for stat in family(stats, leader=leader, marked=marked, but=os.getpid())
        )
    return list(found.values())


async def stop_service(
    registry: Registry, service: Service, rule: Stop, clock: Clock, *, grace_seconds: float | None = None
) -> None:
    """End all processes of a service: asked first, then killed. On return none is left.

    Args:
        registry: The scope's services.
        service: Which one.
        rule: The signal to ask with, and how long it has.
        clock: Time.
        grace_seconds: A shorter time to have, such as what is left of a deadline.

    Raises:
        StillRunningError: The kernel keeps one of them.
    """
    withdraw_launches(
        service.home
    )  # from here on a launcher either is recorded, or never becomes the service
    grace = rule.within_seconds if grace_seconds is None else min(grace_seconds, rule.within_seconds)
    polite = signal.Signals[rule.signal]
    if not await _until_none(registry, service, polite, clock, grace, again=False) and not await _until_none(
        registry, service, signal.SIGKILL, clock, _KILL_SECONDS, again=True
    ):
        left = await asyncio.to_thread(members, registry, service)
        if left:
            raise StillRunningError([stat.pid for stat in left])
    forget_launches(service.home)


async def _until_none(
    registry: Registry, service: Service, number: signal.Signals, clock: Clock, seconds: float, *, again: bool
) -> bool:
    limit = clock.monotonic() + max(seconds, 0.0)
    told: set[tuple[int, int]] = set()
    while left := await asyncio.to_thread(members, registry, service):
        for stat in left:
            if again or (stat.pid, stat.start_ticks) not in told:
                told.add((stat.pid, stat.start_ticks))
                send_signal(stat, number)
        while any(is_same_running(stat) for stat in left):
            if clock.monotonic() >= limit:
                return False
            await clock.sleep(_POLL_SECONDS)
    return True
