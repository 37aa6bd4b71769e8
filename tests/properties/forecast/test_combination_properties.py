"""What holds for every combination, whatever the members forecast and whatever came.

A failure prints the example and a blob that reproduces it; `pytest --hypothesis-seed` repeats a whole run.
"""

from dataclasses import dataclass, replace

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from numpy.typing import NDArray

from controlplane.forecast import conformal, notes, track
from controlplane.forecast.combination import Combined, Present, combine
from controlplane.forecast.pooling import pool
from controlplane.forecast.quantiles import LEVELS
from controlplane.forecast.rules import RULES
from controlplane.forecast.series import FloatArray
from controlplane.forecast.spread import stretched
from controlplane.forecast.track import Track

# No deadline: how long an example takes says something of the machine, and nothing of the code.
EVERY = settings(print_blob=True, deadline=None, max_examples=60)
STEP, HORIZON = 300, 5
MEMBERS = ("Naive", "SeasonalNaive", "Theta", "LSTM")

values = st.one_of(
    st.floats(0, 1e6, allow_nan=False), st.sampled_from([0.0, 1e-12, 1.0, 5.0, 1e12]), st.integers(0, 20)
).map(float)
seeds = st.integers(0, 2**32 - 1)


@st.composite
def quantiles(draw: st.DrawFn, rows: int = 1) -> FloatArray:
    """Answer ascending quantiles, shape (rows, levels), with ties."""
    drawn = draw(arrays.arrays(np.float64, (rows, len(LEVELS)), elements=values))
    found: FloatArray = np.sort(drawn, axis=-1)
    return found


@dataclass(frozen=True)
class Recipe:
    """What a world is made by: short to print, and enough to make it again.

    Attributes:
        seed: All randomness comes from it.
        origins: Of each series, how many.
        spacing: Steps between them.
        members: How many.
        size: Of the values.
        heavy: How heavy their tail is.
        missing: Share of forecasts that are not there.
        gaps: Share of actuals that are not there.
    """

    seed: int
    origins: tuple[int, ...]
    spacing: int
    members: int
    size: float
    heavy: float
    missing: float
    gaps: float

    def made(self) -> tuple[list[Track], Present]:
        """Answer tracks of unlike length with gaps, and what is forecast now; some wild, some missing."""
        random = np.random.default_rng(self.seed)
        n, members = len(self.origins), MEMBERS[: self.members]
        tracks = []
        for count in self.origins:
            actuals = self.size * random.lognormal(0, self.heavy, (count, HORIZON))
            actuals[random.random(actuals.shape) < self.gaps] = np.nan
            times = np.arange(count, dtype=np.int64) * STEP * self.spacing
            tracks.append(Track(members, STEP, times, self._forecasts(random, count), actuals))
        now = np.array([track.origins.max(initial=0) + STEP * HORIZON for track in tracks], dtype=np.int64)
        upper = np.where(random.random(n) < 0.5, self.size * 2, np.inf)
        return tracks, Present(members, self._forecasts(random, n), now, np.full(n, self.size * 3), upper)

    def _forecasts(self, random: np.random.Generator, rows: int) -> FloatArray:
        shape = (rows, self.members)
        made = self.size * np.sort(random.lognormal(0, self.heavy, (*shape, HORIZON, len(LEVELS))), axis=-1)
        made[random.random(shape) < self.missing] = np.nan
        made[random.random(shape) < 0.1] *= 1e5
        return np.asarray(made)


worlds = st.builds(
    Recipe,
    seed=seeds,
    origins=st.lists(st.integers(0, 7), min_size=1, max_size=3).map(tuple),
    spacing=st.integers(1, 2 * HORIZON),
    members=st.integers(1, len(MEMBERS)),
    size=st.sampled_from([0.0, 1e-6, 1.0, 1e9]),
    heavy=st.floats(0.1, 3),
    missing=st.sampled_from([0.0, 0.2, 0.4]),
    gaps=st.floats(0, 0.9),
)


def whole(present: Present) -> NDArray[np.bool_]:
    """Say which members forecast which series, shape (n, m)."""
    return np.asarray(np.isfinite(present.forecasts).all(axis=(2, 3)))


