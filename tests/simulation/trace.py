"""What happened in a simulated run, line by line; two runs of one seed have the same lines.

Every part of the world adds to it. Lines are made into text only where somebody wants to read them.
"""

import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field


@dataclass(slots=True)
class Trace:
    """The lines.

    Attributes:
        now: The virtual time.
        lines: Time, process, kind, text.
        violations: What happened that must never happen.
        on_violation: Called with the first of them, and all others.
    """

    now: Callable[[], float]
    lines: list[tuple[float, str, str, str]] = field(default_factory=list)
    violations: list[str] = field(default_factory=list)
    on_violation: Callable[[], None] = lambda: None

    def add(self, process: str, kind: str, text: str) -> None:
        """Add a line."""
        self.lines.append((self.now(), process, kind, text))

    def violate(self, rule: str, told: str) -> None:
        """Something happened that must never happen."""
        self.violations.append(f"{rule}: {told}")
        self.add("", "VIOLATED", f"{rule}: {told}")
        self.on_violation()

    def text(self, last: int = 0) -> Iterator[str]:
        """The lines as text; with `last`, only so many from the end."""
        for time, process, kind, text in self.lines[-last:]:
            yield f"{time:10.4f}  {process:<14} {kind:<8} {text}"

    def digest(self) -> str:
        """A fingerprint of all lines."""
        return hashlib.sha256("\n".join(self.text()).encode()).hexdigest()
