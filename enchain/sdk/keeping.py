"""Keeps what a later destroy needs: a destroy gets neither artifacts nor inputs, only the handle.

Engines that run their artifact (a script, a playbook) make one `Keeper` over `Step.directory`. Blocking: call
it in a thread. Nothing in here may be a secret in plain.

    <Step.directory>/kept.json      what was begun; there from before anything is made until all is destroyed
                     kept/<digest>/ the artifact's files, read-only
"""

import asyncio
import contextlib
import hashlib
import json
import os
import shutil
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from enchain.sdk.port import StepFailedError
from enchain.sdk.scope import PRIVATE_DIRECTORY, read_record, write_whole

_READ_ONLY_FILE, _READ_ONLY_EXECUTABLE = 0o400, 0o500


@dataclass(frozen=True, slots=True)
class Keeper:
    """What is kept of one work."""

    root: Path

    def record(self) -> dict[str, Any] | None:
        """Answer what was begun here last and not destroyed; None where nothing was.

        Raises:
            MalformedError: It is there and cannot be read.
        """
        return read_record(self.root / "kept.json")

    def tree(self, digest: str) -> Path:
        """Answer where the files of an artifact lie, by its `tree_digest`."""
        return self.root / "kept" / digest

    def lay(self, source: Path, digest: str) -> Path:
        """Keep an artifact's files, and answer where. Changes nothing where they lie there already."""
        target = self.tree(digest)
        if not target.exists():
            draft = target.with_name(f".{digest}.draft")
            shutil.rmtree(draft, ignore_errors=True)
            _copy(source, draft)
            draft.rename(target)
        return target

    def begin(self, record: Mapping[str, Any]) -> None:
        """Write down what is about to be begun."""
        write_whole(self.root / "kept.json", json.dumps(record, indent=1, ensure_ascii=False).encode())

    def sweep(self, *digests: str) -> None:
        """Delete kept artifacts but these."""
        for path in (self.root / "kept").glob("*"):
            if path.name not in digests:
                shutil.rmtree(path, ignore_errors=True)

    def forget(self) -> None:
        """Nothing stands any more: delete everything in the work's directory, the record last of all."""
        for path in list(self.root.glob("*")):
            if path.name != "kept.json":
                if path.is_dir() and not path.is_symlink():
                    shutil.rmtree(path)
                else:
                    path.unlink(missing_ok=True)
        (self.root / "kept.json").unlink(missing_ok=True)


def tree_digest(directory: Path) -> str:
    """Digest what stands below a directory: names, contents, whether executable, and where links lead."""
    digest = hashlib.sha256()
    for path in sorted(directory.rglob("*")):
        name = path.relative_to(directory).as_posix()
        if path.is_symlink():
            said = f"link {os.readlink(path)}"  # noqa: PTH115 - Path.readlink would tidy the text up
        elif path.is_dir():
            said = "directory"
        else:
            kind = "executable" if os.access(path, os.X_OK) else "file"
            said = f"{kind} {hashlib.sha256(path.read_bytes()).hexdigest()}"
        digest.update(f"{name}\0{said}\n".encode(errors="surrogateescape"))
    return digest.hexdigest()[:32]


def inside(root: Path, name: str) -> Path | None:
    """Answer the file of a relative name below a directory, links followed; None where none is inside."""
    if not name or "\0" in name or Path(name).is_absolute():
        return None
    with contextlib.suppress(OSError, RuntimeError):
        path = (root / name).resolve(strict=True)
        if path.is_relative_to(root.resolve()) and path.is_file():
            return path
    return None


def _copy(source: Path, target: Path) -> None:
    target.mkdir(mode=PRIVATE_DIRECTORY, parents=True)
    for path in sorted(source.rglob("*")):
        place = target / path.relative_to(source)
        if path.is_symlink():
            place.symlink_to(os.readlink(path))  # noqa: PTH115 - likewise
        elif path.is_dir():
            place.mkdir(mode=PRIVATE_DIRECTORY, exist_ok=True)
        else:
            shutil.copyfile(path, place)
            place.chmod(_READ_ONLY_EXECUTABLE if os.access(path, os.X_OK) else _READ_ONLY_FILE)


@contextlib.asynccontextmanager
async def settled(keeper: Keeper, *, standing: bool) -> AsyncIterator[None]:
    """Once an apply has failed, say truly whether anything is left; where nothing is, forget it."""
    try:
        yield
    except StepFailedError as error:
        error.left_behind = error.left_behind or standing
        if not error.left_behind:
            await asyncio.to_thread(keeper.forget)
        raise
