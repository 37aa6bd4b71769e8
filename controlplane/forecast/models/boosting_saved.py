"""What the boosted trees learned, written to disk and read again. The worker calls it.

An artifact holds the trees in LightGBM's own text, which is data and no code. The ridges around which they
stand are each series' own, grow old within hours, and are not kept: whoever forecasts brings them.
"""

import json
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any

import lightgbm

from controlplane.forecast import artifacts
from controlplane.forecast.artifacts import Manifest
from controlplane.forecast.models.boosting import FittedBoosting
from controlplane.forecast.models.boosting_rows import COLUMNS
from controlplane.forecast.quantiles import LEVELS
from enchain.chains.errors import PreconditionError

MODEL = "LightGBM"
TREES = "trees.json"
LIBRARIES = ("lightgbm", "numpy")


def save(
    fitted: FittedBoosting, directory: Path, *, step_seconds: int, data: str, report: Mapping[str, Any]
) -> Manifest:
    """Write what was learned as an artifact.

    Args:
        fitted: It.
        directory: The artifact's folder; must not exist, or be empty.
        step_seconds: The grid it learned on.
        data: Digest of what it learned from.
        report: What is told of the training.

    Returns:
        The manifest as it was written.

    Raises:
        OSError: It cannot be written.
    """
    said = json.dumps([booster.model_to_string() for booster in fitted.boosters])
    manifest = Manifest(
        model=MODEL,
        step_seconds=step_seconds,
        horizon=fitted.horizon,
        data=data,
        report=report,
        libraries={name: version(name) for name in LIBRARIES},
    )
    return artifacts.save(directory, manifest, {TREES: said.encode()})


def load(directory: Path) -> FittedBoosting:
    """Read what was learned, without ridges.

    Raises:
        NotFoundError: There is no artifact.
        MalformedError: It is damaged.
        PreconditionError: It is of another format, model or feature set.
    """
    artifact = artifacts.load(directory, MODEL)
    try:
        # Their parameters, such as the number of threads, are in the text.
        boosters = tuple(lightgbm.Booster(model_str=text) for text in json.loads(artifact.files[TREES]))
    except (KeyError, TypeError, ValueError, lightgbm.basic.LightGBMError) as error:
        raise artifacts.damaged(directory, TREES, f"these are no trees: {error}") from error
    if len(boosters) != len(LEVELS):
        raise artifacts.damaged(directory, TREES, f"it has {len(boosters)} levels, not {len(LEVELS)}")
    if wrong := {booster.num_feature() for booster in boosters} - {len(COLUMNS)}:
        raise PreconditionError(
            f"the trees in {directory} learned from {wrong} columns, and now there are {len(COLUMNS)}",
            reason="OTHER_COLUMNS",
            remedy="Train again.",
            metadata={"directory": str(directory)},
        )
    return FittedBoosting(boosters, {}, artifact.manifest.horizon)
