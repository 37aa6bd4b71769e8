"""Whether a service that has ended is started again, and when.

The supervisor asks; it also acts. Pure: how long the service stood and how it ended are arguments.
"""

from dataclasses import dataclass

from enchain.engines.process.spec import Restart

STABLE_SECONDS = 60.0
"""A service that stood this long has proven itself; its restarts are counted from nought again."""
BACKOFF_MAX_SECONDS = 60.0


@dataclass(frozen=True, slots=True)
class StartAgain:
    """Start it again.

    Attributes:
        after_seconds: The pause before that.
        restarts: The number to record.
    """

    after_seconds: float
    restarts: int


@dataclass(frozen=True, slots=True)
class Rest:
    """Leave it down.

    Attributes:
        reason: Why, for the log.
    """

    reason: str


def decide(rule: Restart, *, exit_code: int | None, restarts: int, stood_seconds: float) -> StartAgain | Rest:
    """Answer what becomes of a service that ended by itself.

    Args:
        rule: The service's restart rule.
        exit_code: How it ended; None where nobody could read it, which counts as a failure.
        restarts: Restarts in a row so far.
        stood_seconds: How long it stood this time.
    """
    if rule.policy == "never":
        return Rest("its policy is never to start it again")
    if rule.policy == "on-failure" and exit_code == 0:
        return Rest("it ended well, and is started again on failure only")
    so_far = 0 if stood_seconds >= STABLE_SECONDS else restarts
    if so_far >= rule.max:
        return Rest("it ended as often in a row as its rule allows")
    pause = min(BACKOFF_MAX_SECONDS, rule.backoff_seconds * 2.0 ** min(so_far, 30))
    return StartAgain(after_seconds=pause, restarts=so_far + 1)
