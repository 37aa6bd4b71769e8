"""Learned models on disk: what an artifact holds, how it is written whole, and when it is refused.

The worker saves and loads global models through it; each model brings its own files as bytes. An artifact is
a folder with `manifest.json` and the files that it names. Nothing in it is code, and nothing is unpickled. A
reader gets all of it, as it was written, or an error that says why not; it never gets a part.
"""

import contextlib
import hashlib
import json
import os
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from controlplane.forecast.features.candidates import NAMES
from controlplane.forecast.features.compression import NAME as SCALE
from controlplane.forecast.features.inputs import CHANNELS, ENCODED, FEATURES
from controlplane.forecast.quantiles import LEVELS
from controlplane.forecast.series import Window
from enchain.chains.errors import MalformedError, NotFoundError, PreconditionError

FORMAT = 1
"""Version of the folder's layout and of the manifest's fields."""

MANIFEST = "manifest.json"
BYTES_MAX = 64 * 1024 * 1024
"""No file of an artifact is larger; a larger one is damaged."""

TRAIN_AGAIN = "Train again: `enchain forecast train`."


@dataclass(frozen=True, slots=True)
class Manifest:
    """What an artifact says of itself.

    Attributes:
        model: Name of the model in the registry.
        step_seconds: The grid it learned on.
        horizon: The furthest step ahead that it learned.
        data: Digest of what it learned from, as `data_digest` answers it.
        report: How the training went: JSON values, such as series, windows, losses, seconds and seed.
        libraries: Versions of what it was trained with, by name.
        features: Digest of the inputs that it reads.
        files: SHA-256 of each file, by its name.
        format: See `FORMAT`.
    """

    model: str
    step_seconds: int
    horizon: int
    data: str
    report: Mapping[str, Any]
    libraries: Mapping[str, str] = field(default_factory=dict)
    features: str = ""
    files: Mapping[str, str] = field(default_factory=dict)
    format: int = FORMAT


@dataclass(frozen=True, slots=True)
class Artifact:
    """An artifact as it was read: every digest was checked."""

    manifest: Manifest
    files: Mapping[str, bytes]


def feature_digest() -> str:
    """Answer a digest of names and order of all inputs and outputs: a model reads those it learned on."""
    said = json.dumps([NAMES, FEATURES, CHANNELS, ENCODED, LEVELS.tolist(), SCALE])
    return _sha256(said.encode())


def data_digest(windows: Sequence[Window]) -> str:
    """Answer a digest of series, values, events and covariates, whatever the order of the windows."""
    return _sha256("".join(sorted(_window_digest(window) for window in windows)).encode())


def save(directory: Path, manifest: Manifest, files: Mapping[str, bytes]) -> Manifest:
    """Write an artifact whole: beside its place, synced, then renamed to it.

    Args:
        directory: Its folder; must not exist, or be empty.
        manifest: Digests are filled in.
        files: By plain names.

    Returns:
        The manifest as it was written.

    Raises:
        OSError: The disk is full, the folder cannot be written, or holds something already.
    """
    digests = {name: _sha256(content) for name, content in files.items()}
    written = Manifest(**{**_fields(manifest), "files": digests, "features": feature_digest()})
    draft = directory.with_name(f".{directory.name}.new")
    shutil.rmtree(draft, ignore_errors=True)
    draft.mkdir(parents=True)
    try:
        for name, content in files.items():
            _write(draft / name, content)
        _write(draft / MANIFEST, json.dumps(asdict(written), indent=2, sort_keys=True).encode())
        _sync(draft)
        draft.rename(directory)
    except BaseException:
        shutil.rmtree(draft, ignore_errors=True)
        raise
    _sync(directory.parent)
    return written


