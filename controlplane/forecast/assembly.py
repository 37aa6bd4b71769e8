"""From members' forecasts to what is published: the pure middle of the forecasting loop.

The leader's loop reads the world, calls this, and writes what it answers. Nothing here waits, and time is an
argument.
"""

from collections.abc import Mapping, Sequence
from datetime import timedelta

import numpy as np

from controlplane.forecast.combination import Combined, Present
from controlplane.forecast.quantiles import LEVELS
from controlplane.forecast.series import FloatArray, Window
from enchain.v1 import forecast_pb2

STALE_STEPS = 6
"""A series whose last values are missing for more steps than this is told to be stale."""

GAPS_MANY = 0.2
"""Share of the grid that may be missing before a forecast says so."""

WORKER_WORDS = "the process in which this model runs did not answer"
"""What is said of a model whose process is down."""


def present(
    windows: Sequence[Window],
    members: Mapping[str, FloatArray],
    horizon: int,
    allowed: Sequence[frozenset[str]],
) -> Present:
    """Put what the members forecast together.

    Args:
        windows: The n series.
        members: By model, shape (n, horizon, levels).
        horizon: Steps ahead.
        allowed: Per series, which models may have weight.
    """
    names = tuple(members)
    shape = (len(windows), len(names), horizon, len(LEVELS))
    forecasts = np.stack(list(members.values()), axis=1) if names else np.full(shape, np.nan)
    return Present(
        members=names,
        forecasts=forecasts,
        origins=np.array([each.series.last for each in windows], dtype=np.int64),
        highest=np.array([_highest(each.series.values) for each in windows]),
        upper=np.array([np.inf if each.series.upper is None else each.series.upper for each in windows]),
        allowed=np.array([[name in some for name in names] for some in allowed], dtype=bool).reshape(
            len(windows), len(names)
        ),
    )


def shares(
    combined: Combined,
    row: int,
    failures: Mapping[str, tuple[str, str]],
    versions: Mapping[str, str],
    wanted: Sequence[str],
) -> list[forecast_pb2.ModelShare]:
    """Answer what became of each model that was wanted for a series.

    Args:
        combined: The combination.
        row: Which series of it.
        failures: By model that failed as a whole: reason and words.
        versions: By model, that of its artifact.
        wanted: The models of the series' rung.
    """
    answer = []
    for name in wanted:
        share = forecast_pb2.ModelShare(model=name, version=versions.get(name, ""))
        if name in combined.members:
            weights = combined.weights[row, :, combined.members.index(name)]
            share.weights.extend(float(f"{weight:.4g}") for weight in weights)
        else:
            share.weights.extend([0.0] * len(combined.buckets))
        if not any(share.weights):
            share.reason, share.description = _why(name, combined, row, failures)
        answer.append(share)
    return sorted(answer, key=lambda each: -sum(each.weights))


def warnings_of(
    window: Window,
    combined: Combined,
    row: int,
    failures: Mapping[str, tuple[str, str]],
    data: forecast_pb2.DataFreshness,
    fault: str,
) -> list[forecast_pb2.ForecastWarning]:
    """Answer what whoever relies on a forecast should know."""
    found = [
        forecast_pb2.ForecastWarning(reason=note.code, description=note.words)
        for note in combined.notes[row]
        if not note.member
    ]
    found += _about_data(window, data)
    if fault:
        remedy = "Look at the source; the forecast goes on from what was measured before."
        found.append(forecast_pb2.ForecastWarning(reason="SOURCE_FAILS", description=fault, remedy=remedy))
    down = sorted({reason for reason, _ in failures.values() if reason.startswith("WORKER_")})
    if down:
        found.append(
            forecast_pb2.ForecastWarning(
                reason=down[0],
                description="The forecasting worker is down; the forecast rests on the simpler models alone.",
                remedy="It is started again by itself. Where this stays, look for `worker ended` in logs.",
            )
        )
    return found


def _about_data(window: Window, data: forecast_pb2.DataFreshness) -> list[forecast_pb2.ForecastWarning]:
    found = []
    series = window.series
    silent = (series.last - data.last_time.seconds) // series.step_seconds
    if silent > STALE_STEPS:
        since = timedelta(seconds=silent * series.step_seconds)
        found.append(
            forecast_pb2.ForecastWarning(
                reason="DATA_STALE",
                description=f"Nothing was measured for the last {since}.",
                remedy="See whether whatever measures still sends; enchain describe tells the source.",
            )
        )
    if data.gaps > GAPS_MANY:
        found.append(
            forecast_pb2.ForecastWarning(
                reason="DATA_GAPS", description=f"{100 * data.gaps:.0f} % of the values are missing."
            )
        )
    if data.rejected:
        count = sum(data.rejected.values())
        kinds = ", ".join(sorted(data.rejected))
        found.append(
            forecast_pb2.ForecastWarning(
                reason="SAMPLES_REJECTED",
                description=f"{count} samples were left out: {kinds}.",
                remedy="docs/demand.md says what is left out and why.",
            )
        )
    return found


def _why(name: str, combined: Combined, row: int, failures: Mapping[str, tuple[str, str]]) -> tuple[str, str]:
    if name in failures:
        reason, words = failures[name]
        return reason, WORKER_WORDS if reason.startswith("WORKER_") and not words else words
    for note in combined.notes[row]:
        if note.member == name:
            return note.code, note.words
    if name not in combined.members:
        return "NOT_LEARNED_YET", "it has not learned from this series yet"
    return "OUTWEIGHED", "other models did so much better that nothing was left for it"


def _highest(values: FloatArray) -> float:
    there = values[np.isfinite(values)]
    return float(there.max()) if len(there) else 0.0
