"""Programs that outlive whoever started them: one folder each, with a lock, who it is, and its log.

The control plane's launcher of engine instances keeps its instances so, and `enchain dev` ends what it finds
there. Any process on this machine may start, find and end them by their ids. A program is started at most
once in all time: an id that has ended never starts again. Everything here blocks; call it in a thread. It
never restarts anything by itself.

    ROOT/<id>/lock          held from the start until the program has begun
    ROOT/<id>/process.json  who it is; written before it begins
    ROOT/<id>/log           what it writes; log.1 and so on: what it wrote before, in pieces
    ROOT/<id>/ended         it must not begin, or has ended
    ROOT/<id>/told          it was told to end
"""

import contextlib
import fcntl
import json
import os
import re
import shutil
import signal
import socket
import sys
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from ulid import ULID

from enchain.chains.errors import InvalidArgumentError, PreconditionError, UnavailableError
from enchain.process import becoming, bounded_logs

BEGIN_SECONDS = 10.0
"""How long a program may take until it has written down who it is: Python starts in some 20 ms."""

LAST_WORDS_MAX = 400
"""Characters of its log that tell why a program ended."""

_POLL_SECONDS = 0.005
_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}")


@dataclass(frozen=True, slots=True)
class Identity:
    """One process, for all time: numbers are used again, so a number alone names none."""

    pid: int
    start_ticks: int
    boot: str


class Detached:
    """The programs under one folder.

    Args:
        root: The folder; made where it is missing.
    """

    def __init__(self, root: Path) -> None:
        self._root = root
        self._children: dict[int, str] = {}

    def home(self) -> str:
        """Answer what this folder, seen from this pid namespace, is called: the same for ever, and unique."""
        self._root.mkdir(parents=True, exist_ok=True, mode=0o700)
        file = self._root / "home"
        if not file.exists():
            draft = self._root / f".home-{ULID()}"  # threads of one process ask at once too
            draft.write_text(f"{socket.gethostname()}-{str(ULID()).lower()[-8:]}")
            with contextlib.suppress(FileExistsError):
                os.link(draft, file)  # whoever is first has named it
            draft.unlink()
        namespace = re.sub(r"\D", "", os.readlink("/proc/self/ns/pid"))  # noqa: PTH115 - a link to no path
        return f"{file.read_text()}-{namespace}"

    def start(self, identifier: str, argv: Sequence[str], environment: Mapping[str, str]) -> int:
        """Start a program, unless it was ever started; answer its process id.

        Raises:
            PreconditionError: It has ended already (`ENDED`), or must not begin.
            UnavailableError: Somebody starts it just now, or it did not begin in time.
            InvalidArgumentError: The id is none.
        """
        folder = self._folder(identifier)
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        with _locked(folder / "lock") as lock:
            known = _identity(folder)
            if known is not None and is_running(known):
                return known.pid
            if lock is None:
                raise UnavailableError(f"{identifier} is being started", reason="STARTING")
            if known is not None or (folder / "ended").exists():
                raise PreconditionError(self._how_it_ended(folder), reason="ENDED")
            pid = _spawn(folder, argv, environment, lock)
            self._children[pid] = identifier
            return self._begun(folder, pid)

    def running(self) -> dict[str, int]:
        """Answer what runs: process ids by id."""
        self._reap()
        if not self._root.is_dir():
            return {}
        found = {}
        for folder in self._root.iterdir():
            known = _identity(folder) if _ID.fullmatch(folder.name) else None
            if known is not None and is_running(known):
                found[folder.name] = known.pid
        return found

    def terminate(self, identifier: str) -> None:
        """Tell a program to end (SIGTERM). Once only: to an engine server a second signal means at once."""
        folder = self._folder(identifier)
        if (folder / "told").exists():
            return
        self._signal(folder, lambda known: os.kill(known.pid, signal.SIGTERM))
        with contextlib.suppress(FileNotFoundError):
            (folder / "told").touch()

    def kill(self, identifier: str) -> None:
        """End a program at once, with what is in its process group; if it has not begun, it never will."""
        folder = self._folder(identifier)
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        (folder / "ended").touch()
        self._signal(folder, lambda known: os.killpg(known.pid, signal.SIGKILL))

    def last_words(self, identifier: str) -> str:
        """Answer the last line that a program wrote, cut; empty where it wrote none."""
        return bounded_logs.last_words(self._folder(identifier) / "log")[-LAST_WORDS_MAX:]

    def trim(self, identifier: str, *, limit_bytes: int, kept: int) -> bool:
        """Put a program's log aside where it has grown beyond a limit, and keep so many older pieces of it.

        Answers whether it had. Of several who ask at once one does it.
        """
        folder = self._folder(identifier)
        if not (folder / "log").exists():
            return False
        with _locked(folder / "lock") as lock:
            return lock is not None and bounded_logs.rotate(
                folder / "log", limit_bytes=limit_bytes, kept=kept
            )

    def _how_it_ended(self, folder: Path) -> str:
        self._reap()
        with contextlib.suppress(FileNotFoundError):
            code = (folder / "ended").read_text().strip()
            words = self.last_words(folder.name)
            return f"it ended with {code}: {words}" if code else f"it was ended: {words}"
        return f"it has ended: {self.last_words(folder.name)}"

    def forget(self, kept: Collection[str], *, older_seconds: float) -> None:
        """Delete the folders of what has ended so long ago, except for those that are kept."""
        limit = time.time() - older_seconds
        for folder in self._root.iterdir() if self._root.is_dir() else ():
            if not _ID.fullmatch(folder.name) or not folder.is_dir() or folder.name in kept:
                continue
            known = _identity(folder)
            if (known is None or not is_running(known)) and folder.stat().st_mtime < limit:
                shutil.rmtree(folder, ignore_errors=True)

    def _begun(self, folder: Path, pid: int) -> int:
        """Wait until a program has written down who it is.

        Raises:
            UnavailableError: It did not.
        """
        limit = time.monotonic() + BEGIN_SECONDS
        while _identity(folder) is None:
            self._reap()
            if pid not in self._children or time.monotonic() > limit:
                words = self.last_words(folder.name)
                raise UnavailableError(f"it did not begin: {words}".rstrip(": "), reason="NOT_BEGUN")
            time.sleep(_POLL_SECONDS)
        return pid

    def _reap(self) -> None:
        """Take notice of children that have ended, and write down how."""
        for pid, identifier in list(self._children.items()):
            with contextlib.suppress(ChildProcessError):
                ended, status = os.waitpid(pid, os.WNOHANG)
                if not ended:
                    continue
                code = os.waitstatus_to_exitcode(status)
                with contextlib.suppress(OSError):
                    (self._folder(identifier) / "ended").write_text(f"exit code {code}\n")
            self._children.pop(pid, None)

    def _signal(self, folder: Path, send: Callable[[Identity], None]) -> None:
        known = _identity(folder)
        if known is not None and is_running(known):
            with contextlib.suppress(ProcessLookupError):
                send(known)

    def _folder(self, identifier: str) -> Path:
        if not _ID.fullmatch(identifier):
            raise InvalidArgumentError(f"“{identifier}” is no id", reason="INVALID_ID")
        return self._root / identifier


