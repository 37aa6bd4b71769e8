"""What planned events and stated peaks do to one combined forecast. Pure; the publisher calls it."""

from collections.abc import Sequence
from dataclasses import dataclass

from controlplane.forecast.series import Event, FloatArray, Window
from enchain.v1 import forecast_pb2


@dataclass(frozen=True, slots=True)
class Effect:
    """What one event does.

    Attributes:
        event: It.
        uplift: What demand is multiplied by.
        spread: Half the width of its 80 % interval, as a factor.
        learned_from: From how many past events of the type.
    """

    event: Event
    uplift: float
    spread: float
    learned_from: int


@dataclass(frozen=True, slots=True, eq=False)
class Planned:
    """A forecast with what is planned taken in.

    Attributes:
        quantiles: Shape (horizon, levels).
        without: The same as if nothing were planned; None where no event touches the horizon.
        effects: What each event that touches the horizon does.
        warnings: What is not known of them.
    """

    quantiles: FloatArray
    without: FloatArray | None = None
    effects: Sequence[Effect] = ()
    warnings: Sequence[forecast_pb2.ForecastWarning] = ()


def planned_for(window: Window, quantiles: FloatArray) -> Planned:
    """Take in what is planned."""
    del window
    return Planned(quantiles)
