"""Packing a directory into a canonical tar, and unpacking one that nobody vouches for.

The command packs, engine instances unpack. The same content always gives the same bytes: names are sorted,
owners and times left out, modes reduced to "executable or not". Unpacking refuses whatever could reach
outside its directory. Blocking: callers on an event loop use a thread.
"""

import hashlib
import io
import os
import shutil
import tarfile
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import IO

from enchain.chains.errors import ExhaustedError, InvalidArgumentError, NotFoundError, Violation

MEDIA_TYPE = "application/vnd.enchain.tar"
BYTES_MAX = 64 * 1024 * 1024
"""Content of an artifact, all files together."""
ENTRIES_MAX = 10_000
PATH_CHARS_MAX = 1024

IGNORED = frozenset({".git", ".terraform", "__pycache__", ".venv", ".DS_Store"})
"""Names that are left out wherever they stand: a tool's caches, and what is not source."""
IGNORED_SUFFIXES = (".tfstate", ".tfstate.backup")
"""State may hold secrets, and is never source."""

_FILE, _EXECUTABLE, _DIRECTORY = 0o644, 0o755, 0o755
_READ_ONLY_FILE, _READ_ONLY_EXECUTABLE, _READ_ONLY_DIRECTORY = 0o444, 0o555, 0o555


def digest_of(content: bytes) -> str:
    """Answer the digest by which content is known."""
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


def pack(source: Path) -> bytes:
    """Pack a directory, or a single file, into a canonical tar.

    Raises:
        NotFoundError: There is nothing at `source`.
        InvalidArgumentError: It holds a device, a socket, or a link that leads outside.
        ExhaustedError: It is too large or has too many entries.
    """
    if not source.exists():
        raise NotFoundError(
            f"there is no {source}", reason="ARTIFACT_MISSING", metadata={"path": str(source)}
        )
    buffer = io.BytesIO()
    total = 0
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.PAX_FORMAT) as tar:
        for count, (name, path) in enumerate(_entries(source), start=1):
            if count > ENTRIES_MAX:
                raise _too_many()
            info = _canonical(name, path, source)
            total += info.size
            if total > BYTES_MAX:
                raise _too_large(total)
            if info.isreg():
                with path.open("rb") as file:
                    tar.addfile(info, file)
            else:
                tar.addfile(info)
    return buffer.getvalue()


def _entries(source: Path) -> Iterator[tuple[str, Path]]:
    """All that is packed, by name within the tar, in the order of the names."""
    if source.is_file():
        yield source.name, source
        return
    found: list[tuple[str, Path]] = []
    for directory, subdirectories, files in os.walk(source):
        subdirectories[:] = [name for name in subdirectories if name not in IGNORED]
        for name in (*subdirectories, *files):
            if name in IGNORED or name.endswith(IGNORED_SUFFIXES):
                continue
            path = Path(directory) / name
            found.append((path.relative_to(source).as_posix(), path))
    yield from sorted(found)


def _canonical(name: str, path: Path, source: Path) -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    if path.is_symlink():
        info.type = tarfile.SYMTYPE
        info.linkname = os.readlink(path)  # noqa: PTH115 - Path.readlink would tidy the text up
        if not _inside(path, source):
            raise _unsafe(name, "is a link that leads outside")
        info.mode = _EXECUTABLE
    elif path.is_dir():
        info.type = tarfile.DIRTYPE
        info.mode = _DIRECTORY
    elif path.is_file():
        stat = path.stat()
        info.size = stat.st_size
        info.mode = _EXECUTABLE if stat.st_mode & 0o100 else _FILE
    else:
        raise _unsafe(name, "is neither file, directory nor link")
    return info


def _inside(link: Path, root: Path) -> bool:
    return not PurePosixPath(os.readlink(link)).is_absolute() and (  # noqa: PTH115 - likewise
        link.resolve().is_relative_to(root.resolve())
    )


def unpack(archive: IO[bytes], target: Path) -> None:
    """Unpack a tar into a directory that does not exist yet, read-only, whole or not at all.

    Raises:
        InvalidArgumentError: It is no tar, or holds something that could reach outside.
        ExhaustedError: It is too large or has too many entries.
    """
    target.mkdir(mode=0o700, parents=True)
    try:
        with tarfile.open(fileobj=archive, mode="r:") as tar:
            _unpack(tar, target)
    except tarfile.TarError as error:
        shutil.rmtree(target)
        raise InvalidArgumentError(f"the artifact is no tar: {error}", reason="MALFORMED_ARTIFACT") from error
    except BaseException:
        shutil.rmtree(target)
        raise
    for directory, _, _ in os.walk(target, topdown=False):
        Path(directory).chmod(_READ_ONLY_DIRECTORY)


def _unpack(tar: tarfile.TarFile, target: Path) -> None:
    links: list[tuple[Path, str, str]] = []
    total = 0
    for count, info in enumerate(tar, start=1):
        if count > ENTRIES_MAX:
            raise _too_many()
        total += info.size
        if total > BYTES_MAX:
            raise _too_large(total)
        path = target / _safe_name(info.name)
        if info.issym():
            links.append((path, info.linkname, info.name))
        elif info.isdir():
            path.mkdir(mode=0o700, parents=True, exist_ok=True)
        elif info.isreg():
            _write(tar, info, path)
        else:
            raise _unsafe(info.name, "is neither file, directory nor link")
    _link(links, target)


def _safe_name(name: str) -> PurePosixPath:
    path = PurePosixPath(name)
    if not path.parts or path.is_absolute() or ".." in path.parts or "\0" in name:
        raise _unsafe(name, "leads outside")
    if len(name) > PATH_CHARS_MAX:
        raise _unsafe(name[:64], f"is longer than {PATH_CHARS_MAX} characters")
    return path


def _write(tar: tarfile.TarFile, info: tarfile.TarInfo, path: Path) -> None:
    content = tar.extractfile(info)
    if content is None or path.exists():
        raise _unsafe(info.name, "is there twice")
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    with content, path.open("xb") as file:
        shutil.copyfileobj(content, file)
    path.chmod(_READ_ONLY_EXECUTABLE if info.mode & 0o100 else _READ_ONLY_FILE)


def _link(links: list[tuple[Path, str, str]], target: Path) -> None:
    """Make the links last, so that nothing is written through one, and then see where each of them leads."""
    for path, text, name in links:
        if path.exists() or path.is_symlink():
            raise _unsafe(name, "is there twice")
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        path.symlink_to(text)
        if not path.parent.resolve().is_relative_to(target.resolve()):
            raise _unsafe(name, "leads outside")
    for path, _, name in links:
        if not _inside(path, target):
            raise _unsafe(name, "is a link that leads outside")


def _unsafe(name: str, description: str) -> InvalidArgumentError:
    return InvalidArgumentError(
        f"the artifact's entry {name!r} {description}",
        reason="UNSAFE_ARTIFACT",
        metadata={"entry": name},
        violations=[Violation(f"artifact.{name}", description, "UNSAFE_ARTIFACT")],
    )


def _too_large(total: int) -> ExhaustedError:
    return ExhaustedError(
        f"the artifact holds more than {BYTES_MAX} bytes",
        reason="ARTIFACT_TOO_LARGE",
        metadata={"size": str(total), "limit": str(BYTES_MAX)},
    )


def _too_many() -> ExhaustedError:
    return ExhaustedError(
        f"the artifact has more than {ENTRIES_MAX} entries",
        reason="ARTIFACT_TOO_MANY_ENTRIES",
        metadata={"limit": str(ENTRIES_MAX)},
    )
