"""Running many seeds, in this process or in several, and adding up what happened in them.

The command (`python -m tests.simulation`) and the tests call it.
"""

import gc
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from multiprocessing import get_context

from tests.simulation.world import run_seed

CHUNK = 25


@dataclass(frozen=True, slots=True)
class Short:
    """What became of one seed, without its trace."""

    seed: int
    violations: tuple[str, ...]
    counts: dict[str, int]
    seconds: float


@dataclass(slots=True)
class Sum:
    """What became of many seeds.

    Attributes:
        ran: How many ran.
        failed: Those with violations.
        counts: How often what happened.
        virtual_seconds: Simulated time.
        wall_seconds: Time that it took.
    """

    ran: int = 0
    failed: list[Short] = field(default_factory=list)
    counts: Counter[str] = field(default_factory=Counter)
    virtual_seconds: float = 0.0
    wall_seconds: float = 0.0

    def __str__(self) -> str:
        """Say it in lines."""
        lines = [f"{times:10d}  {what}" for what, times in sorted(self.counts.items())]
        pace = self.ran / max(self.wall_seconds, 1e-9) * 60
        hours = self.virtual_seconds / 3600
        lines.append(
            f"{self.ran} seeds, {len(self.failed)} failed, {hours:.1f} virtual hours"
            f" in {self.wall_seconds:.1f} s: {pace:.0f} seeds a minute"
        )
        return "\n".join(lines)


def run_short(seed: int) -> Short:
    """Run one seed; what fails in the simulation itself is a violation too."""
    try:
        outcome = run_seed(seed)
    except Exception as error:  # noqa: BLE001 - the seed must be told with it
        return Short(seed, (f"the simulation itself failed: {error!r}",), {}, 0.0)
    return Short(seed, outcome.violations, outcome.counts, outcome.seconds)


def prepare() -> None:
    """Collect garbage seldom, and never what is imported: worlds are thrown away whole, with their cycles."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(100_000, 20, 1000)


def run_many(seeds: Sequence[int], *, jobs: int = 1, failures: int = 1) -> Iterator[Sum]:
    """Run seeds one after the other, or several at once; yield the sum at each failure and at the end."""
    total, began = Sum(), time.perf_counter()
    for short in _shorts(seeds, jobs):
        total.ran += 1
        total.counts.update(short.counts)
        total.virtual_seconds += short.seconds
        total.wall_seconds = time.perf_counter() - began
        if short.violations:
            total.failed.append(short)
            yield total
            if len(total.failed) >= failures:
                return
    yield total


def _shorts(seeds: Sequence[int], jobs: int) -> Iterator[Short]:
    if jobs == 1:
        before = gc.get_threshold()
        prepare()
        try:
            yield from map(run_short, seeds)
        finally:
            gc.set_threshold(*before)
            gc.unfreeze()
        return
    with get_context("spawn").Pool(jobs, prepare) as pool:
        yield from pool.imap(run_short, seeds, CHUNK)
