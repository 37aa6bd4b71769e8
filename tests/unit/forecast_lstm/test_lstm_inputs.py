"""What the network reads: finite, free of units, true to events and peaks, and never from after an origin."""

import math
from dataclasses import replace

import numpy as np
import pytest

from controlplane.forecast.features.covariates import UNSTATED, covariates
from controlplane.forecast.features.track import Track
from controlplane.forecast.lstm.examples import COLUMNS, Examples, joined, of_window
from controlplane.forecast.lstm.settings import Settings
from controlplane.forecast.lstm.training import with_events
from controlplane.forecast.series import HOUR, MINUTE, Event, FloatArray, Window


def stretches(window: Window, origins: list[int], horizon: int = 12) -> Examples:
    return of_window(window, Track.of(window.series), np.array(origins, dtype=np.int64), horizon)


def changed(window: Window, values: FloatArray) -> Window:
    return replace(window, series=replace(window.series, values=values))


def test_inputs_are_free_of_the_unit_and_go_back_to_it(waves: list[Window]) -> None:
    window = waves[1]
    scaled = changed(window, window.series.values * 1e6)

    one, other = stretches(window, [200, 300]), stretches(scaled, [200, 300])

    np.testing.assert_allclose(one.past, other.past, atol=1e-4)
    np.testing.assert_allclose(one.ahead, other.ahead, atol=1e-4)
    back = other.expanded(other.compressed().astype(np.float64)[:, :, None])[..., 0]
    np.testing.assert_allclose(back, other.wanted, rtol=1e-4)


def test_inputs_never_come_from_after_the_origin(waves: list[Window]) -> None:
    window = waves[1]
    later = window.series.values.copy()
    later[301:] = 1e9
    later[320:] = np.nan

    one, other = stretches(window, [300]), stretches(changed(window, later), [300])

    np.testing.assert_allclose(one.past, other.past, atol=1e-4)
    np.testing.assert_allclose(one.ahead, other.ahead, atol=1e-4)


def test_joining_nothing_is_nothing() -> None:
    nothing = joined([], 12)

    assert len(nothing) == 0
    assert nothing.wanted.shape == (0, 12)


def test_events_and_peaks_become_covariates(waves: list[Window]) -> None:
    series = waves[0].series
    end = series.last
    window = Window(
        series,
        (
            Event("sale", "campaign", end + 2 * HOUR, end + 4 * HOUR, 3.0),
            Event("match", "sport", end + 3 * HOUR, end + 4 * HOUR + HOUR // 2),
            Event("outage", "stop", end + 8 * HOUR, end + 9 * HOUR, 0.0),
        ),
        {"peaks": np.concatenate([np.zeros(len(series)), [0, 0, 30, 60]]), "holiday": np.ones(3)},
    )

    found = covariates(window, 12)

    ahead = found["event"][len(series) :]
    assert not found["event"][: len(series)].any()
    expected = [0, math.log(3), math.log(3) + UNSTATED, UNSTATED / 2, 0, 0, 0, -3, 0, 0, 0, 0]
    np.testing.assert_allclose(ahead, expected, atol=1e-9)
    assert found["peak"][-4:].tolist() == [0, 0, 0.5, 1]
    assert set(found) == {"event", "peak", "holiday"}
    features = stretches(window, [len(series) - 1]).ahead
    np.testing.assert_allclose(features[0, :, COLUMNS.index("event")], expected, atol=1e-6)


@pytest.mark.parametrize("share", [0.0, 1.0])
@pytest.mark.parametrize("step", [5 * MINUTE, HOUR])
def test_made_up_events_multiply_what_came_and_say_so(waves: list[Window], share: float, step: int) -> None:
    before = stretches(waves[1], list(range(200, 260)))
    settings = Settings(event_share=share, event_dropout=0.0)

    after = with_events(before, settings, np.random.default_rng(0), step)

    column = after.ahead[:, :, COLUMNS.index("event")]
    size = (lambda seen: seen) if step < HOUR else np.expm1
    uplift = np.log(size(after.wanted) / size(before.wanted))
    assert ((column != 0).any(axis=1) == bool(share)).all()
    assert (np.abs(uplift - column)[column != 0] < 0.6).all()
    np.testing.assert_allclose(uplift[column == 0], 0, atol=1e-9)
    assert before.ahead[:, :, COLUMNS.index("event")].max() == 0
