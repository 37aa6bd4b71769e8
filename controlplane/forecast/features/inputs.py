"""Inputs of the global models: features of each step ahead, the encoder's stretch of the past, their scale.

The boosting and the LSTM call it. All inputs are free of the series' unit, and finite wherever the series has
one value: what is not known is 0 and a flag says so. Nothing here looks beyond an origin.
"""

from collections.abc import Mapping

import numpy as np

from controlplane.forecast.features.candidates import NAMES, Candidates
from controlplane.forecast.features.track import DAYS, IntArray, Track, first_of, steps
from controlplane.forecast.series import DAY, MINUTE, WEEK, FloatArray

ENCODED = 96
"""How many steps of the past the encoder is given."""

COVARIATES = ("holiday", "peak", "event")
"""Names of a window's covariates that become features; others are not used."""

VOLATILITY = ("moves_12", "moves_48", "moves_day", "seasonal_12", "seasonal_day", "deviation_48", "spread")
ERRORS = ("day_smooth", "profile", "week")
CALENDAR = ("day_sin", "day_cos", "week_sin", "week_cos")

FEATURES = (
    *NAMES,
    *VOLATILITY,
    *(f"error_{name}" for name in ERRORS),
    "trend_3",
    "trend_12",
    *CALENDAR,
    "ahead",
    "ahead_days",
    "grid",
    "knows_day",
    "knows_week",
    *COVARIATES,
)
"""Features of each step ahead, in their order."""

CHANNELS = ("from_last", "from_day", "from_week", "move", "day_move", "known")
"""Channels of the encoder, in their order."""


def scales(track: Track, origins: IntArray) -> FloatArray:
    """Answer how much the series moves, from what is known at each origin.

    The mean absolute difference from a day earlier, over the newest 7 days; with less than a day of history
    the deviation of what there is. Never 0: at least a thousandth of the level.

    Args:
        track: The series.
        origins: Shape (n,).

    Returns:
        Shape (n,), in the unit of the series.
    """
    day = track.series.day
    stop = origins + 1
    seasonal = track.seasonal.mean(stop - DAYS * day, stop)
    deviation = _deviation(track, origins, 2 * day)
    level = np.abs(first_of(track.recent(origins, DAYS * day), np.zeros(1)) + track.level)
    least = 1e-3 * level + 1e-9
    return np.maximum(first_of(seasonal, deviation, least), least)


def decoder(
    track: Track,
    origins: IntArray,
    found: Candidates,
    centre: FloatArray,
    scale: FloatArray,
    covariates: Mapping[str, FloatArray] | None = None,
) -> FloatArray:
    """Answer the features of each step ahead.

    Args:
        track: The series.
        origins: Shape (n,).
        found: Their candidates, (n, horizon, len(NAMES)).
        centre: What counts as 0; shape (n, 1) or (n, horizon), in the unit of the series.
        scale: What counts as 1; likewise.
        covariates: Those of the window, by name.

    Returns:
        Shape (n, horizon, len(FEATURES)).
    """
    horizon = found.values.shape[1]
    compact = np.arcsinh((found.values - centre[..., None]) / scale[..., None])
    rest = [
        *_volatility(track, origins, found, scale),
        *((found.of(f"{name}+") - found.of(name)) / scale for name in ERRORS),
        (found.of("mean3") - found.of("mean12")) / scale,
        (found.of("mean12") - found.of("mean48")) / scale,
    ]
    shape = (len(origins), horizon)
    columns = [np.arcsinh(np.broadcast_to(column, shape)) for column in rest]
    columns += [np.broadcast_to(column, shape) for column in _known_ahead(track, origins, horizon)]
    columns += [
        found.known[:, :, NAMES.index("day_smooth")],
        found.known[:, :, NAMES.index("week")],
        *(_covariate((covariates or {}).get(name), origins, horizon) for name in COVARIATES),
    ]
    every = np.concatenate([compact, np.stack(columns, axis=-1)], axis=-1)
    return np.where(np.isfinite(every), every, 0.0)


def encoder(track: Track, origins: IntArray, scale: FloatArray, length: int = ENCODED) -> FloatArray:
    """Answer the past of each origin as the encoder reads it.

    Args:
        track: The series.
        origins: Shape (n,).
        scale: Shape (n,), such as `scales` gives.
        length: How many steps, the origin the last of them.

    Returns:
        Shape (n, length, len(CHANNELS)).
    """
    places = origins[:, None] - length + steps(length)
    values, before = _read(track, places), _read(track, places - 1)
    day, week = track.series.day, track.series.week
    lagged = _read(track, places - day)
    channels = [
        values - track.last(origins)[:, None],
        values - lagged,
        values - _read(track, places - week),
        values - before,
        lagged - _read(track, places - day - 1),
    ]
    stacked = np.arcsinh(np.stack(channels, axis=-1) / scale[:, None, None])
    every = np.concatenate([stacked, np.isfinite(values)[..., None]], axis=-1)
    return np.where(np.isfinite(every), every, 0.0)


def _volatility(track: Track, origins: IntArray, found: Candidates, scale: FloatArray) -> list[FloatArray]:
    """Answer how restless the series has been lately, in scales."""
    stop, day = origins + 1, track.series.day
    wide = max(day, 48)
    moved = [
        track.moves.mean(stop - 12, stop),
        track.moves.mean(stop - 48, stop),
        track.moves.mean(stop - wide, stop),
        track.seasonal.mean(stop - 12, stop),
        track.seasonal.mean(stop - wide, stop),
        _deviation(track, origins, 48),
    ]
    return [*(moves[:, None] / scale for moves in moved), found.spread / scale]


def _deviation(track: Track, origins: IntArray, width: int) -> FloatArray:
    """Answer the standard deviation of the newest values, shape of `origins`."""
    stop = origins + 1
    mean = track.plain.mean(stop - width, stop)
    square = track.squares.mean(stop - width, stop)
    return np.sqrt(np.maximum(square - np.square(mean), 0.0))


def _known_ahead(track: Track, origins: IntArray, horizon: int) -> list[FloatArray]:
    """Answer the calendar of each step ahead, and how far it is away."""
    series, ahead = track.series, steps(horizon)
    seconds = series.start + (origins[:, None] + ahead) * series.step_seconds
    day = 2 * np.pi * (seconds % DAY) / DAY
    week = 2 * np.pi * (seconds % WEEK) / WEEK
    away = ahead.astype(np.float64)
    return [
        np.sin(day),
        np.cos(day),
        np.sin(week),
        np.cos(week),
        np.log(away) / 4,
        away * series.step_seconds / DAY,
        np.full((1, 1), np.log(series.step_seconds / (30 * MINUTE))),
    ]


def _covariate(values: FloatArray | None, origins: IntArray, horizon: int) -> FloatArray:
    """Answer a covariate at each step ahead, 0 where it is not given."""
    if values is None or not len(values):
        return np.zeros((len(origins), horizon))
    places = origins[:, None] + steps(horizon)
    inside = places < len(values)
    return np.where(inside, values[np.where(inside, places, 0)], 0.0)


def _read(track: Track, places: IntArray) -> FloatArray:
    """Answer values at places, NaN before the series; none is after its end."""
    return np.where(places >= 0, track.values[np.maximum(places, 0)], np.nan)
