"""What the learning models see: candidates, inputs and windows, held against plain loops and the future."""

import numpy as np
import pytest

from controlplane.forecast.features.candidates import NAMES, candidates, targets
from controlplane.forecast.features.inputs import CHANNELS, FEATURES, decoder, encoder, scales
from controlplane.forecast.features.sampling import draw, eligible
from controlplane.forecast.features.track import Track
from controlplane.forecast.series import HOUR, MINUTE, FloatArray, Series

GRIDS = (5 * MINUTE, HOUR // 2, HOUR)


def wave(length: int, step: int = HOUR, seed: int = 0, gaps: float = 0.0) -> Series:
    rng = np.random.default_rng(seed)
    times = np.arange(length) * step
    values = 50 + 20 * np.sin(2 * np.pi * times / 86400) + rng.normal(0, 2, length)
    values[rng.random(length) < gaps] = np.nan
    return Series("wave", 0, step, values)


def everything(series: Series, origins: list[int], horizon: int) -> list[FloatArray]:
    track, places = Track.of(series), np.array(origins, dtype=np.int64)
    found, scale = candidates(track, places, horizon), scales(track, places)
    features = decoder(track, places, found, found.of("mean12"), scale[:, None])
    return [found.values, found.spread, scale, features, encoder(track, places, scale)]


def test_candidates_are_what_their_names_say() -> None:
    series = wave(24 * 30)
    values, origin = series.values, 600
    found = candidates(Track.of(series), np.array([origin]), 30)
    for ahead in (1, 5, 23, 24, 25, 30):
        at = origin + ahead
        back = 24 if ahead <= 24 else 48
        row = dict(zip(NAMES, found.values[0, ahead - 1], strict=True))
        profile = np.mean([values[at - back - 24 * day] for day in range(7)])
        own = np.mean(
            [values[origin - 11 - 24 * (day + 1) : origin + 1 - 24 * (day + 1)] for day in range(7)]
        )
        recent = values[origin - 11 : origin + 1].mean()
        smooth = values[at - back - 1 : min(at - back + 1, origin) + 1].mean()
        assert row["last"] == pytest.approx(values[origin])
        assert row["mean3"] == pytest.approx(values[origin - 2 : origin + 1].mean())
        assert row["day"] == pytest.approx(values[at - back])
        assert row["day_smooth"] == pytest.approx(smooth)
        assert row["profile"] == pytest.approx(profile)
        assert row["profile+"] == pytest.approx(profile + recent - own)
        assert row["week"] == pytest.approx(values[at - 168])
        assert row["weeks"] == pytest.approx(np.mean([values[at - 168 * week] for week in (1, 2, 3)]))
        assert row["zero"] == 0
    assert found.known.all()


@pytest.mark.parametrize("step", GRIDS)
def test_nothing_looks_beyond_its_origin(step: int) -> None:
    series = wave(16 * 86400 // step, step, gaps=0.05)
    day = series.day
    origins = [3, day // 2, day, 3 * day + 5, 8 * day, 15 * day]
    whole = everything(series, origins, 60)
    for place, origin in enumerate(origins):
        cut = everything(series.until(origin + 1), [origin], 60)
        for all_of_it, part in zip(whole, cut, strict=True):
            np.testing.assert_allclose(all_of_it[place], part[0], rtol=1e-7, atol=1e-5)


@pytest.mark.parametrize("length", [1, 3, 40, 24 * 9])
@pytest.mark.parametrize("gaps", [0.0, 0.6])
def test_short_and_broken_histories_give_finite_inputs(length: int, gaps: float) -> None:
    series = wave(length, gaps=gaps, seed=3)
    series.values[0] = 50.0
    for part in everything(series, [length - 1], 48):
        assert np.isfinite(part).all()


def test_a_missing_week_is_the_profile_and_is_marked() -> None:
    found = candidates(Track.of(wave(24 * 3)), np.array([71]), 12)
    assert not found.known[:, :, NAMES.index("week")].any()
    np.testing.assert_allclose(found.of("week"), found.of("profile"))


@pytest.mark.parametrize("value", [0.0, 7.5])
def test_a_constant_series_is_its_own_forecast(value: float) -> None:
    series = Series("flat", 0, HOUR, np.full(400, value))
    found, _, scale, features, past = everything(series, [399], 48)
    np.testing.assert_allclose(found[:, :, :-1], value, atol=1e-9)
    assert (scale > 0).all()
    assert np.isfinite(features).all()
    assert np.abs(past[:, :, :-1]).max() == 0


def test_inputs_do_not_depend_on_the_unit() -> None:
    series = wave(24 * 20, gaps=0.02)
    other = Series("other", 0, HOUR, series.values * 1e6)
    for plain, scaled in zip(
        everything(series, [200, 400], 24)[3:], everything(other, [200, 400], 24)[3:], strict=True
    ):
        np.testing.assert_allclose(plain, scaled, atol=1e-6)


def test_a_series_without_a_value_gives_no_candidate() -> None:
    found = candidates(Track.of(Series("none", 0, HOUR, np.full(30, np.nan))), np.array([29]), 6)
    assert np.isnan(found.values).all()


def test_covariates_are_read_ahead() -> None:
    series = wave(100)
    track, origins = Track.of(series), np.array([99])
    found = candidates(track, origins, 4)
    stated = np.zeros(102)
    stated[101] = 1.0
    features = decoder(
        track, origins, found, found.of("last"), scales(track, origins)[:, None], {"peak": stated}
    )
    assert features.shape == (1, 4, len(FEATURES))
    assert features[0, :, FEATURES.index("peak")].tolist() == [0, 1, 0, 0]


def test_the_encoder_ends_at_the_origin() -> None:
    series = wave(24 * 9)
    track, origins = Track.of(series), np.array([200])
    past = encoder(track, origins, np.ones(1), 96)
    assert past.shape == (1, 96, len(CHANNELS))
    assert past[0, -1, 0] == 0
    assert past[0, -1, 3] == pytest.approx(np.arcsinh(series.values[200] - series.values[199]))


def test_targets_are_what_came() -> None:
    series = wave(50)
    came = targets(Track.of(series), np.array([10, 47]), 3)
    np.testing.assert_allclose(came[0], series.values[11:14])
    assert np.isnan(came[1, 2])


def test_every_series_is_drawn_from_alike_and_by_seed() -> None:
    tracks = [Track.of(wave(length)) for length in (2000, 300, 20, 2)]
    drawn = draw(tracks, 24, 100, np.random.default_rng(1), half_life=100)
    again = draw(tracks, 24, 100, np.random.default_rng(1), half_life=100)
    assert [len(origins) for origins in drawn] == [100, 100, 0, 0]
    for one, other in zip(drawn, again, strict=True):
        assert one.tolist() == other.tolist() == sorted(set(one.tolist()))
    assert np.median(drawn[0]) > 1700


def test_origins_without_a_future_are_not_learned_from() -> None:
    series = wave(100)
    series.values[60:] = np.nan
    assert eligible(Track.of(series), 10).tolist() == list(range(11, 55))
