"""State scopes in memory: ledgers by the real rules, locks, and tools that outlive whoever started them.

Instances (`instances.py`) share one. It is what a directory is to the SDK: it survives the instances, and a
lock in it is free once its holder is dead. Tools are processes of their own here: no fault of an instance
stops them.
"""

import asyncio
import dataclasses
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import Enum
from random import Random

from enchain.sdk.calls import Key
from enchain.sdk.ledger import Ask, Decision, Ledger, decide
from enchain.v1 import operation_pb2
from tests.simulation.loop import Life, Process, VirtualLoop
from tests.simulation.trace import Trace
from tests.simulation.weather import Weather
from tests.simulation.witness import Thing, Witness


class Exit(Enum):
    """How a tool ended."""

    DONE = "did it"
    FAILED_CLEAN = "failed and left nothing"
    FAILED_PARTIAL = "failed in the middle"
    STOPPED = "was stopped"
    LOST = "is gone, and nobody knows how it ended"


@dataclass(slots=True)
class Run:
    """A tool's run.

    Attributes:
        exit: How it ended; None while it runs.
        retryable: It says that it may succeed later.
        stopping: It was asked to stop.
    """

    key: str
    exit: Exit | None = None
    retryable: bool = False
    stopping: bool = False
    has_acted: bool = False


@dataclass(frozen=True, slots=True)
class Job:
    """What a tool is to do."""

    work_id: str
    key: Key
    thing: Thing
    over: bool

    @property
    def destroys(self) -> bool:
        """It destroys."""
        return self.key.verb == operation_pb2.VERB_DEPROVISION


@dataclass(slots=True)
class Book:
    """What a scope keeps of one piece of work."""

    ledger: Ledger
    holder: Process | None = None
    tool: Run | None = None
    runs: dict[str, Run] = field(default_factory=dict)
    changed: asyncio.Event = field(default_factory=asyncio.Event)


@dataclass(frozen=True, slots=True)
class Temper:
    """How tools of a seed behave: shares of all runs, and how long one takes at most."""

    fails_clean: float
    fails_partial: float
    lost: float
    seconds: float


def temper_of(dice: Random) -> Temper:
    """Draw how tools behave."""
    return Temper(
        fails_clean=dice.choice((0.0, 0.05, 0.2)),
        fails_partial=dice.choice((0.0, 0.05, 0.2)),
        lost=dice.choice((0.0, 0.0, 0.1)),
        seconds=dice.choice((0.5, 4.0, 15.0)),
    )