def load(directory: Path, model: str) -> Artifact:
    """Read an artifact.

    Args:
        directory: Its folder.
        model: Which model is expected.

    Raises:
        NotFoundError: There is no artifact.
        MalformedError: It is damaged.
        PreconditionError: It is whole, but of another format, model or feature set.
    """
    manifest = _manifest(directory)
    _refuse(directory, "format", str(manifest.format), str(FORMAT))
    _refuse(directory, "model", manifest.model, model)
    _refuse(directory, "features", manifest.features, feature_digest())
    files = {}
    for name, digest in manifest.files.items():
        if Path(name).name != name or name == MANIFEST:
            raise _damaged(directory, MANIFEST, f"it names the file {name!r}")
        content = _read(directory, name)
        if _sha256(content) != digest:
            raise _damaged(directory, name, "its digest is not the manifest's")
        files[name] = content
    return Artifact(manifest, files)


def _refuse(directory: Path, what: str, found: str, expected: str) -> None:
    """Refuse an artifact of which something is not as expected.

    Raises:
        PreconditionError: It is not.
    """
    if found != expected:
        raise PreconditionError(
            f"the learned model in {directory} has another {what}: {found}, not {expected}",
            reason="ARTIFACT_MISMATCH",
            remedy=TRAIN_AGAIN,
            metadata={"directory": str(directory), "field": what, "found": found, "expected": expected},
        )


def _manifest(directory: Path) -> Manifest:
    if not directory.is_dir():
        raise NotFoundError(
            f"there is no learned model in {directory}",
            reason="ARTIFACT_MISSING",
            remedy=TRAIN_AGAIN,
            metadata={"directory": str(directory)},
        )
    try:
        said = json.loads(_read(directory, MANIFEST))
        _refuse(directory, "format", str(said["format"]), str(FORMAT))
        manifest = Manifest(**said)
    except (ValueError, TypeError, KeyError) as error:
        raise _damaged(directory, MANIFEST, f"it is no manifest: {error}") from error
    if (fault := _fault(manifest)) is not None:
        raise _damaged(directory, MANIFEST, fault)
    return manifest


def _fault(manifest: Manifest) -> str | None:
    """Say which field is not of its kind."""
    kinds = {
        "model": str, "step_seconds": int, "horizon": int, "data": str, "report": dict,
        "libraries": dict, "features": str, "files": dict,
    }  # fmt: skip
    for name, kind in kinds.items():
        if not isinstance(getattr(manifest, name), kind):
            return f"its {name} is no {kind.__name__}"
    if not all(isinstance(digest, str) for digest in manifest.files.values()):
        return "a digest is no str"
    return None


def _read(directory: Path, name: str) -> bytes:
    try:
        with (directory / name).open("rb") as file:
            content = file.read(BYTES_MAX + 1)
    except OSError as error:
        raise _damaged(directory, name, f"it cannot be read: {error.strerror}") from error
    if len(content) > BYTES_MAX:
        raise _damaged(directory, name, f"it is larger than {BYTES_MAX} bytes")
    return content


def damaged(directory: Path, name: str, why: str) -> MalformedError:
    """Make the error for a file that does not hold what its model needs; also the models' own to raise."""
    return MalformedError(
        f"the learned model in {directory} is damaged: {name}: {why}",
        reason="ARTIFACT_DAMAGED",
        remedy=TRAIN_AGAIN,
        metadata={"directory": str(directory), "field": name, "why": why},
    )


_damaged = damaged


def _fields(manifest: Manifest) -> dict[str, Any]:
    return {name: getattr(manifest, name) for name in Manifest.__slots__}


def _window_digest(window: Window) -> str:
    series = window.series
    events = sorted((e.name, e.type, e.start, e.end, repr(e.expected_uplift)) for e in window.events)
    whole = hashlib.sha256(
        json.dumps([series.id, series.start, series.step_seconds, series.upper, events]).encode()
    )
    whole.update(series.values.tobytes())
    for name in sorted(window.covariates):
        whole.update(name.encode())
        whole.update(window.covariates[name].tobytes())
    return whole.hexdigest()


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def _write(path: Path, content: bytes) -> None:
    with path.open("xb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def _sync(directory: Path) -> None:
    """Make names durable; some file systems cannot, and need not."""
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        with contextlib.suppress(OSError):
            os.fsync(descriptor)
    finally:
        os.close(descriptor)
