"""What planned events and stated peaks do to one combined forecast. Pure; the publisher calls it.

The combination forecasts demand as if nothing were planned, from a history out of which past events were
taken. This puts on what is known beforehand.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from controlplane.forecast.events.adjust import Effect, adjust
from controlplane.forecast.events.uplift import UNKNOWN_UPLIFT, Learned
from controlplane.forecast.models.spread import NORMAL
from controlplane.forecast.peaks import PEAKS
from controlplane.forecast.quantiles import MEDIAN, ordered
from controlplane.forecast.series import FloatArray, Window
from enchain.v1 import forecast_pb2

PEAK_SPREAD = 0.3
"""How far off stated peaks are, as the standard deviation of a logarithm: a factor of 1.35 is common."""


@dataclass(frozen=True, slots=True, eq=False)
class Planned:
    """A forecast with what is planned taken in.

    Attributes:
        quantiles: Shape (horizon, levels).
        without: The same as if no event were planned; None where none touches the horizon.
        effects: What each event that touches the horizon does.
        warnings: What whoever relies on it should know.
    """

    quantiles: FloatArray
    without: FloatArray | None = None
    effects: Sequence[Effect] = ()
    warnings: Sequence[forecast_pb2.ForecastWarning] = field(default_factory=tuple)


def planned_for(
    window: Window, quantiles: FloatArray, learned: Mapping[str, Learned], *, peaks: bool
) -> Planned:
    """Take in what is planned.

    Args:
        window: With its events and covariates.
        quantiles: What is forecast as if nothing were planned, shape (horizon, levels).
        learned: What past events did, by type.
        peaks: Whether stated peaks are the prior here: the history is too short to know better.
    """
    base, warnings = quantiles, list[forecast_pb2.ForecastWarning]()
    if peaks and PEAKS in window.covariates:
        base, used = _raised(quantiles, window.covariates[PEAKS][len(window.series) :])
        warnings += [_stated()] if used else []
    adjusted = adjust(base, window, learned)
    if not adjusted.effects:
        return Planned(base, warnings=warnings)
    unknown = [effect for effect in adjusted.effects if effect.reason == UNKNOWN_UPLIFT]
    warnings += [_unknown(effect) for effect in unknown]
    return Planned(adjusted.quantiles, adjusted.without, adjusted.effects, warnings)


def _raised(quantiles: FloatArray, rates: FloatArray) -> tuple[FloatArray, bool]:
    """Raise a forecast to what is stated: while little is known, a peak that is stated is expected."""
    stated = np.zeros_like(quantiles)
    ahead = rates[: len(quantiles), None]
    stated[: len(ahead)] = ahead * np.exp(PEAK_SPREAD * NORMAL)[None, :]
    raised = ordered(np.maximum(quantiles, stated))
    return raised, bool((raised[:, MEDIAN] > quantiles[:, MEDIAN]).any())


def _stated() -> forecast_pb2.ForecastWarning:
    return forecast_pb2.ForecastWarning(
        reason="STATED_PEAK",
        description="Stated peaks of the workload are the prior: the history is too short to know better.",
    )


def _unknown(effect: Effect) -> forecast_pb2.ForecastWarning:
    return forecast_pb2.ForecastWarning(
        reason=UNKNOWN_UPLIFT,
        description=f"Nothing is known of what {effect.event.name} ({effect.event.type}) does to demand: "
        "only the upper quantiles were widened.",
        remedy="Say what you expect: enchain events create … --uplift 2x",
    )