class Scope:
    """One state scope."""

    def __init__(
        self,
        name: str,
        loop: VirtualLoop,
        witness: Witness,
        trace: Trace,
        dice: Random,
        temper: Temper,
        weather: Weather,
    ) -> None:
        self.name = name
        self._loop = loop
        self._witness = witness
        self._trace = trace
        self._dice = dice
        self._temper = temper
        self._weather = weather
        self._books: dict[str, Book] = {}

    def book(self, work_id: str) -> Book:
        """What is kept of a piece of work."""
        found = self._books.get(work_id)
        if found is None:
            found = self._books[work_id] = Book(Ledger(work_id))
        return found

    def ask(self, work_id: str, ask: Ask) -> Decision:
        """Decide about a call by the real rules, and keep what follows.

        Raises:
            EnchainError: The call is refused.
        """
        book = self.book(work_id)
        decision = decide(book.ledger, dataclasses.replace(ask, busy=self.is_busy(work_id)))
        self._witness.asked(self.name, work_id, ask, decision)
        told = decision.error.reason if decision.error else decision.verdict.name
        self._trace.add(
            ask.instance,
            "ledger",
            f"{ask.method.value} {ask.key.text} of {work_id} {ask.token.revision}: {told}",
        )
        if decision.error is not None:
            raise decision.error
        if decision.ledger is not None:
            book.ledger = decision.ledger
        return decision

    def change(self, work_id: str, transition: Callable[[Ledger], Ledger]) -> Ledger:
        """Change a ledger."""
        book = self.book(work_id)
        book.ledger = transition(book.ledger)
        return book.ledger

    # --- locks

    def is_busy(self, work_id: str) -> bool:
        """A task or a tool of the work lives."""
        book = self.book(work_id)
        return book.tool is not None or self._is_held(book)

    def _is_held(self, book: Book) -> bool:
        return book.holder is not None and book.holder.life is not Life.DEAD

    def take(self, work_id: str, process: Process) -> bool:
        """Take the task lock, unless a living process has it."""
        book = self.book(work_id)
        if self._is_held(book):
            return False
        book.holder = process
        return True

    def leave(self, work_id: str, process: Process) -> None:
        """Give the task lock back."""
        book = self.book(work_id)
        if book.holder is process:
            book.holder = None
            self._tell(book)

    def _tell(self, book: Book) -> None:
        told, book.changed = book.changed, asyncio.Event()
        told.set()

    # --- tools

    def run(self, job: Job, fault: Callable[[], Exception | None]) -> Run | None:
        """Begin a run or join it; None while another tool lives.

        Raises:
            EnchainError: The key may begin no further run.
        """
        book = self.book(job.work_id)
        known = book.runs.get(job.key.text)
        if known is not None and not (known.exit is Exit.LOST and job.destroys):
            return known
        if book.tool is not None:
            return None
        if error := fault():
            raise error
        run = book.runs[job.key.text] = book.tool = Run(job.key.text)
        self._trace.add(self.name, "tool", f"{job.key.text} of {job.work_id} begins")
        duration = 0.01 + self._temper.seconds * self._dice.random() ** 2
        end = self._drawn(job)
        acts = end is Exit.DONE or end is Exit.FAILED_PARTIAL
        acts = acts or (end is Exit.LOST and self._dice.random() < 0.5)
        if acts and not (job.destroys and end is Exit.FAILED_PARTIAL):
            self._loop.outside(duration * self._dice.random(), self._act, job, run)
        self._loop.outside(duration, self._end, job, run, end)
        return run

    def _drawn(self, job: Job) -> Exit:
        """Draw how a tool will end. When all is calm tools do what they are for."""
        temper, roll = self._temper, self._dice.random()
        if self._weather.is_calm:
            return Exit.DONE
        if roll < temper.lost:
            return Exit.LOST
        if roll < temper.lost + temper.fails_partial:
            return Exit.FAILED_PARTIAL
        if roll < temper.lost + temper.fails_partial + temper.fails_clean and not job.destroys:
            return Exit.FAILED_CLEAN
        return Exit.DONE

    def _act(self, job: Job, run: Run) -> None:
        if run.exit is not None:
            return
        run.has_acted = True
        if job.destroys:
            self._witness.destroyed(self.name, job.work_id, job.key.text)
        else:
            self._witness.made(self.name, job.work_id, job.key.text, job.thing, over=job.over)

    def _end(self, job: Job, run: Run, end: Exit) -> None:
        if run.exit is not None:
            return
        run.retryable = end is Exit.FAILED_CLEAN and self._dice.random() < 0.5
        self._ended(job.work_id, run, end)

    def _ended(self, work_id: str, run: Run, end: Exit) -> None:
        run.exit = end
        self._trace.add(self.name, "tool", f"{run.key} of {work_id} {end.value}")
        book = self.book(work_id)
        if book.tool is run:
            book.tool = None
        self._tell(book)

    def stop(self, work_id: str, keys: tuple[str, ...]) -> bool:
        """Ask the tools of some keys to stop; answer whether one ran."""
        book = self.book(work_id)
        run = book.tool
        if run is None or run.key not in keys:
            return False
        if not run.stopping:
            run.stopping = True
            self._loop.outside(0.05 + self._dice.random(), self._stopped, work_id, run)
        return True

    def _stopped(self, work_id: str, run: Run) -> None:
        if run.exit is None:
            self._ended(work_id, run, Exit.STOPPED)

    def lose_tools(self) -> int:
        """Every tool that runs now is gone, as if the host had run out of memory; answer how many."""
        lost = 0
        for work_id, book in self._books.items():
            if book.tool is not None:
                self._ended(work_id, book.tool, Exit.LOST)
                lost += 1
        return lost

    def any_begun(self, work_id: str, key: str) -> bool:
        """A key has begun a run, ended or not."""
        return key in self.book(work_id).runs

    def stands(self, work_id: str) -> bool:
        """Whether anything of a work stands here."""
        return (self.name, work_id) in self._witness.standing
