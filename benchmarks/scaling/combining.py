"""The combined forecast at one moment of each series, as the leader makes it. Pure.

Both trials call it, with what members forecast at the moment and at earlier ones. It never sees an actual
that was measured later: tracks are cut at the moment here.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from controlplane.forecast.assembly import present
from controlplane.forecast.combination import combine
from controlplane.forecast.events.adjust import Cleaned, clean
from controlplane.forecast.ladder import measured, rung
from controlplane.forecast.planned import planned_for
from controlplane.forecast.quantiles import LEVELS
from controlplane.forecast.series import FloatArray, Series, Window
from controlplane.forecast.track import Track
from controlplane.planning.envelope import quantile_at


@dataclass(frozen=True, slots=True, eq=False)
class Moment:
    """One series at one moment.

    Attributes:
        whole: All of its past.
        cleaned: What models are shown of it, past events taken out, and what those did.
        window: The same with events.
    """

    whole: Series
    cleaned: Cleaned
    window: Window


def moment(whole: Series, window: Window) -> Moment:
    """Take events out of a window."""
    return Moment(whole, clean(window) if window.events else Cleaned(window, {}), window)


def combined(
    moments: Sequence[Moment], members: Mapping[str, FloatArray], tracks: Sequence[Track]
) -> FloatArray:
    """Answer the combined forecasts, shape (n, horizon, levels), planned events put on.

    Args:
        moments: Of the n series.
        members: By model, what it forecasts now, shape (n, horizon, levels).
        tracks: What they forecast before.
    """
    horizon = next(iter(members.values())).shape[1]
    windows = [each.cleaned.window for each in moments]
    rungs = [frozenset(rung(measured(each.whole)).models) for each in moments]
    known = [
        track.known_at(window.series.last).with_actuals(window.series)
        for track, window in zip(tracks, windows, strict=True)
    ]
    quantiles = combine(known, present(windows, members, horizon, rungs)).quantiles
    return np.stack(
        [
            planned_for(each.window, made, each.cleaned.learned, peaks=False).quantiles
            for each, made in zip(moments, quantiles, strict=True)
        ]
    )


@dataclass(frozen=True, slots=True)
class Word:
    """How a forecast kept its word: so many values of those known lay above the quantile planned with."""

    above: float
    known: float


def word(series: Series, origins: Sequence[int], forecasts: Sequence[FloatArray]) -> Word:
    """Count how forecasts kept their word until a series ends.

    Args:
        series: All that is known.
        origins: Index of the first step that each forecast tells.
        forecasts: Each of shape (horizon, len(LEVELS)).
    """
    above = known = 0
    for origin, quantiles in zip(origins, forecasts, strict=True):
        came = series.values[origin : origin + len(quantiles)]
        there = np.isfinite(came)
        known += int(there.sum())
        above += int((came > quantile_at(quantiles[: len(came)], LEVELS))[there].sum())
    return Word(float(above), float(known))
