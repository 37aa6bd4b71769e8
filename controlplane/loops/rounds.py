"""Rounds at a pace, for ever: what loops of the leader do that look at everything again and again.

Planning and the loop of experiments call it. It never outlives the term, and no failure of a peer ends it.
"""

from collections.abc import Awaitable, Callable
from random import Random

from controlplane.loops.leadership import LeadershipLostError
from enchain.chains.errors import EnchainError
from enchain.process.clock import Clock
from enchain.process.logs import get_logger
from enchain.state.follow import full_jitter

DONE = "done"
"""The outcome of a round that went through; others are the reason of what stopped it."""

_log = get_logger(__name__)


async def in_rounds(
    work: Callable[[], Awaitable[object]],
    loop: str,
    *,
    pace_seconds: float,
    ended: Callable[[str, float], None],
    clock: Clock,
    rng: Random,
) -> None:
    """Do a round, wait, do the next one; after one that failed wait with full jitter.

    Args:
        work: One round.
        loop: Whose, for the log.
        pace_seconds: Between two rounds.
        ended: Told of each round: its outcome, and how many seconds it took.
        clock: Time.
        rng: Jitter.

    Raises:
        LeadershipLostError: The term is over.
    """
    failures = 0
    while True:
        began = clock.monotonic()
        try:
            await work()
        except LeadershipLostError:
            raise
        except EnchainError as error:
            failures += 1
            _log.warning("leader's loop waits", loop=loop, reason=error.reason, fault=error.message)
            ended(error.reason, clock.monotonic() - began)
            await clock.sleep(full_jitter(failures, rng))
        else:
            failures = 0
            ended(DONE, clock.monotonic() - began)
            await clock.sleep(pace_seconds)
