"""A track says how models did, survives storage, and never knows more than was known."""

import io

import numpy as np
import pytest

from controlplane.forecast import track
from controlplane.forecast.quantiles import LEVELS
from controlplane.forecast.series import FloatArray, Series
from enchain.chains.errors import MalformedError

STEP = 300
HORIZON = 4


def forecast(centre: float) -> FloatArray:
    return np.broadcast_to(centre + LEVELS, (HORIZON, len(LEVELS))).copy()


def test_actuals_are_filled_in_as_they_come() -> None:
    one = track.empty(("Naive",), STEP, HORIZON).with_origin(1200, {"Naive": forecast(1)})
    series = Series("cpu", 0, STEP, np.array([0, 1, 2, 3, 4, 5, np.nan], dtype=float))
    filled = one.with_actuals(series)
    assert np.array_equal(filled.actuals, [[5, np.nan, np.nan, np.nan]], equal_nan=True)
    later = filled.with_actuals(Series("cpu", 1800, STEP, np.array([6.0, 7.0])))
    assert np.array_equal(later.actuals, [[5, 6, 7, np.nan]], equal_nan=True)


def test_what_came_later_is_not_known() -> None:
    whole = (
        track.empty(("Naive",), STEP, HORIZON)
        .with_origin(0, {"Naive": forecast(1)})
        .with_origin(900, {"Naive": forecast(2)})
        .with_actuals(Series("cpu", 0, STEP, np.arange(20.0)))
    )
    then = whole.known_at(900)
    assert np.array_equal(then.origins, [0])
    assert np.array_equal(then.actuals, [[1, 2, 3, np.nan]], equal_nan=True)


def test_an_origin_is_replaced_and_the_oldest_leave() -> None:
    one = track.empty(("Naive",), STEP, HORIZON)
    for origin in (0, 300, 600, 600, 300):
        one = one.with_origin(origin, {"Naive": forecast(origin)}, bound=2)
    assert np.array_equal(one.origins, [300, 600])
    assert one.forecasts[1, 0, 0, 6] == 600.5


def test_a_new_member_has_no_past() -> None:
    one = track.empty(("Naive",), STEP, HORIZON).with_origin(0, {"Naive": forecast(1)})
    two = one.with_origin(300, {"Theta": forecast(2)})
    assert two.members == ("Naive", "Theta")
    assert np.isnan(two.forecasts[0, 1]).all()
    assert np.isnan(two.forecasts[1, 0]).all()
    swapped = two.aligned(("Theta", "LSTM", "Naive"))
    assert np.array_equal(swapped[:, 2], two.forecasts[:, 0], equal_nan=True)
    assert np.isnan(swapped[:, 1]).all()


def test_it_survives_storage() -> None:
    random = np.random.default_rng(1)
    one = track.empty(("Naive", "Theta"), STEP, HORIZON)
    for origin in range(0, 3000, 300):
        quantiles = np.sort(random.lognormal(3, 4, (HORIZON, len(LEVELS))), axis=-1)
        one = one.with_origin(origin, {"Theta": quantiles, "Naive": np.zeros((HORIZON, len(LEVELS)))})
    one = one.with_actuals(Series("cpu", 0, STEP, random.lognormal(3, 4, 8)))
    read = track.from_bytes(one.to_bytes())
    assert read.members == one.members
    assert read.step_seconds == STEP
    assert np.array_equal(read.origins, one.origins)
    assert np.array_equal(read.actuals, one.actuals, equal_nan=True)
    assert np.allclose(read.forecasts, one.forecasts, rtol=1 / 8192, atol=0)
    assert (np.diff(read.forecasts, axis=-1) >= 0).all()


def test_sixty_four_origins_of_ten_models_stay_small() -> None:
    random = np.random.default_rng(2)
    quantiles = np.sort(random.lognormal(3, 1, (64, 10, 48, len(LEVELS))), axis=-1)
    origins = np.arange(64, dtype=np.int64) * STEP
    one = track.Track(tuple("abcdefghij"), STEP, origins, quantiles, np.ones((64, 48)))
    assert len(one.to_bytes()) < 1_000_000


def test_an_empty_track_survives_storage() -> None:
    read = track.from_bytes(track.empty(("Naive",), STEP, HORIZON).to_bytes())
    assert len(read) == 0
    assert read.horizon == HORIZON


@pytest.mark.parametrize("data", [b"", b"nonsense", b"PK\x03\x04"])
def test_what_is_no_track_is_refused(data: bytes) -> None:
    with pytest.raises(MalformedError) as refused:
        track.from_bytes(data)
    assert refused.value.reason == "TRACK_UNREADABLE"
    assert refused.value.remedy


def test_arrays_that_do_not_fit_are_refused() -> None:
    good = track.empty(("Naive",), STEP, HORIZON).with_origin(0, {"Naive": forecast(1)})
    with np.load(io.BytesIO(good.to_bytes())) as stored:
        arrays = dict(stored)
    arrays["actuals"] = np.zeros((2, HORIZON))
    buffer = io.BytesIO()
    np.savez(buffer, **arrays)
    with pytest.raises(MalformedError, match="actuals"):
        track.from_bytes(buffer.getvalue())
