"""Codes and words for what the combination did to a forecast, and why. Pure.

`controlplane.forecast.combination` attaches them to each series; the service and the metrics show them. A
code never changes its meaning.
"""

from dataclasses import dataclass

NO_FORECAST = "NO_FORECAST"
NOT_ALLOWED = "NOT_ALLOWED"
EXPLODED = "EXPLODED"
WORSE_THAN_SEASONAL_NAIVE = "WORSE_THAN_SEASONAL_NAIVE"
SIMPLE_MODEL_WAS_BETTER = "SIMPLE_MODEL_WAS_BETTER"
NO_PAST = "NO_PAST"


@dataclass(frozen=True, slots=True)
class Note:
    """Why something was done to the forecast of a series.

    Attributes:
        member: Which model it is about; empty where it is about the whole.
        code: Stable UPPER_SNAKE code.
        words: A sentence for people.
    """

    member: str
    code: str
    words: str
