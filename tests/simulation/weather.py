"""What goes wrong between processes, message by message, as the seed says.

Store links and the network ask it for every message. It rolls its own dice, in the order in which they ask;
what kinds of trouble a seed has at all, and how often, is drawn first ("swarm"), so that rare combinations
come about. After `calm_at` everything arrives, and soon.
"""

from dataclasses import dataclass
from enum import Enum
from random import Random

CALL_SECONDS = 5.0
"""How long a store's client waits for an answer."""


INSTANT_SECONDS = 1e-6
"""What comes one after the other comes at least so far apart: timers of one moment have no order."""


class Fate(Enum):
    """What becomes of a transaction."""

    FINE = "is answered"
    REFUSED = "is certainly not sent"
    LOST = "is done, its answer is lost"
    DROPPED = "is not done, and nobody knows"
    LATE = "is done after its sender has given it up"


@dataclass(frozen=True, slots=True)
class Climate:
    """How often what goes wrong in a seed: a share of all messages each.

    Attributes:
        refused: Store calls that are refused at once.
        lost: Transactions whose answer is lost.
        dropped: Transactions that are lost.
        late: Transactions that are done late.
        slow: Messages that take long.
        slow_seconds: How long at most.
        cut: Streams that are cut after an event, by chance.
        unanswered: Unary calls whose answer never comes.
    """

    refused: float = 0.0
    lost: float = 0.0
    dropped: float = 0.0
    late: float = 0.0
    slow: float = 0.0
    slow_seconds: float = 0.0
    cut: float = 0.0
    unanswered: float = 0.0


def climate_of(dice: Random) -> Climate:
    """Draw what goes wrong in a seed."""

    def share(*levels: float) -> float:
        return dice.choice((0.0, *levels))

    return Climate(
        refused=share(0.01, 0.05),
        lost=share(0.02, 0.1, 0.3),
        dropped=share(0.02, 0.1),
        late=share(0.02, 0.1, 0.3),
        slow=share(0.01, 0.05, 0.2),
        slow_seconds=dice.choice((0.3, 3.0, 12.0)),
        cut=share(0.02, 0.1),
        unanswered=share(0.02, 0.1),
    )


class Weather:
    """Decides about every message.

    Args:
        dice: The seed's.
        climate: How often what goes wrong.
        calm_at: When it ends.
        now: The virtual time.
    """

    def __init__(self, dice: Random, climate: Climate, calm_at: float, now: "object") -> None:
        self._dice = dice
        self.climate = climate
        self.calm_at = calm_at
        self._now = now
        self.counts: dict[str, int] = {}

    @property
    def is_calm(self) -> bool:
        """Nothing goes wrong any more."""
        return self._now() >= self.calm_at  # type: ignore[operator,no-any-return]  # a callable; the loop's time

    def _happens(self, share: float, what: str) -> bool:
        if not share or self.is_calm or self._dice.random() >= share:
            return False
        self.counts[what] = self.counts.get(what, 0) + 1
        return True

    def delay(self) -> float:
        """Answer how long a message takes."""
        if self._happens(self.climate.slow, "slow message"):
            return self._dice.uniform(0.05, self.climate.slow_seconds)
        return self._dice.uniform(0.0005, 0.003)

    def fate(self) -> Fate:
        """Answer what becomes of a transaction."""
        climate = self.climate
        for share, fate in (
            (climate.refused, Fate.REFUSED),
            (climate.lost, Fate.LOST),
            (climate.dropped, Fate.DROPPED),
            (climate.late, Fate.LATE),
        ):
            if self._happens(share, f"transaction {fate.value}"):
                return fate
        return Fate.FINE

    def given_up_after(self) -> float:
        """Answer after how long the sender of a transaction gives it up."""
        return self._dice.choice((0.01, 0.5, CALL_SECONDS))

    def lateness(self) -> float:
        """Answer how long after that it is done."""
        return self._dice.choice((0.02, 0.3, 2.0, 8.0)) * self._dice.random()

    def read_fails(self) -> bool:
        """Say whether a read of the store fails."""
        return self._happens(self.climate.refused, "read refused")

    def call_unanswered(self) -> bool:
        """Say whether a unary call is never answered."""
        return self._happens(self.climate.unanswered, "call unanswered")

    def arrives(self) -> bool:
        """Say whether what nobody waits for any more is done nevertheless."""
        return self._dice.random() < 0.5

    def stream_cut(self) -> bool:
        """Say whether a stream is cut after an event."""
        return self._happens(self.climate.cut, "stream cut")
