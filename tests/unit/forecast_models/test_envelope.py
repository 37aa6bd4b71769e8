"""The envelope speaks from one value on, of the last half hour alone, and is ever less sure."""

import numpy as np

from controlplane.forecast.models.envelope import Envelope
from controlplane.forecast.quantiles import LEVELS
from controlplane.forecast.series import MINUTE, FloatArray, Series, Window

TOP = list(LEVELS).index(0.9)


def _forecast(values: list[float]) -> FloatArray:
    window = Window(Series("s", 0, 5 * MINUTE, np.array(values)))
    answer: FloatArray = Envelope().fit([], horizon=12, seed=0).forecast([window], 12)[0]
    return answer


def test_one_value_is_enough() -> None:
    told = _forecast([50.0])

    assert np.isfinite(told).all()
    assert (told[0] == 50).all()


def test_the_greatest_of_half_an_hour_is_the_top() -> None:
    assert _forecast([900.0, 10, 20, 30, 60, 50, 40])[0, TOP] == 60


def test_gaps_at_the_end_do_not_hide_what_was_before() -> None:
    assert np.isfinite(_forecast([10.0, 20.0, *[np.nan] * 8])).all()


def test_it_is_ever_less_sure() -> None:
    told = _forecast([10.0, 12, 9, 11, 10, 13, 9])

    assert (np.diff(told[:, TOP]) >= 0).all()
    assert told[-1, TOP] > told[0, TOP]
