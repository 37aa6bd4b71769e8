"""How good forecasts have been, counted from what was forecast and what came. Pure.

The forecasting loop publishes what it answers; the worker's backtest counts with it too.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass

import numpy as np

from controlplane.forecast.combination import BUCKETS
from controlplane.forecast.registry import COMBINED
from controlplane.forecast.rules import SEASONAL
from controlplane.forecast.scores import Marks, mark, ratio, score
from controlplane.forecast.track import Track
from enchain.v1 import forecast_pb2


@dataclass(frozen=True, slots=True)
class Bucket:
    """How good one model has been over some steps ahead; the fields are those of `BucketAccuracy`."""

    first_step: int
    last_step: int
    count: int
    wql: float
    mase: float
    smape: float
    coverage_80: float
    below_90: float
    below_95: float
    below_99: float
    relative_wql: float


@dataclass(frozen=True, slots=True)
class Judged:
    """How good one model has been in each horizon bucket that anything came true of."""

    model: str
    buckets: tuple[Bucket, ...]


def judged(track: Track, scale: float, members: Sequence[str] | None = None) -> tuple[Judged, ...]:
    """Judge the members of a track, `Combined` first.

    Args:
        track: What was forecast, and what came; members may have forecasts from some origins only.
        scale: Mean absolute difference from the day before (`scores.seasonal_error`); NaN where unknown.
        members: Which; all where it is None.
    """
    names = [name for name in (members or track.members) if name in track.members]
    scales = np.full(len(track), scale)
    marks = {
        name: mark(track.forecasts[:, track.members.index(name)], track.actuals, scales)
        for name in {*names, *({SEASONAL} & set(track.members))}
    }
    ordered = sorted(names, key=lambda name: name != COMBINED)
    return tuple(
        Judged(name, tuple(_buckets(marks[name], marks.get(SEASONAL), track.horizon))) for name in ordered
    )


def accuracy_message(
    name: str, found: Sequence[Judged], warnings: Sequence[forecast_pb2.ForecastWarning]
) -> forecast_pb2.ForecastAccuracy:
    """Turn what was found into a message, its time left to whoever stores it."""
    return forecast_pb2.ForecastAccuracy(
        name=name,
        models=[
            forecast_pb2.ModelAccuracy(
                model=each.model,
                buckets=[forecast_pb2.BucketAccuracy(**asdict(bucket)) for bucket in each.buckets],
            )
            for each in found
        ],
        warnings=warnings,
    )


def _buckets(marks: Marks, reference: Marks | None, horizon: int) -> list[Bucket]:
    ends = (*(last for last in BUCKETS if last < horizon), horizon)
    found = []
    for first, last in zip((0, *ends[:-1]), ends, strict=True):
        part = _part(marks, first, last)
        count = int(np.isfinite(part.loss).sum())
        if count:
            other = float("nan") if reference is None else ratio(part, _part(reference, first, last), last)
            found.append(_bucket(part, first, last, count, other))
    return found


def _bucket(part: Marks, first: int, last: int, count: int, relative: float) -> Bucket:
    each = score(part, last)
    return Bucket(
        first_step=first + 1,
        last_step=last,
        count=count,
        wql=_known(each.wql),
        mase=_known(each.mase),
        smape=_known(each.smape / 100),
        coverage_80=_known(each.coverage),
        below_90=_known(each.below[0]),
        below_95=_known(each.below[1]),
        below_99=_known(each.below[2]),
        relative_wql=_known(relative),
    )


def _part(marks: Marks, first: int, last: int) -> Marks:
    cut = slice(first, last)
    return Marks(
        marks.loss[:, cut],
        marks.size[:, cut],
        marks.scaled[:, cut],
        marks.symmetric[:, cut],
        marks.inside[:, cut],
        marks.below[:, cut],
    )


def _known(value: float) -> float:
    """Answer a figure to six digits; 0, which the wire leaves out, where it is not known."""
    return float(f"{value:.6g}") if np.isfinite(value) else 0.0
