"""A member that stands apart from the others now counts less, as far as the past says anything."""

from dataclasses import replace

import numpy as np
import pytest

from controlplane.forecast.agreement import agreeing, informed
from controlplane.forecast.combination import combine
from controlplane.forecast.past import gather
from controlplane.forecast.quantiles import LEVELS
from controlplane.forecast.rules import RULES
from controlplane.forecast.series import FloatArray
from tests.unit.forecast_combination.worlds import HORIZON, MEMBERS, World, world

FULL = np.array([1.0])
EQUAL = np.full((1, 4), 0.25)
ALL = np.ones((1, 4), dtype=bool)


def around(*medians: float, half: float = 1.0) -> FloatArray:
    """Answer forecasts of one series and three steps, a member around each median."""
    spread = half * np.linspace(-1, 1, len(LEVELS))
    return np.tile(np.array(medians)[None, :, None, None] + spread, (1, 1, 3, 1))


def trust_in(made: World) -> FloatArray:
    present = made.present
    past = gather(made.tracks, present.members, present.origins, HORIZON, np.full(1, np.inf))
    return informed(past.bucket(1, 3, RULES.half_life), RULES)


def test_a_member_far_from_the_others_counts_less() -> None:
    found = agreeing(around(10, 10.2, 10.1, 30), EQUAL, ALL, FULL, RULES)
    assert found[0, 3] < 0.01
    assert found.sum() == pytest.approx(1.0)
    assert (found[0, :3] > 0.25).all()


def test_members_that_all_disagree_keep_their_weights() -> None:
    found = agreeing(around(0, 10, 20, 30, half=20.0), EQUAL, ALL, FULL, RULES)
    assert found[0] == pytest.approx(0.25, abs=0.11)


def test_so_far_apart_as_is_usual_halves_a_weight() -> None:
    # The middle distance is 0, and half a band .8 of half the whole: what is usual is that.
    usual = (around(0)[0, 0, 0, 10] - around(0)[0, 0, 0, 2]) / 2
    found = agreeing(around(10, 10, 10, 10 + RULES.apart * usual), EQUAL, ALL, FULL, RULES)
    assert found[0, 3] / found[0, 0] == pytest.approx(0.5)


def test_of_two_members_nobody_stands_apart() -> None:
    two = np.array([[True, True, False, False]])
    weights = np.array([[0.7, 0.3, 0.0, 0.0]])
    assert agreeing(around(10, 90, 0, 0), weights, two, FULL, RULES) == pytest.approx(weights)


def test_without_a_past_nobody_is_thought_wrong() -> None:
    found = agreeing(around(10, 10, 10, 90), EQUAL, ALL, np.zeros(1), RULES)
    assert found == pytest.approx(EQUAL)


def test_origins_of_an_idle_series_say_nothing_of_its_members() -> None:
    made = world(seed=1, origins=6)
    for origin in range(5):
        made.tracks[0].actuals[origin] = 0.0
    assert trust_in(world(seed=1, origins=6))[0] == pytest.approx(6 / (6 + RULES.apart_prior))
    assert trust_in(made)[0] == pytest.approx(1 / (1 + RULES.apart_prior))
    assert trust_in(world(seed=1).constant(0.0))[0] == 0.0


def test_the_combination_listens_less_to_whom_breaks_down_now() -> None:
    made = world(seed=2, errors={"Good": 0.5})
    index = MEMBERS.index("Good")
    before = combine(made.tracks, made.present).weights[0, :, index]
    made.present.forecasts[0, index] += 100.0
    after = combine(made.tracks, made.present).weights[0, :, index]
    unheeded = combine(made.tracks, made.present, replace(RULES, apart=1e9)).weights[0, :, index]
    assert (after < before / 2).all()
    assert unheeded == pytest.approx(before, abs=0.1)