def alike(one: FloatArray, other: FloatArray) -> bool:
    size = np.nanmax(np.abs(one), initial=0.0)
    return bool(np.allclose(one, other, rtol=1e-6, atol=1e-6 * size + 1e-14, equal_nan=True))


@EVERY
@given(worlds)
def test_quantiles_never_cross_and_stay_within_bounds(recipe: Recipe) -> None:
    tracks, present = recipe.made()
    answer = combine(tracks, present)
    some = whole(present).any(axis=1)
    assert np.isfinite(answer.quantiles[some]).all()
    assert np.isnan(answer.quantiles[~some]).all()
    assert (np.diff(answer.quantiles[some], axis=-1) >= 0).all()
    assert (answer.quantiles[some] >= 0).all()
    top = np.minimum(present.upper, np.where(present.highest > 0, 3 * present.highest, np.inf))
    assert (answer.quantiles[some] <= top[some, None, None]).all()


@EVERY
@given(worlds)
def test_weights_sum_to_one_and_no_missing_member_has_any(recipe: Recipe) -> None:
    tracks, present = recipe.made()
    answer = combine(tracks, present)
    there = whole(present)
    total = answer.weights.sum(axis=-1)
    assert np.allclose(total[there.any(axis=1)], 1.0)
    assert (total[~there.any(axis=1)] == 0).all()
    assert (np.moveaxis(answer.weights, 1, 2)[~there] == 0).all()
    for row, said in enumerate(answer.notes):
        gone = {note.member for note in said if note.code == notes.NO_FORECAST}
        assert gone == {present.members[index] for index in np.flatnonzero(~there[row])}


@EVERY
@given(worlds, seeds)
def test_the_order_of_series_and_members_changes_nothing(recipe: Recipe, seed: int) -> None:
    tracks, present = recipe.made()
    random = np.random.default_rng(seed)
    rows, columns = (random.permutation(count) for count in present.forecasts.shape[:2])
    answer = combine(tracks, present)
    other = combine(
        [tracks[row] for row in rows],
        Present(
            tuple(present.members[column] for column in columns),
            present.forecasts[rows][:, columns],
            present.origins[rows],
            present.highest[rows],
            present.upper[rows],
        ),
    )
    assert alike(answer.quantiles[rows], other.quantiles)
    assert np.allclose(answer.weights[rows][:, :, columns], other.weights, atol=1e-6)


@EVERY
@given(worlds, seeds)
def test_nothing_is_learned_from_what_came_later(recipe: Recipe, seed: int) -> None:
    tracks, present = recipe.made()
    random = np.random.default_rng(seed)
    other = []
    for each, now in zip(tracks, present.origins, strict=True):
        actuals = np.where(each.due() > now, random.lognormal(9, 3, each.actuals.shape), each.actuals)
        longer = replace(each, actuals=actuals).with_origin(
            int(now), {"Naive": random.lognormal(9, 3, (HORIZON, len(LEVELS)))}
        )
        other.append(longer)
    assert np.array_equal(
        combine(tracks, present).quantiles, combine(other, present).quantiles, equal_nan=True
    )


@EVERY
@given(worlds)
def test_a_member_that_forecasts_nothing_does_not_matter(recipe: Recipe) -> None:
    tracks, present = recipe.made()
    n, _, horizon, levels = present.forecasts.shape
    nothing = np.full((n, 1, horizon, levels), np.nan)
    with_it = replace(
        present,
        members=(*present.members, "Broken"),
        forecasts=np.concatenate([present.forecasts, nothing], axis=1),
    )
    answer, other = combine(tracks, present), combine(tracks, with_it)
    assert alike(answer.quantiles, other.quantiles)


