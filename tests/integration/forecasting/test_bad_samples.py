"""Rubbish among what is measured: the forecast stays finite, sane and marked, and a counter says why."""

from collections.abc import Callable, Sequence

import numpy as np
import pytest

from controlplane.demand.samples import Kind, Line, Point, Reason
from controlplane.demand.signals import Signal
from controlplane.forecast.documents import quantiles_of
from controlplane.forecast.quantiles import usable
from tests.harness.forecasting import END, ForecastingLeader

HIGH = 5.0
MINUTES = 100


def _point(minute: float, value: float, part: str = "") -> Point:
    """Memory of one resource, so many minutes before the end."""
    line = Line("site", Signal.MEMORY, "r1", part, 0)
    return Point(line, "reporter", Kind.GAUGE, 0.0, END - 60 * minute, value)


def _good() -> list[Point]:
    return [_point(minute, 4.0 + minute % 2) for minute in range(MINUTES, 0, -1)]


Spoil = Callable[[Sequence[Point]], list[Point]]


def _among(value: float) -> Spoil:
    """Every third sample is spoilt."""

    def spoil(points: Sequence[Point]) -> list[Point]:
        return [
            Point(p.line, p.reporter, p.kind, p.start, p.time, value) if index % 3 == 0 else p
            for index, p in enumerate(points)
        ]

    return spoil


def _twice(points: Sequence[Point]) -> list[Point]:
    return [each for point in points for each in (point, point)]


def _swapped(points: Sequence[Point]) -> list[Point]:
    return [each for pair in zip(points[1::2], points[::2], strict=True) for each in pair]


def _late(points: Sequence[Point]) -> list[Point]:
    return [_point(60 * 24 * 3, 1e6), *points]


def _ahead(points: Sequence[Point]) -> list[Point]:
    return [*points, _point(-60 * 24, 1e6)]


@pytest.mark.parametrize(
    ("spoil", "reason"),
    [
        (_among(float("nan")), Reason.NAN),
        (_among(float("inf")), Reason.INFINITE),
        (_among(-3.0), Reason.NEGATIVE),
        (_among(1e300), Reason.ABSURD),
        (_twice, Reason.DUPLICATE),
        (_swapped, Reason.OUT_OF_ORDER),
        (_late, Reason.LATE),
        (_ahead, Reason.FUTURE),
    ],
    ids=lambda each: str(each) if isinstance(each, Reason) else "",
)
async def test_a_forecast_stays_sane_whatever_is_sent_and_says_what_was_left_out(
    leader: ForecastingLeader, spoil: Spoil, reason: Reason
) -> None:
    await leader.workload("site")
    left = await leader.history.append(spoil(_good()))
    leader.start_forecasting()

    forecast = await leader.forecast("site", "memory-5m")

    quantiles = quantiles_of(forecast.steps)
    assert usable(quantiles)
    assert 0 < quantiles[:, 6].min() <= quantiles[:, 6].max() <= 2 * HIGH
    assert np.max(quantiles) <= 3 * HIGH
    assert sum(count for (_, why), count in left.items() if why is reason) > 0
    if reason is not Reason.LATE:  # that one lies before all that the forecast looks at
        assert forecast.data.rejected[reason] > 0
        assert "SAMPLES_REJECTED" in {each.reason for each in forecast.warnings}
