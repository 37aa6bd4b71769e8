"""Policies of scaling: what each wants to be ready for, given what may be known at a moment. Pure.

The benchmark asks them at every step; whoever scales real engines may ask them likewise. All see the same,
and none says how many instances that takes. None may see a value that came after the moment; the oracle,
which does, is not among them.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from benchmarks.scaling.peering import DSP, HOLT_WINTERS, LINEAR
from controlplane.forecast.quantiles import LEVELS
from controlplane.forecast.series import MINUTE, FloatArray, Series
from controlplane.planning.envelope import planned, priced, quantile_at, share

RECENT_SECONDS = 30 * MINUTE
PROTOTYPE_LEVEL = 0.8
STATIC_LEVEL = 0.99

ENCHAIN = "enchain"
REACTIVE = "maximum of 30 min"
ORACLE = "oracle"


@dataclass(frozen=True, slots=True, eq=False)
class Sight:
    """What may be known at a moment.

    Attributes:
        series: Demand until then.
        begun: How many of its values were known when the trial began.
        quantiles: The combined forecast, shape (horizon, len(LEVELS)).
        points: By other scalers' methods, what they forecast, each of shape (horizon,).
        above: How many values lately lay above the forecast's quantile that is planned with.
        known: Of how many.
    """

    series: Series
    begun: int
    quantiles: FloatArray
    points: Mapping[str, FloatArray]
    above: float = 0.0
    known: float = 0.0

    @property
    def last(self) -> float:
        """Answer the last value measured, 0 where there is none."""
        seen = self.series.values[np.isfinite(self.series.values)]
        return float(seen[-1]) if seen.size else 0.0

    @property
    def recent(self) -> float:
        """Answer the most of the last half hour."""
        values = self.series.values[-max(1, RECENT_SECONDS // self.series.step_seconds) :]
        return float(np.nanmax(values)) if np.isfinite(values).any() else self.last

    def flat(self, value: float) -> FloatArray:
        """Answer the same value for all steps ahead."""
        return np.full(len(self.quantiles), value)


Policy = Callable[[Sight], FloatArray]
"""Answers the demand to be ready for, by step ahead, shape (horizon,), before any headroom."""


def enchain(sight: Sight) -> FloatArray:
    """Raise the forecast's priced quantile towards the envelope, as planning does."""
    told = priced(sight.quantiles, LEVELS)
    return planned(told, sight.recent, share(sight.above, sight.known))


def prototype(sight: Sight) -> FloatArray:
    """Take the larger of the last half hour's maximum and the forecast's 80 % quantile."""
    return np.maximum(quantile_at(sight.quantiles, LEVELS, PROTOTYPE_LEVEL), sight.recent)


def static(sight: Sight) -> FloatArray:
    """Stay at what was exceeded 1 % of the time in the two weeks before the trial began."""
    before = sight.series.until(sight.begun).newest(2 * sight.series.week).values
    seen = before[np.isfinite(before)]
    return sight.flat(float(np.quantile(seen, STATIC_LEVEL)) if seen.size else sight.last)


def last_value(sight: Sight) -> FloatArray:
    """Follow the last value, as a horizontal autoscaler does."""
    return sight.flat(sight.last)


def recent_maximum(sight: Sight) -> FloatArray:
    """Follow the most of the last half hour."""
    return sight.flat(sight.recent)


def phpa_linear(sight: Sight) -> FloatArray:
    """Take the larger of the last value and the line of the Predictive Horizontal Pod Autoscaler.

    By itself it would go by the line alone: where that falls to 0 no headroom helps.
    """
    return np.maximum(sight.points[LINEAR], sight.last)


def phpa_holt_winters(sight: Sight) -> FloatArray:
    """Take the larger of the last value and its Holt-Winters."""
    return np.maximum(sight.points[HOLT_WINTERS], sight.last)


def crane(sight: Sight) -> FloatArray:
    """Take the larger of the last value and what Crane's DSP forecasts, as its autoscaler does."""
    return np.maximum(sight.points[DSP], sight.last)


POLICIES: Mapping[str, Policy] = {
    ENCHAIN: enchain,
    "max(30 min, q80)": prototype,
    "static": static,
    "last value": last_value,
    REACTIVE: recent_maximum,
    "PHPA linear": phpa_linear,
    "PHPA Holt-Winters": phpa_holt_winters,
    "Crane DSP": crane,
}
"""In the order in which they are shown."""
