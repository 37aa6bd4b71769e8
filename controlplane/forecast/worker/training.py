"""Training a global model, judging it, and keeping it. The worker's process calls it.

What a model may learn from ends `holdout` steps before each window does. On the rest it is compared with the
artifact that is in use, which has not seen that either; whether to change over is the leader's decision.
"""

import hashlib
import json
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from controlplane.forecast.artifacts import Manifest, data_digest
from controlplane.forecast.port import Fitted, Told
from controlplane.forecast.scores import mark, score
from controlplane.forecast.series import Window
from enchain.chains.errors import EnchainError, OurError, PreconditionError

LEAST = 4
"""A series with fewer values than so many horizons, and what is held out, teaches nothing."""


def load_learned(name: str, directory: Path) -> Fitted:
    """Read an artifact.

    Raises:
        NotFoundError: There is none.
        MalformedError: It is damaged.
        PreconditionError: It is of another format, model or feature set.
        OurError: The model keeps no artifacts.
    """
    if name == "LSTM":
        from controlplane.forecast.lstm import saved as lstm  # noqa: PLC0415 - imports TensorFlow

        return lstm.load(directory)
    if name == "LightGBM":
        from controlplane.forecast.models import boosting_saved as trees  # noqa: PLC0415 - imports LightGBM

        return trees.load(directory)
    raise OurError(f"{name} keeps no artifacts", reason="NO_ARTIFACTS")


def train(
    name: str,
    windows: Sequence[Window],
    *,
    horizon: int,
    seed: int,
    seeds: int,
    holdout: int,
    directory: Path,
    previous: Path | None,
    told: Told,
) -> dict[str, Any]:
    """Train a model, save it, and answer how it went as JSON values.

    Args:
        name: `LSTM` or `LightGBM`.
        windows: All of one grid, whole.
        horizon: Steps ahead.
        seed: All randomness comes from it.
        seeds: How many networks, where the model has several.
        holdout: Steps at the end of each window that nothing is learned from.
        directory: Folder of the artifact; must not exist.
        previous: The artifact in use, to be compared with.
        told: Progress.

    Raises:
        PreconditionError: No series is long enough.
    """
    began = time.monotonic()
    early = [each for window in windows if (each := _before(window, holdout, horizon)) is not None]
    if not early:
        raise PreconditionError(
            "no series is long enough to learn from",
            reason="TOO_SHORT",
            remedy="Wait until two days were measured.",
        )
    fitted, manifest = _made(name, early, horizon, seed, seeds, directory, told)
    report = dict(manifest.report)
    answer = {
        "digest": f"sha256:{_digest(manifest)}",
        "series": int(report.get("series", len(early))),
        "windows": int(report.get("windows", 0)),
        "validation_losses": _flat(report.get("validation_losses", [])),
        "loss": _loss(fitted, windows, holdout, horizon),
        "loss_before": None,
    }
    if previous is not None:
        try:
            answer["loss_before"] = _loss(load_learned(name, previous), windows, holdout, horizon)
        except EnchainError as error:
            answer["previous_refused"] = error.message
    answer["seconds"] = time.monotonic() - began
    return answer


def _made(
    name: str, early: Sequence[Window], horizon: int, seed: int, seeds: int, directory: Path, told: Told
) -> tuple[Fitted, Manifest]:
    data = data_digest(early)
    if name == "LSTM":
        from controlplane.forecast.lstm.model import Lstm  # noqa: PLC0415 - imports TensorFlow
        from controlplane.forecast.lstm.saved import save as save_lstm  # noqa: PLC0415 - likewise
        from controlplane.forecast.lstm.settings import Settings  # noqa: PLC0415 - with the others

        network = Lstm(Settings(seeds=seeds)).fit(early, horizon=horizon, seed=seed, told=told)
        return network, save_lstm(network, directory, data=data, report={"seed": seed})
    from controlplane.forecast.models.boosting import Boosting  # noqa: PLC0415 - imports LightGBM
    from controlplane.forecast.models.boosting_saved import save as save_trees  # noqa: PLC0415 - likewise

    trees = Boosting().fit(early, horizon=horizon, seed=seed, told=told)
    step = early[0].series.step_seconds
    report = {"seed": seed, "series": len(early)}
    return trees, save_trees(trees, directory, step_seconds=step, data=data, report=report)


def _before(window: Window, holdout: int, horizon: int) -> Window | None:
    """Answer what may be learned from of a window; None where it is too short."""
    length = len(window.series) - holdout
    if length < LEAST * horizon:
        return None
    ahead = {key: array[: len(array) - holdout] for key, array in window.covariates.items()}
    return replace(window, series=window.series.until(length), covariates=ahead)


def _loss(fitted: Fitted, windows: Sequence[Window], holdout: int, horizon: int) -> float | None:
    """Answer the median over series of the loss on the held-out part; None where nothing can be judged."""
    judged = [window for window in windows if _before(window, holdout, horizon) is not None]
    losses = []
    for back in range(holdout, horizon - 1, -horizon):
        origins = [each for window in judged if (each := _before(window, back, horizon)) is not None]
        if len(origins) != len(judged):
            continue
        quantiles = fitted.forecast(origins, horizon)
        actuals = np.stack([window.series.values[len(window.series) - back :][:horizon] for window in judged])
        for one, actual in zip(quantiles, actuals, strict=True):
            wql = score(mark(one[None], actual[None], np.ones(1)), horizon).wql
            losses += [wql] if np.isfinite(wql) else []
    return float(np.median(losses)) if losses else None


def _digest(manifest: Manifest) -> str:
    """Answer one digest of all files of an artifact."""
    said = json.dumps(dict(manifest.files), sort_keys=True)
    return hashlib.sha256(said.encode()).hexdigest()


def _flat(losses: Sequence[Any]) -> list[float]:
    return [float(loss) for each in losses for loss in (each if isinstance(each, list) else [each])]
