"""How much what was measured weighs by its age: half as much for each week. Pure.

`statistics.py` and `starts.py` share it. Whole weeks from 1970 on, so that all weights are powers of two.
"""

WEEK_SECONDS = 7 * 24 * 3600
HOUR_SECONDS = 3600

HALVINGS_MAX = 20
"""What is so many weeks older than the newest is forgotten: it would weigh a millionth."""

LEAST_WEIGHT = 0.5**HALVINGS_MAX


def week_of(at: float) -> int:
    """The week of a time in seconds from 1970 on."""
    return int(at // WEEK_SECONDS)


def hour_of(at: float) -> int:
    """The hour of a time in seconds from 1970 on."""
    return int(at // HOUR_SECONDS)


def weight_of(week: int, newest: int) -> float:
    """What something of a week weighs where `newest` is the newest week; 0 where that is too little."""
    halvings = newest - week
    return 0.5**halvings if halvings <= HALVINGS_MAX else 0.0
