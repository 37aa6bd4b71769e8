"""Where learned models lie, and which of them is in use: folders, and pointers that are replaced whole.

The leader's loops own one. A model is written by the worker into a folder of its own and only then pointed
to, so that a crash at any time leaves the one before in use. It blocks; the loops call it from a thread.

    <root>/<grid>/<model>/<version>/   the artifact
    <root>/<grid>/<model>.json         which version is in use, and since when
"""

import json
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

KEPT = 3
"""Artifacts of one model on one grid that are kept: the one in use, and those before it."""


@dataclass(frozen=True, slots=True)
class InUse:
    """An artifact in use.

    Attributes:
        path: Its folder.
        version: Its name.
        time: When it was adopted, seconds since the epoch.
        report: What its training told.
    """

    path: Path
    version: str
    time: int
    report: dict[str, Any]


class Shelf:
    """Learned models on disk.

    Args:
        root: Made where it is missing.
    """

    def __init__(self, root: Path) -> None:
        self._root = root

    def place(self, grid: str, model: str, version: str) -> Path:
        """Answer the folder of a new artifact; the folder above it exists."""
        parent = self._root / grid / model
        parent.mkdir(parents=True, exist_ok=True)
        return parent / version

    def in_use(self, grid: str, model: str) -> InUse | None:
        """Answer the artifact in use; None where there is none, or its pointer cannot be read."""
        try:
            said = json.loads(self._pointer(grid, model).read_text())
            version, time, report = str(said["version"]), int(said["time"]), dict(said["report"])
        except (OSError, ValueError, KeyError, TypeError):
            return None
        path = self._root / grid / model / version
        return InUse(path, version, time, report) if path.is_dir() else None

    def adopt(self, grid: str, model: str, version: str, time: int, report: dict[str, Any]) -> None:
        """Take an artifact into use, and forget the oldest."""
        pointer = self._pointer(grid, model)
        draft = pointer.with_suffix(".new")
        draft.write_text(json.dumps({"version": version, "time": time, "report": report}, sort_keys=True))
        draft.replace(pointer)
        folders = sorted(each for each in (self._root / grid / model).iterdir() if each.is_dir())
        for old in [each for each in folders if each.name != version][: -(KEPT - 1)]:
            shutil.rmtree(old, ignore_errors=True)

    def _pointer(self, grid: str, model: str) -> Path:
        return self._root / grid / f"{model}.json"
