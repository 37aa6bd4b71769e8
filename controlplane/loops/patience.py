"""Doing something again until the store lets it: what every loop of a leader does when a peer is away.

The loops of the leader call it. It never outlives the term: a write that a deposed leader tried ends it.
"""

from collections.abc import Awaitable, Callable
from random import Random
from typing import TypeVar

from controlplane.loops.leadership import LeadershipLostError
from enchain.chains.errors import EnchainError
from enchain.process.clock import Clock
from enchain.process.logs import get_logger
from enchain.state.follow import full_jitter

T = TypeVar("T")

_log = get_logger(__name__)


async def patiently(work: Callable[[], Awaitable[T]], loop: str, *, clock: Clock, rng: Random) -> T:
    """Do something until it is done, with full jitter between the attempts.

    Args:
        work: What to do; done anew each time.
        loop: Who waits, for the log.
        clock: Time.
        rng: Jitter.

    Raises:
        LeadershipLostError: The term is over.
    """
    failures = 0
    while True:
        try:
            return await work()
        except LeadershipLostError:
            raise
        except EnchainError as error:
            failures += 1
            _log.warning("leader's loop waits", loop=loop, reason=error.reason, fault=error.message)
            await clock.sleep(full_jitter(failures, rng))
