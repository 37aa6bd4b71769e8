"""Boosted trees for each quantile level, stopped on newer time than they learned from.

`boosting` calls it; nothing else imports LightGBM. One thread and one seed, so that the same rows give the
same trees. The method is Ke et al. 2017, with the pinball loss of each level.
"""

from collections.abc import Callable, Sequence
from typing import Any

import lightgbm
import numpy as np
from numpy.typing import NDArray

from controlplane.forecast.models.boosting_rows import COLUMNS, Rows
from controlplane.forecast.quantiles import LEVELS
from controlplane.forecast.series import FloatArray

SHAPE: dict[str, Any] = {
    "objective": "quantile",
    "learning_rate": 0.05,
    "num_leaves": 31,
    "min_data_in_leaf": 200,
    "feature_fraction": 0.6,
    "bagging_fraction": 0.6,
    "bagging_freq": 1,
    "lambda_l2": 1.0,
    "max_bin": 127,
    "num_threads": 1,
    "deterministic": True,
    "force_row_wise": True,
    "verbosity": -1,
}

ROUNDS, PATIENCE, FEWEST = 300, 30, 40
"""The most trees of a level; so many without a gain on the tail end it; no level has fewer."""

WATCHED = (2, 6, 10)
"""Places in `LEVELS` that are stopped on the tail; all take their geometric mean: one tail is noisy."""


def grow(rows: Rows, seed: int, told: Callable[[float], None]) -> list[lightgbm.Booster]:
    """Learn one booster for each level.

    Args:
        rows: What to learn from.
        seed: All randomness.
        told: Progress in 0..1.

    Returns:
        One for each of `LEVELS`.
    """
    rounds = _rounds(rows, seed, told)
    whole = _dataset(rows, np.ones(len(rows.target), dtype=np.bool_))
    boosters = []
    for place, level in enumerate(LEVELS):
        boosters.append(lightgbm.train(_settings(level, seed), whole, num_boost_round=rounds))
        told(0.3 + 0.7 * (place + 1) / len(LEVELS))
    return boosters


def ask(boosters: Sequence[lightgbm.Booster], features: NDArray[np.float32]) -> FloatArray:
    """Answer each level for rows of features, shape (n, len(LEVELS)); they may still cross."""
    answers = [booster.predict(features, num_threads=1) for booster in boosters]
    return np.stack([np.asarray(answer, dtype=np.float64) for answer in answers], axis=-1)


def _rounds(rows: Rows, seed: int, told: Callable[[float], None]) -> int:
    """Find how many trees a level bears, by those watched on the tail."""
    early, tail = rows.part == 0, rows.part == 2  # noqa: PLR2004 - the parts of `Rows`
    if not tail.any() or not early.any():
        return ROUNDS // 3
    learned = _dataset(rows, early)
    held = _dataset(rows, tail, learned)
    found = []
    for count, place in enumerate(WATCHED):
        booster = lightgbm.train(
            _settings(LEVELS[place], seed),
            learned,
            num_boost_round=ROUNDS,
            valid_sets=[held],
            callbacks=[lightgbm.early_stopping(PATIENCE, verbose=False)],
        )
        found.append(max(1, booster.best_iteration))
        told(0.3 * (count + 1) / len(WATCHED))
    return min(ROUNDS, max(FEWEST, round(float(np.exp(np.mean(np.log(found)))))))


def _settings(level: float, seed: int) -> dict[str, Any]:
    return {**SHAPE, "alpha": float(level), "seed": seed}


def _dataset(rows: Rows, chosen: NDArray[np.bool_], like: lightgbm.Dataset | None = None) -> lightgbm.Dataset:
    """Bin the chosen rows once for all levels."""
    return lightgbm.Dataset(
        rows.features[chosen],
        rows.target[chosen],
        weight=rows.weight[chosen],
        feature_name=list(COLUMNS),
        reference=like,
        params={"max_bin": SHAPE["max_bin"], "verbosity": -1, "num_threads": 1},
        free_raw_data=False,
    )
