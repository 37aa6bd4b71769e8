"""Shares over many keys: as configured, independent between experiments, and still when coverage is raised.

Nothing here is random: keys and seeds are fixed, so that a share is what it is. `make exhaustive` takes a
million keys and the tolerance of a tenth of a percent, which is two standard deviations of a million tosses
of a coin: some seeds are further off by chance. The run of every day takes fewer keys and allows more.
"""

from collections import Counter

import pytest

from enchain.chains.assignment import Assigner
from tests.harness.stored_experiments import experiment

WEIGHTS = {"a": 50.0, "b": 30.0, "c": 20.0}
FEW, MILLION = 30_000, 1_000_000

OFTEN = (pytest.mark.exhaustive, pytest.mark.timeout(600))
"""Two million hashes take their time on a busy machine."""

KEYS = pytest.mark.parametrize(
    ("keys", "tolerance"), [(FEW, 0.012), pytest.param(MILLION, 0.001, marks=OFTEN)]
)

CHI_SQUARE_999 = 18.47
"""99.9th percentile of chi-square with (3 - 1) x (3 - 1) degrees of freedom."""


def arms(of: Assigner, keys: int) -> list[str]:
    """The arm of each key; empty where it has none."""
    places = (of.hashed(f"customer-{number}")[1] for number in range(keys))
    return [place.arm if place else "" for place in places]


def chi_square(pairs: Counter[tuple[str, str]]) -> float:
    """Pearson's statistic for the independence of two columns."""
    rows: Counter[str] = Counter()
    columns: Counter[str] = Counter()
    for (row, column), seen in pairs.items():
        rows[row] += seen
        columns[column] += seen
    total = pairs.total()
    expected = {(r, c): rows[r] * columns[c] / total for r in rows for c in columns}
    return sum((pairs[cell] - count) ** 2 / count for cell, count in expected.items())


@KEYS
def test_shares_are_as_configured_and_independent_between_experiments(keys: int, tolerance: float) -> None:
    first, second = (
        arms(Assigner(experiment(seed=seed, weights=WEIGHTS)), keys) for seed in ("seed-0", "seed-1")
    )

    for found in (first, second):
        shares = {arm: seen / keys for arm, seen in Counter(found).items()}
        assert shares == {arm: pytest.approx(weight / 100, abs=tolerance) for arm, weight in WEIGHTS.items()}
    assert chi_square(Counter(zip(first, second, strict=True))) < CHI_SQUARE_999


@KEYS
def test_raising_coverage_moves_nobody(keys: int, tolerance: float) -> None:
    before, after = (
        arms(Assigner(experiment(weights=WEIGHTS, coverage=coverage)), keys) for coverage in (10, 60)
    )

    moved = sum(1 for old, new in zip(before, after, strict=True) if old not in ("", new))
    enrolled = [1 - found.count("") / keys for found in (before, after)]
    assert moved == 0
    assert enrolled == [pytest.approx(0.1, abs=tolerance), pytest.approx(0.6, abs=tolerance)]


def test_two_experiments_of_one_seed_would_not_be_independent() -> None:
    same = arms(Assigner(experiment(weights=WEIGHTS)), FEW)

    assert chi_square(Counter(zip(same, same, strict=True))) > CHI_SQUARE_999
