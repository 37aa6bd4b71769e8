"""Windows as parts of a frame, and back. Pure; both ends of the pipe call it."""

from collections.abc import Mapping, Sequence
from typing import Any

from controlplane.forecast.series import Event, FloatArray, Series, Window


def windows_out(windows: Sequence[Window]) -> tuple[list[dict[str, Any]], dict[str, FloatArray]]:
    """Answer what of windows is JSON, and their arrays by name."""
    said: list[dict[str, Any]] = []
    arrays: dict[str, FloatArray] = {}
    for index, window in enumerate(windows):
        series = window.series
        arrays[f"w{index}"] = series.values
        arrays |= {f"w{index}.{name}": array for name, array in window.covariates.items()}
        said.append(
            {
                "id": series.id,
                "start": series.start,
                "step": series.step_seconds,
                "upper": series.upper,
                "covariates": list(window.covariates),
                "events": [[e.name, e.type, e.start, e.end, e.expected_uplift] for e in window.events],
            }
        )
    return said, arrays


def windows_in(said: Sequence[Mapping[str, Any]], arrays: Mapping[str, FloatArray]) -> list[Window]:
    """Answer windows from what `windows_out` made."""
    return [_window(index, each, arrays) for index, each in enumerate(said)]


def _window(index: int, said: Mapping[str, Any], arrays: Mapping[str, FloatArray]) -> Window:
    series = Series(said["id"], said["start"], said["step"], arrays[f"w{index}"], said["upper"])
    events = tuple(Event(*each) for each in said["events"])
    return Window(series, events, {name: arrays[f"w{index}.{name}"] for name in said["covariates"]})
