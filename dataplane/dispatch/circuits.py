"""Instances that did not answer lately, and until when they are passed over.

The pool and the engine calls share one. It is this router's opinion only; registrations decide who is
there.
"""

from dataclasses import dataclass, field

PAUSE_SECONDS = 1.0
PAUSE_SECONDS_MAX = 30.0
BUSY_SECONDS = 0.5


@dataclass(slots=True)
class _Trouble:
    failures: int
    until: float


@dataclass(slots=True)
class Circuits:
    """Failures in a row, by instance."""

    _troubles: dict[str, _Trouble] = field(default_factory=dict)

    def failed(self, instance: str, monotonic: float) -> None:
        """The instance did not answer: pass it over for a while, longer each time."""
        failures = self._troubles[instance].failures + 1 if instance in self._troubles else 1
        pause = min(PAUSE_SECONDS * 2 ** min(failures - 1, 10), PAUSE_SECONDS_MAX)
        self._troubles[instance] = _Trouble(failures, monotonic + pause)

    def busy(self, instance: str, monotonic: float) -> None:
        """The instance takes nothing more just now: others first, for a moment that does not grow."""
        trouble = self._troubles.setdefault(instance, _Trouble(0, monotonic))
        trouble.until = max(trouble.until, monotonic + BUSY_SECONDS)

    def answered(self, instance: str) -> None:
        """The instance answered: all is forgiven."""
        self._troubles.pop(instance, None)

    def reachable(self, instance: str, monotonic: float) -> bool:
        """Whether it may be chosen now."""
        trouble = self._troubles.get(instance)
        return trouble is None or monotonic >= trouble.until

    def forget(self, present: frozenset[str]) -> None:
        """Drop what is known of instances that are gone."""
        for instance in set(self._troubles) - present:
            del self._troubles[instance]
