"""Lays files down in a service's directory, and says which of them are no longer as they were laid down.

The engine calls it with paths that `checks` has passed. Each file is replaced as a whole; no link is ever
followed, since a service may have put one in the way. What the service itself wrote is left alone. It blocks,
so it is called in a thread.
"""

import os
import secrets
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


def lay_down(root: Path, files: Mapping[str, str], *, previous: Iterable[str] = ()) -> None:
    """Make the files so, and remove those of `previous` that are no longer among them.

    Raises:
        OSError: Something is in the way, such as a link or a directory that the service made.
    """
    root.mkdir(parents=True, exist_ok=True, mode=0o700)
    for path in previous:
        if path not in files:
            _remove(root, path)
    for path, content in files.items():
        if _read(root, path) != content.encode():
            _write(root, path, content)


def changed_files(root: Path, files: Mapping[str, str]) -> list[str]:
    """Answer the paths whose content is missing or is not what was laid down."""
    return sorted(path for path, content in files.items() if _read(root, path) != content.encode())


@contextmanager
def _folder(root: Path, parts: Iterable[str], *, make: bool) -> Iterator[int]:
    descriptor = os.open(root, _FOLDER)
    try:
        for part in parts:
            if make:
                with suppress(FileExistsError):
                    os.mkdir(part, 0o755, dir_fd=descriptor)
            deeper = os.open(part, _FOLDER, dir_fd=descriptor)
            os.close(descriptor)
            descriptor = deeper
        yield descriptor
    finally:
        os.close(descriptor)


def _write(root: Path, path: str, content: str) -> None:
    *parents, name = path.split("/")
    with _folder(root, parents, make=True) as folder:
        new = f".{secrets.token_hex(8)}.new"
        descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600, dir_fd=folder)
        try:
            with os.fdopen(descriptor, "wb") as file:
                file.write(content.encode())
                os.fchmod(file.fileno(), 0o755 if content.startswith("#!") else 0o644)
                file.flush()
                os.fsync(file.fileno())
            os.rename(new, name, src_dir_fd=folder, dst_dir_fd=folder)
        except BaseException:
            with suppress(FileNotFoundError):
                os.unlink(new, dir_fd=folder)
            raise


def _read(root: Path, path: str) -> bytes | None:
    *parents, name = path.split("/")
    try:
        with _folder(root, parents, make=False) as folder:
            flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
            with os.fdopen(os.open(name, flags, dir_fd=folder), "rb") as file:
                return file.read()
    except OSError:  # missing, a link, a directory: in any case not the file
        return None


def _remove(root: Path, path: str) -> None:
    *parents, name = path.split("/")
    with suppress(FileNotFoundError):
        with _folder(root, parents, make=False) as folder:
            os.unlink(name, dir_fd=folder)
        for depth in range(len(parents), 0, -1):
            with _folder(root, parents[: depth - 1], make=False) as folder, suppress(OSError):
                os.rmdir(parents[depth - 1], dir_fd=folder)  # stays where it is not empty
