"""What each policy asks for: only from what may be known, and what its name says."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.scaling.policies import ENCHAIN, POLICIES, REACTIVE, Sight
from controlplane.forecast.quantiles import LEVELS
from controlplane.forecast.series import MINUTE, FloatArray, Series
from controlplane.planning.envelope import TRUSTED_SHARE

HORIZON = 6
POINTS = {
    "benchmarks.forecasting.peers.phpa:Linear": np.full(HORIZON, -5.0),
    "benchmarks.forecasting.peers.phpa:HoltWinters": np.full(HORIZON, 30.0),
    "benchmarks.forecasting.peers.crane:Dsp": np.linspace(1.0, 20.0, HORIZON),
}


def sight(values: FloatArray, *, at: float = 10.0, known: float = 1000.0, above: float = 150.0) -> Sight:
    quantiles = np.tile(at * LEVELS, (HORIZON, 1))
    return Sight(Series("a", 0, 5 * MINUTE, values), len(values), quantiles, POINTS, above, known)


VALUES = np.array([50.0, 9.0, 8.0, 7.0, 20.0, 6.0, 5.0])


@pytest.mark.parametrize(
    ("policy", "expected"),
    [
        ("last value", [5.0] * HORIZON),
        (REACTIVE, [20.0] * HORIZON),
        ("PHPA linear", [5.0] * HORIZON),
        ("PHPA Holt-Winters", [30.0] * HORIZON),
        ("Crane DSP", [5.0, 5.0, 8.6, 12.4, 16.2, 20.0]),
        ("max(30 min, q80)", [20.0] * HORIZON),
        (ENCHAIN, [9.0 + TRUSTED_SHARE * 11.0] * HORIZON),
    ],
)
def test_each_policy_asks_for_what_its_name_says(policy: str, expected: list[float]) -> None:
    assert POLICIES[policy](sight(VALUES)) == pytest.approx(expected)


def test_enchain_goes_by_the_envelope_where_its_forecast_broke_its_word() -> None:
    assert POLICIES[ENCHAIN](sight(VALUES, above=900.0)) == pytest.approx([20.0] * HORIZON)


def test_static_does_not_move_with_what_came_since_the_trial_began() -> None:
    before = sight(VALUES)
    later = Sight(Series("a", 0, 5 * MINUTE, np.append(VALUES, 1e6)), len(VALUES), before.quantiles, POINTS)

    assert POLICIES["static"](later).tolist() == POLICIES["static"](before).tolist()


@given(st.sampled_from(list(POLICIES)), st.integers(1, 40), st.integers(0, 2**32), st.floats(0, 1))
def test_every_policy_answers_for_each_step_finite_and_not_negative_gaps_or_not(
    policy: str, length: int, seed: int, missing: float
) -> None:
    rng = np.random.default_rng(seed)
    values = np.where(rng.random(length) < missing, np.nan, rng.gamma(2.0, 5.0, length))
    asked = POLICIES[policy](sight(values))

    assert asked.shape == (HORIZON,)
    assert np.isfinite(asked).all()
    assert (asked >= 0).all()
