"""What the witness saw: the lines that the tools wrote, read and counted. It asks enchain nothing.

A mark is a generation where the tool knows it (scripts), and the client's own mark of what was asked for
elsewhere. An effect is a line `end` of something made or changed. Removing is idempotent by contract and may
be seen more than once.
"""

from collections import Counter
from dataclasses import dataclass
from pathlib import Path

MAKING = frozenset({"apply", "update", "start"})


@dataclass(frozen=True, slots=True)
class Line:
    """One line of the witness."""

    work: str
    verb: str
    mark: str
    phase: str


@dataclass(frozen=True, slots=True)
class Seen:
    """All lines, in the order in which they were written."""

    lines: tuple[Line, ...]

    @property
    def begun(self) -> Counter[tuple[str, str]]:
        """How often something was begun to be made, by work and mark."""
        return Counter((each.work, each.mark) for each in self._making("begin"))

    @property
    def made(self) -> Counter[tuple[str, str]]:
        """How often an effect was had, by work and mark."""
        return Counter((each.work, each.mark) for each in self._making("end"))

    @property
    def removed(self) -> Counter[str]:
        """How often a piece of work was removed."""
        return Counter(each.work for each in self.lines if each.verb == "destroy" and each.phase == "end")

    @property
    def repeated(self) -> list[str]:
        """What was begun more than once under one mark: there must be nothing here."""
        return [f"{work} {mark}: begun {n} times" for (work, mark), n in self.begun.items() if n > 1]

    def _making(self, phase: str) -> list[Line]:
        return [each for each in self.lines if each.verb in MAKING and each.phase == phase]


def read_witness(file: Path) -> Seen:
    """Read the witness. A line of another shape is an error: appends do not mix."""
    lines = []
    for text in file.read_text().splitlines() if file.exists() else []:
        work, verb, mark, phase, pid = text.split(" ")
        int(pid)
        lines.append(Line(work, verb, mark, phase))
    return Seen(tuple(lines))