@EVERY
@given(worlds, st.integers(0, 3))
def test_a_better_member_gets_no_less_weight(recipe: Recipe, which: int) -> None:
    tracks, present = replace(recipe, missing=0.0, members=max(recipe.members, 2)).made()
    index = 1 + which % (len(present.members) - 1)
    # Actuals lie within the bounds, or being right would not help.
    present = replace(
        present, upper=np.full_like(present.upper, np.inf), highest=np.full_like(present.upper, np.inf)
    )
    # The guard aside: it hands over less to a simple model the better the pool around it gets.
    rules = replace(RULES, guard_slope=1e12)
    before = combine(tracks, present, rules).weights[:, :, index]
    better = []
    for each in tracks:
        forecasts = each.forecasts.copy()
        truth = np.where(np.isfinite(each.actuals), each.actuals, forecasts[:, index, :, 6])
        forecasts[:, index] = truth[..., None]
        better.append(replace(each, forecasts=forecasts))
    assert (combine(better, present, rules).weights[:, :, index] >= before - 1e-9).all()


@EVERY
@given(quantiles(), st.integers(1, 5), seeds)
def test_a_pool_of_identical_members_is_that_member(one: FloatArray, count: int, seed: int) -> None:
    weights = np.random.default_rng(seed).dirichlet(np.ones(count))
    mixed = pool(np.repeat(one, count, axis=0), weights)
    assert np.allclose(mixed, one[0], rtol=0, atol=1e-5 * max(float(one.max() - one.min()), 1e-300))


@EVERY
@given(quantiles(rows=3), seeds)
def test_a_pool_lies_between_its_members(each: FloatArray, seed: int) -> None:
    weights = np.random.default_rng(seed).dirichlet(np.ones(3))
    mixed = pool(each, weights)
    slack = 1e-5 * float(each.max() - each.min())
    assert (np.diff(mixed) >= 0).all()
    assert (mixed >= each.min(axis=0) - slack).all()
    assert (mixed <= each.max(axis=0) + slack).all()


@EVERY
@given(quantiles(), st.floats(0.2, 3))
def test_stretching_keeps_the_median_and_the_order(one: FloatArray, factor: float) -> None:
    made = stretched(one, np.array([factor]))
    assert made[0, 6] == one[0, 6]
    assert (np.diff(made, axis=-1) >= 0).all()


@EVERY
@given(quantiles(), arrays.arrays(np.float64, 4, elements=st.floats(-4, 4)), st.floats(1e-3, 1e6))
def test_scores_and_values_undo_each_other(one: FloatArray, scores: FloatArray, scale: float) -> None:
    scale = max(scale, 1e-6 * float(one.max()))
    size = np.array([scale])
    found = conformal.from_scores(one, np.sort(scores)[None], size)
    back = np.array([conformal.to_scores(one[0], value, size[0]) for value in found[0]])
    assert (np.diff(found, axis=-1) >= -1e-9 * (scale + float(np.abs(found).max()))).all()
    # A value keeps 52 bits: far from 0 and within a narrow step a score keeps fewer.
    width = conformal.FLOOR * (float(one[0, 10] - one[0, 2]) + scale / 10)
    slack = 1e-6 + 1e-14 * max(float(one.max()), float(np.abs(found).max())) / width
    assert np.allclose(back, np.sort(scores), atol=slack)


@EVERY
@given(worlds)
def test_a_track_survives_storage(recipe: Recipe) -> None:
    for each in recipe.made()[0]:
        read = track.from_bytes(each.to_bytes())
        assert read.members == each.members
        assert np.array_equal(read.origins, each.origins)
        assert np.array_equal(read.actuals, each.actuals, equal_nan=True)
        assert np.allclose(read.forecasts, each.forecasts, rtol=2e-4, atol=1e-30, equal_nan=True)


@EVERY
@given(worlds, st.sampled_from([0.5, 3.0, 1000.0]))
def test_the_unit_does_not_matter(recipe: Recipe, factor: float) -> None:
    tracks, present = replace(recipe, size=max(recipe.size, 1.0)).made()
    other = [
        replace(each, forecasts=factor * each.forecasts, actuals=factor * each.actuals) for each in tracks
    ]
    scaled = replace(
        present,
        forecasts=factor * present.forecasts,
        highest=factor * present.highest,
        upper=factor * present.upper,
    )
    answer: Combined = combine(other, scaled, RULES)
    assert alike(factor * combine(tracks, present).quantiles, answer.quantiles)
