"""The state scope on disk: where everything of a piece of work lies, its locks, and files written whole.

Only the SDK calls it. Blocking, but short: callers on the event loop use a thread. Ids were checked by
`enchain.sdk.calls`; nothing else may become part of a path here.

    <scope>/scope-id                                   names the scope
    <scope>/work/<tenant>/<uid>/<step>/ledger.json     what was asked, begun and ended
                                       ledger.lock     held while the ledger is read, decided and written
                                       task.lock       held by the instance whose task does the work
                                       tool.lock       held by a runner and its tool, until the tool is dead
                                       files/          the engine's own: `Step.directory`
                                       runs/<key>/<name>/   one tool run: records, output
    <scope>/secrets/<tenant>/…                         secret outputs
    <scope>/artifacts/<hex>/                           unpacked artifacts, read-only
"""

import contextlib
import fcntl
import json
import os
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from enchain.chains.errors import MalformedError, UnavailableError
from enchain.sdk.calls import WorkId

PRIVATE_DIRECTORY = 0o700
PRIVATE_FILE = 0o600

BRIEF_SECONDS = 10.0
BRIEF_POLL_SECONDS = 0.005


@dataclass(frozen=True, slots=True)
class WorkPaths:
    """Where a piece of work lies."""

    root: Path

    @property
    def ledger(self) -> Path:
        """The ledger."""
        return self.root / "ledger.json"

    @property
    def ledger_lock(self) -> Path:
        """Held while the ledger is read, decided and written."""
        return self.root / "ledger.lock"

    @property
    def task_lock(self) -> Path:
        """Held by the instance whose task does the work."""
        return self.root / "task.lock"

    @property
    def tool_lock(self) -> Path:
        """Held by a runner and its tool."""
        return self.root / "tool.lock"

    @property
    def files(self) -> Path:
        """The engine's own directory."""
        return self.root / "files"

    @property
    def runs(self) -> Path:
        """All tool runs, by key and name."""
        return self.root / "runs"


@dataclass(frozen=True, slots=True)
class Scope:
    """A state scope: a local directory that instances of one engine share."""

    root: Path

    def work(self, work: WorkId) -> WorkPaths:
        """Answer where a piece of work lies."""
        return WorkPaths(self.root / "work" / work.tenant / work.uid / work.step)

    @property
    def secrets(self) -> Path:
        """Secret outputs, by tenant."""
        return self.root / "secrets"

    @property
    def artifacts(self) -> Path:
        """Unpacked artifacts, by digest."""
        return self.root / "artifacts"

    def identify(self, proposal: str) -> str:
        """Answer the scope's name; give it the proposed one where it has none yet."""
        self.root.mkdir(mode=PRIVATE_DIRECTORY, parents=True, exist_ok=True)
        path = self.root / "scope-id"
        draft = self.root / f".scope-id.{proposal}"
        draft.write_text(proposal)
        try:
            os.link(draft, path)  # whole or not at all, and only once
        except FileExistsError:
            return path.read_text()
        finally:
            draft.unlink()
        return proposal


class FileLock:
    """A lock on a file, by flock: it belongs to the open file, so a child that inherits it holds it too."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._fd: int | None = None

    @property
    def fd(self) -> int:
        """The descriptor that holds the lock."""
        assert self._fd is not None
        return self._fd

    def try_acquire(self) -> bool:
        """Take the lock, unless another holds it."""
        while True:
            self._path.parent.mkdir(mode=PRIVATE_DIRECTORY, parents=True, exist_ok=True)
            fd = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, PRIVATE_FILE)
            try:
                fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                os.close(fd)
                return False
            if _same_file(fd, self._path):
                self._fd = fd
                return True
            os.close(fd)  # the file was swept away meanwhile: its lock guards nothing

    def acquire(self) -> None:
        """Take the lock; waits a little. Only for locks that are held briefly, and only in a thread.

        Raises:
            UnavailableError: Another process holds it and does not let go; perhaps it is frozen.
        """
        until = time.monotonic() + BRIEF_SECONDS
        while not self.try_acquire():
            if time.monotonic() > until:
                raise UnavailableError(
                    f"another process holds {self._path.name} and does not let go",
                    reason="LEDGER_LOCKED",
                    metadata={"path": str(self._path)},
                    retry_after=BRIEF_SECONDS,
                )
            time.sleep(BRIEF_POLL_SECONDS)

    def release(self) -> None:
        """Give the lock up, in every process that inherited it."""
        if self._fd is not None:
            fcntl.flock(self._fd, fcntl.LOCK_UN)
        self.hand_over()

    def hand_over(self) -> None:
        """Close the file here; the lock stays with those who inherited it."""
        if self._fd is not None:
            os.close(self._fd)
            self._fd = None


def _same_file(fd: int, path: Path) -> bool:
    try:
        named = path.stat()
    except FileNotFoundError:
        return False
    opened = os.fstat(fd)
    return (opened.st_ino, opened.st_dev) == (named.st_ino, named.st_dev)


def is_held(path: Path) -> bool:
    """Say whether somebody holds a lock."""
    if not path.exists():
        return False
    lock = FileLock(path)
    if not lock.try_acquire():
        return True
    lock.hand_over()
    return False


def write_whole(path: Path, content: bytes) -> None:
    """Write a file so that it is there whole or not at all, and stays there after a crash."""
    path.parent.mkdir(mode=PRIVATE_DIRECTORY, parents=True, exist_ok=True)
    draft = path.with_name(f".{path.name}.{os.getpid()}.draft")
    fd = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, PRIVATE_FILE)
    try:
        os.write(fd, content)
        os.fsync(fd)
    finally:
        os.close(fd)
    draft.rename(path)
    directory = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)


def read_record(path: Path) -> dict[str, Any] | None:
    """Read a JSON record; None where there is none.

    Raises:
        MalformedError: The file is there and is no JSON object.
    """
    with contextlib.suppress(FileNotFoundError):
        try:
            record = json.loads(path.read_bytes())
        except ValueError as error:
            raise MalformedError(f"{path} is no record", reason="MALFORMED_RECORD") from error
        if not isinstance(record, dict):
            raise MalformedError(f"{path} is no record", reason="MALFORMED_RECORD")
        return record
    return None
