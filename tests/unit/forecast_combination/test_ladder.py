"""How much of the past is known says which models may be asked."""

import numpy as np
import pytest

from controlplane.forecast import ladder
from controlplane.forecast.registry import NAMES
from controlplane.forecast.series import DAY, HOUR, MINUTE, WEEK, Series


@pytest.mark.parametrize(
    ("seconds", "name"),
    [
        (0, "minutes"),
        (2 * HOUR - 1, "minutes"),
        (2 * HOUR, "hours"),
        (2 * DAY - 1, "hours"),
        (2 * DAY, "days"),
        (2 * WEEK - 1, "days"),
        (2 * WEEK, "weeks"),
        (99 * WEEK, "weeks"),
    ],
)
def test_the_rung_is_by_length(seconds: int, name: str) -> None:
    assert ladder.rung(seconds).name == name


def test_gaps_are_no_history() -> None:
    values = np.full(100, np.nan)
    values[::2] = 1.0
    assert ladder.measured(Series("cpu", 0, 5 * MINUTE, values)) == 50 * 5 * MINUTE


def test_each_rung_allows_what_the_lower_ones_did() -> None:
    for lower, higher in zip(ladder.LADDER, ladder.LADDER[1:], strict=False):
        assert set(lower.models) < set(higher.models)
        assert lower.least < higher.least
        assert lower.reason


def test_every_model_stands_on_some_rung() -> None:
    assert set(ladder.LADDER[-1].models) == set(NAMES)


def test_who_may_have_weight() -> None:
    may = ladder.allowed(ladder.LADDER, ("Envelope", "LSTM", "MSTL", "WeeklyNaive", "Plugged"))
    assert may.tolist() == [
        [True, False, False, False, False],
        [True, True, False, False, True],
        [True, True, True, False, True],
        [True, True, True, True, True],
    ]


def test_stated_peaks_are_the_prior_while_history_is_short() -> None:
    assert [rung.peaks for rung in ladder.LADDER] == [True, True, False, False]
