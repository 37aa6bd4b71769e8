"""Trees that were kept come back as they were, and trees that learned from other columns are refused."""

from pathlib import Path

import lightgbm
import numpy as np
import pytest

from controlplane.forecast.models.boosting import FittedBoosting
from controlplane.forecast.models.boosting_rows import COLUMNS
from controlplane.forecast.models.boosting_saved import load, save
from controlplane.forecast.quantiles import LEVELS
from enchain.chains.errors import PreconditionError

HORIZON = 12


def _kept(columns: int, folder: Path) -> FittedBoosting:
    rng = np.random.default_rng(1)
    data = rng.normal(0, 1, (200, columns))
    params = {"num_threads": 1, "verbosity": -1, "num_leaves": 4}
    tree = lightgbm.train(params, lightgbm.Dataset(data, data[:, 0]), num_boost_round=2)
    fitted = FittedBoosting((tree,) * len(LEVELS), {}, HORIZON)
    save(fitted, folder, step_seconds=300, data="sha256:0", report={})
    return fitted


def test_trees_come_back_as_they_were(tmp_path: Path) -> None:
    kept = _kept(len(COLUMNS), tmp_path / "kept")

    found = load(tmp_path / "kept")

    data = np.random.default_rng(2).normal(0, 1, (9, len(COLUMNS)))
    assert found.horizon == HORIZON
    np.testing.assert_allclose(
        np.asarray(found.boosters[0].predict(data)), np.asarray(kept.boosters[0].predict(data))
    )


def test_trees_of_other_columns_are_refused(tmp_path: Path) -> None:
    _kept(len(COLUMNS) - 2, tmp_path / "kept")

    with pytest.raises(PreconditionError) as error:
        load(tmp_path / "kept")

    assert error.value.reason == "OTHER_COLUMNS"