def is_running(known: Identity) -> bool:
    """Say whether this very process runs. One that merely waits for its parent to take notice does not."""
    if known.boot != _boot():
        return False
    try:
        text = Path(f"/proc/{known.pid}/stat").read_text(errors="replace")
    except (FileNotFoundError, ProcessLookupError):
        return False
    state, *rest = text[text.rindex(")") + 2 :].split()
    return state not in "ZXx" and int(rest[18]) == known.start_ticks


def _boot() -> str:
    boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    return f"{boot}/{os.readlink('/proc/self/ns/pid')}"  # noqa: PTH115 - a link to no path


def _identity(folder: Path) -> Identity | None:
    try:
        return Identity(**json.loads((folder / "process.json").read_text()))
    except (FileNotFoundError, NotADirectoryError, ValueError, TypeError):
        return None


@contextlib.contextmanager
def _locked(path: Path) -> Iterator[int | None]:
    """Hold a lock; None where somebody else does."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield None
        else:
            yield descriptor
    finally:
        os.close(descriptor)  # the program's copy goes on holding it until it has begun


def _spawn(folder: Path, argv: Sequence[str], environment: Mapping[str, str], lock: int) -> int:
    """Start what becomes the program. `posix_spawn` runs nothing of ours between fork and exec."""
    command = [sys.executable, "-I", "-S", becoming.__file__, str(folder), *argv]
    high = fcntl.fcntl(lock, fcntl.F_DUPFD_CLOEXEC, becoming.LOCK_FD + 1)
    try:
        return os.posix_spawn(
            sys.executable,
            command,
            environment,
            file_actions=[
                (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
                (os.POSIX_SPAWN_OPEN, 1, str(folder / "log"), os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600),
                (os.POSIX_SPAWN_DUP2, 1, 2),
                (os.POSIX_SPAWN_DUP2, high, becoming.LOCK_FD),
            ],
            setsigmask=[],
            setsigdef=signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP},
        )
    except OSError as error:
        raise PreconditionError(f"it cannot be started: {error.strerror}", reason="NOT_STARTED") from error
    finally:
        os.close(high)
