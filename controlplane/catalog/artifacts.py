"""Artifacts: received, checked and stored by content.

`controlplane.rpc.artifacts` serves them; derivation asks whether those that a workload names are there.
What is not safe to unpack is refused here, before any engine sees it.
"""

import asyncio
import hashlib
import tempfile
from collections.abc import AsyncIterator, Iterable
from pathlib import Path

from enchain.artifacts.packing import MEDIA_TYPE, unpack
from enchain.artifacts.store import ARCHIVE_BYTES_MAX, ArtifactStore, StoredArtifact, hex_of
from enchain.chains.errors import ExhaustedError, InvalidArgumentError, NotFoundError, Violation
from enchain.chains.names import artifact_name
from enchain.v1 import artifact_pb2, workload_pb2

UPLOADS_MAX = 4
"""Uploads that are received at once; others wait, and so do their senders. Each takes some 64 MiB of disk."""


class ArtifactCatalog:
    """The artifacts that control planes and engine instances share.

    Args:
        artifacts: Where they are kept.
    """

    def __init__(self, artifacts: ArtifactStore) -> None:
        self._artifacts = artifacts
        self._uploads = asyncio.Semaphore(UPLOADS_MAX)

    async def upload(
        self, sent: artifact_pb2.Artifact, chunks: AsyncIterator[bytes]
    ) -> artifact_pb2.Artifact:
        """Receive an artifact; store it once it is known to be what it says, and safe.

        Raises:
            InvalidArgumentError: It has another digest, is no tar, or could reach outside its directory.
            ExhaustedError: It is too large.
        """
        digest = sent.digest
        hex_of(digest)
        async with self._uploads:
            stored = await self._artifacts.stat(digest)
            with tempfile.TemporaryDirectory(prefix="enchain-upload-") as directory:
                archive = Path(directory) / "artifact.tar"
                # Read to the end even where it is stored already: a sender that is cut off sees an error.
                actual = await _receive(chunks, archive)
                _check_digest(digest, actual)
                if stored is None:
                    await asyncio.to_thread(_check_safe, archive)
                    stored = await self._artifacts.put(digest, _read(archive))
        return _shown(stored, sent.source)

    async def get(self, digest: str) -> artifact_pb2.Artifact:
        """Answer what is known of an artifact.

        Raises:
            NotFoundError: It is not there.
        """
        stored = await self._artifacts.stat(digest)
        if stored is None:
            raise _missing(digest)
        return _shown(stored, "")

    def download(self, digest: str) -> AsyncIterator[bytes]:
        """Deliver an artifact's bytes in chunks.

        Raises:
            NotFoundError: It is not there.
        """
        return self._artifacts.read(digest)

    async def require_all(self, workload: workload_pb2.Workload) -> None:
        """Check that all artifacts that a workload names are there.

        Raises:
            NotFoundError: Some are not; each is named with its place.
        """
        missing = [
            Violation(field, f"the artifact {digest} was never uploaded", "ARTIFACT_NOT_FOUND")
            for field, digest in _named_in(workload)
            if await self._artifacts.stat(digest) is None
        ]
        if missing:
            raise NotFoundError(
                f"{missing[0].field}: {missing[0].description}",
                reason="ARTIFACT_NOT_FOUND",
                remedy="Upload the artifacts, then save again; `enchain apply` does both.",
                violations=missing,
            )


def _named_in(workload: workload_pb2.Workload) -> Iterable[tuple[str, str]]:
    """Answer place and digest of each artifact that a workload names."""
    for step_index, step in enumerate(workload.steps):
        for index, implementation in enumerate(step.implementations):
            for name, reference in sorted(implementation.artifacts.items()):
                yield f"steps[{step_index}].implementations[{index}].artifacts.{name}", reference.digest


async def _receive(chunks: AsyncIterator[bytes], path: Path) -> str:
    """Write what comes into a file; answer its digest."""
    hashed, size = hashlib.sha256(), 0
    with path.open("xb") as file:
        async for chunk in chunks:
            size += len(chunk)
            if size > ARCHIVE_BYTES_MAX:
                raise ExhaustedError(
                    f"an artifact may have {ARCHIVE_BYTES_MAX} bytes",
                    reason="ARTIFACT_TOO_LARGE",
                    remedy="Leave out what is no source, or fetch large files when the step runs.",
                    metadata={"limit": str(ARCHIVE_BYTES_MAX)},
                )
            hashed.update(chunk)
            await asyncio.to_thread(file.write, chunk)
    return f"sha256:{hashed.hexdigest()}"


async def _read(path: Path) -> AsyncIterator[bytes]:
    with path.open("rb") as file:
        while chunk := await asyncio.to_thread(file.read, 256 * 1024):
            yield chunk


def _check_digest(named: str, actual: str) -> None:
    if named != actual:
        raise InvalidArgumentError(
            f"what was sent has the digest {actual}, not {named}",
            reason="DIGEST_MISMATCH",
            remedy="Send it again.",
            metadata={"named": named, "actual": actual},
            violations=[Violation("artifact.digest", f"is {actual} in truth", "DIGEST_MISMATCH")],
        )


def _check_safe(archive: Path) -> None:
    """Unpack it just as an engine instance would, and throw it away."""
    with tempfile.TemporaryDirectory(prefix="enchain-unpack-") as directory, archive.open("rb") as file:
        unpack(file, Path(directory) / "content")


def _shown(stored: StoredArtifact, source: str) -> artifact_pb2.Artifact:
    shown = artifact_pb2.Artifact(
        name=artifact_name(stored.digest),
        digest=stored.digest,
        size_bytes=stored.size_bytes,
        media_type=MEDIA_TYPE,
        source=source,
    )
    shown.create_time.FromDatetime(stored.create_time)
    return shown


def _missing(digest: str) -> NotFoundError:
    return NotFoundError(
        f"there is no {artifact_name(digest)}",
        reason="ARTIFACT_NOT_FOUND",
        remedy="Upload it first.",
        metadata={"name": artifact_name(digest)},
    )
