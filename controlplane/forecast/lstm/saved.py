"""What the LSTM learned, written to disk and read again. The worker calls it.

An artifact holds the settings and, for each network, an archive of plain arrays: no code, no pickles, no
backend's own format. A network is built anew from the settings, and its weights must fit it in every shape.
"""

import io
import json
import zipfile
from collections.abc import Mapping
from dataclasses import asdict
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import numpy as np

from controlplane.forecast import artifacts
from controlplane.forecast.artifacts import Manifest
from controlplane.forecast.lstm.backend import keras
from controlplane.forecast.lstm.examples import WIDTH
from controlplane.forecast.lstm.model import FittedLstm
from controlplane.forecast.lstm.network import network
from controlplane.forecast.lstm.settings import Settings

MODEL = "LSTM"
SETTINGS = "settings.json"
LIBRARIES = ("keras", "tensorflow", "jax", "numpy")


def save(fitted: FittedLstm, directory: Path, *, data: str, report: Mapping[str, Any]) -> Manifest:
    """Write what was learned as an artifact.

    Args:
        fitted: It.
        directory: The artifact's folder; must not exist, or be empty.
        data: Digest of what it learned from.
        report: What else is told of the training; how each network's went is added.

    Returns:
        The manifest as it was written.

    Raises:
        OSError: It cannot be written.
    """
    files = {SETTINGS: json.dumps(asdict(fitted.settings), sort_keys=True).encode()}
    for place, each in enumerate(fitted.networks):
        files[f"network-{place}.npz"] = _packed(each.get_weights())
    return artifacts.save(
        directory,
        Manifest(
            model=MODEL,
            step_seconds=fitted.step_seconds,
            horizon=fitted.horizon,
            data=data,
            report={**training_report(fitted), **report},
            libraries={name: found for name in LIBRARIES if (found := _version(name))},
        ),
        files,
    )


def load(directory: Path) -> FittedLstm:
    """Read what was learned.

    Raises:
        NotFoundError: There is no artifact.
        MalformedError: It is damaged.
        PreconditionError: It is of another format, model or feature set.
    """
    artifact = artifacts.load(directory, MODEL)
    try:
        settings = Settings(**json.loads(artifact.files[SETTINGS]))
    except (KeyError, TypeError, ValueError) as error:
        raise artifacts.damaged(directory, SETTINGS, f"these are no settings: {error}") from error
    networks = [
        _network(settings, directory, name, content)
        for name, content in sorted(artifact.files.items())
        if name != SETTINGS
    ]
    manifest = artifact.manifest
    return FittedLstm(settings, tuple(networks), manifest.step_seconds, manifest.horizon)


def training_report(fitted: FittedLstm) -> dict[str, Any]:
    """Answer how the training went, as JSON values."""
    return {
        "series": max((each.series for each in fitted.trained), default=0),
        "windows": sum(each.windows for each in fitted.trained),
        "losses": [list(each.losses) for each in fitted.trained],
        "validation_losses": [list(each.held_out) for each in fitted.trained],
        "backend": keras.backend.backend(),
    }


def _network(settings: Settings, directory: Path, name: str, content: bytes) -> Any:
    """Build a network and put its weights in."""
    made = network(settings, WIDTH)
    expected = [tuple(weight.shape) for weight in made.weights]
    try:
        with np.load(io.BytesIO(content), allow_pickle=False) as stored:
            weights = [stored[f"w{place}"] for place in range(len(expected))]
    except (ValueError, KeyError, OSError, EOFError, zipfile.BadZipFile) as error:
        raise artifacts.damaged(directory, name, f"these are no weights: {error}") from error
    found = [weight.shape for weight in weights]
    if found != expected or not all(np.isfinite(weight).all() for weight in weights):
        raise artifacts.damaged(directory, name, "its weights do not fit the network, or are not finite")
    made.set_weights(weights)
    return made


def _packed(weights: list[Any]) -> bytes:
    buffer = io.BytesIO()
    arrays = {f"w{place}": np.asarray(weight) for place, weight in enumerate(weights)}
    np.savez_compressed(buffer, allow_pickle=False, **arrays)
    return buffer.getvalue()


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return ""
