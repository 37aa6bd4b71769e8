"""The scale on which the learning models see demand: on coarse grids one between plain and logarithmic.

The ridge, the boosting and the LSTM put it before all they do, and undo it after. An hour's demand moves by
factors, such as twice as much on match days, where that of five minutes moves by noise around its day: on
such a scale a factor is a shift, and what is usual may simply be added to. Pure; it knows no future.
"""

from dataclasses import dataclass, replace

import numpy as np

from controlplane.forecast.series import HOUR, FloatArray, Series

COARSE = HOUR // 2
"""Seconds between values from which demand is seen so."""

NAME = "log1p of demand by its mean on coarse grids"
"""What learned from demand seen otherwise cannot be used; artifacts hold it to that."""

HIGHEST = 50.0
"""Nothing sane is e to this power of the mean; the limit keeps a wild forecast finite."""


@dataclass(frozen=True, slots=True)
class Scale:
    """A scale.

    Attributes:
        unit: What is near to plain below it and near to logarithmic above it, in the unit of the series;
            None: demand is seen as it is.
    """

    unit: float | None = None

    def into(self, values: FloatArray) -> FloatArray:
        """Answer values on the scale: 0 at 0, ascending, NaN in gaps."""
        return values if self.unit is None else np.log1p(np.maximum(values, 0.0) / self.unit)

    def back(self, values: FloatArray) -> FloatArray:
        """Answer what values on the scale are in the unit of the series."""
        return values if self.unit is None else self.unit * np.expm1(np.minimum(values, HIGHEST))

    def series(self, series: Series) -> Series:
        """Answer a series on the scale, its bound as well."""
        if self.unit is None:
            return series
        upper = None if series.upper is None else float(self.into(np.array([series.upper]))[0])
        return replace(series, values=self.into(series.values), upper=upper)


PLAIN = Scale()
"""Demand as it is."""


def scale_of(past: Series) -> Scale:
    """Answer the scale for a series, by the mean of what is known of it; plain where that is 0."""
    known = past.values[np.isfinite(past.values)]
    if past.step_seconds < COARSE or not known.size:
        return PLAIN
    mean = float(np.maximum(known, 0.0).mean())
    return Scale(mean) if mean > 0 else PLAIN


def multiplied(values: FloatArray, factor: float, step_seconds: int) -> FloatArray:
    """Answer values on a grid's scale after the demand was multiplied; on a plain one they are it."""
    if step_seconds < COARSE:
        return values * factor
    return np.log1p(np.expm1(np.maximum(values, 0.0)) * factor)
