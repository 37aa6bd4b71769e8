"""The artifact store: a port, the adapter over a shared directory, and an instance's unpacked copies.

Control planes put, engine instances fetch. Content is known by its digest only, and is verified on the way in
and on the way out: nobody has to trust the directory.
"""

import asyncio
import contextlib
import hashlib
import os
import re
import secrets
import shutil
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, Protocol

from enchain.artifacts.packing import BYTES_MAX, ENTRIES_MAX, unpack
from enchain.chains.errors import (
    ExhaustedError,
    InvalidArgumentError,
    NotFoundError,
    UnavailableError,
    Violation,
)

CHUNK_BYTES = 256 * 1024
ARCHIVE_BYTES_MAX = BYTES_MAX + ENTRIES_MAX * 2048
"""A tar is larger than what it holds by its headers and padding."""

_DIGEST = re.compile(r"sha256:([0-9a-f]{64})", re.ASCII)


@dataclass(frozen=True, slots=True)
class StoredArtifact:
    """What the store knows of an artifact."""

    digest: str
    size_bytes: int
    create_time: datetime


class ArtifactStore(Protocol):
    """Content by digest, shared by control planes and engine instances."""

    async def put(self, digest: str, chunks: AsyncIterator[bytes]) -> StoredArtifact:
        """Store content. Storing what is there already changes nothing.

        Raises:
            InvalidArgumentError: The content has another digest. Nothing was stored.
            ExhaustedError: It is too large. Nothing was stored.
        """

    async def stat(self, digest: str) -> StoredArtifact | None:
        """Answer what is known of content; None where it is not there."""

    def read(self, digest: str) -> AsyncIterator[bytes]:
        """Deliver content in chunks of at most 256 KiB.

        Raises:
            NotFoundError: It is not there.
        """


def hex_of(digest: str) -> str:
    """Answer the hex digits of a digest.

    Raises:
        InvalidArgumentError: It is no digest.
    """
    match = _DIGEST.fullmatch(digest)
    if match is None:
        description = "must be `sha256:` and 64 hex digits"
        raise InvalidArgumentError(
            f"{digest[:80]!r} is no digest: it {description}",
            reason="INVALID_DIGEST",
            violations=[Violation("digest", description, "INVALID_DIGEST")],
        )
    return match[1]


class DirectoryArtifacts:
    """An artifact store in a directory: `<root>/sha256/<hex>.tar`."""

    def __init__(self, root: Path) -> None:
        self._root = root / "sha256"

    async def put(self, digest: str, chunks: AsyncIterator[bytes]) -> StoredArtifact:
        """Store content under its digest."""
        path = self._path(digest)
        self._root.mkdir(parents=True, exist_ok=True)
        draft = self._root / f".{secrets.token_hex(8)}.draft"
        try:
            with draft.open("xb") as file:
                actual = await self._receive(chunks, file)
            if actual != digest:
                raise InvalidArgumentError(
                    "the content does not have the digest that was named",
                    reason="DIGEST_MISMATCH",
                    metadata={"named": digest, "actual": actual},
                    violations=[Violation("artifact.digest", f"is {actual} in truth", "DIGEST_MISMATCH")],
                )
            draft.rename(path)
        finally:
            draft.unlink(missing_ok=True)
        stored = await self.stat(digest)
        assert stored is not None
        return stored

    async def stat(self, digest: str) -> StoredArtifact | None:
        """Look a file up."""
        try:
            stat = self._path(digest).stat()
        except FileNotFoundError:
            return None
        return StoredArtifact(digest, stat.st_size, datetime.fromtimestamp(stat.st_mtime, UTC))

    async def read(self, digest: str) -> AsyncIterator[bytes]:
        """Read a file."""
        try:
            file = self._path(digest).open("rb")
        except FileNotFoundError as error:
            raise _missing(digest) from error
        with file:
            while chunk := await asyncio.to_thread(file.read, CHUNK_BYTES):
                yield chunk

    def _path(self, digest: str) -> Path:
        return self._root / f"{hex_of(digest)}.tar"

    @staticmethod
    async def _receive(chunks: AsyncIterator[bytes], file: IO[bytes]) -> str:
        hashed, size = hashlib.sha256(), 0
        async for chunk in chunks:
            size += len(chunk)
            if size > ARCHIVE_BYTES_MAX:
                raise ExhaustedError(
                    f"an artifact may have {ARCHIVE_BYTES_MAX} bytes",
                    reason="ARTIFACT_TOO_LARGE",
                    metadata={"limit": str(ARCHIVE_BYTES_MAX)},
                )
            hashed.update(chunk)
            await asyncio.to_thread(file.write, chunk)
        file.flush()
        await asyncio.to_thread(os.fsync, file.fileno())
        return f"sha256:{hashed.hexdigest()}"


def _missing(digest: str) -> NotFoundError:
    return NotFoundError(
        f"the artifact {digest} is not in the store",
        reason="ARTIFACT_MISSING",
        metadata={"digest": digest},
        remedy="Save the workload again, so that its artifacts are sent.",
    )


class ArtifactCache:
    """Unpacked, verified, read-only copies of artifacts in a directory of the state scope.

    Args:
        store: Where artifacts come from.
        root: Where they are unpacked: `<root>/<hex>/`.
    """

    def __init__(self, store: ArtifactStore, root: Path) -> None:
        self._store = store
        self._root = root

    async def directory(self, digest: str) -> Path:
        """Answer the directory of an artifact; fetch, verify and unpack it where it is not there yet.

        Raises:
            NotFoundError: The store does not have it.
            UnavailableError: What the store gives does not have the digest.
            InvalidArgumentError: It is not safe to unpack.
        """
        path = self._root / hex_of(digest)
        if path.is_dir():
            return path
        self._root.mkdir(mode=0o700, parents=True, exist_ok=True)
        archive = self._root / f".{secrets.token_hex(8)}.tar"
        try:
            await self._fetch(digest, archive)
            await asyncio.to_thread(self._unpack, archive, path)
        finally:
            archive.unlink(missing_ok=True)
        return path

    async def _fetch(self, digest: str, archive: Path) -> None:
        hashed, size = hashlib.sha256(), 0
        with archive.open("xb") as file:
            async for chunk in self._store.read(digest):
                size += len(chunk)
                if size > ARCHIVE_BYTES_MAX:
                    break
                hashed.update(chunk)
                await asyncio.to_thread(file.write, chunk)
        if f"sha256:{hashed.hexdigest()}" != digest:
            raise UnavailableError(
                f"the store gave something else than {digest}",
                reason="ARTIFACT_CORRUPT",
                metadata={"digest": digest},
                remedy="Delete it from the store and save the workload again.",
            )

    def _unpack(self, archive: Path, path: Path) -> None:
        draft = archive.with_suffix(".draft")
        with archive.open("rb") as file:
            unpack(file, draft)
        try:
            draft.rename(path)
        except OSError:  # another one was faster, with the same content
            with contextlib.suppress(OSError):
                _make_writable(draft)
                shutil.rmtree(draft)


def _make_writable(directory: Path) -> None:
    for inner, _, _ in os.walk(directory):
        Path(inner).chmod(0o700)
