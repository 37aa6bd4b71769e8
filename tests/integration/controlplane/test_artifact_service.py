"""Artifacts: sent, checked, stored and delivered, over gRPC."""

import hashlib
import io
import tarfile
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from enchain.artifacts.packing import MEDIA_TYPE, pack
from enchain.artifacts.store import ARCHIVE_BYTES_MAX
from enchain.chains.errors import EnchainError, ExhaustedError, InvalidArgumentError, NotFoundError
from enchain.v1 import artifact_pb2, workload_pb2
from tests.harness.controlplane import Plane, refusal
from tests.harness.site import site_workload

CHUNK = 256 * 1024


def digest_of(content: bytes) -> str:
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


def packed(tmp_path: Path, size: int = 300_000) -> bytes:
    """A module of two files, larger than one chunk."""
    directory = tmp_path / "module"
    directory.mkdir()
    (directory / "main.tf").write_text("# a module\n")
    (directory / "data.bin").write_bytes(bytes(range(256)) * (size // 256))
    return pack(directory)


def hostile(name: str, kind: bytes = tarfile.REGTYPE, link: str = "") -> bytes:
    """A tar with one entry that reaches outside."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        info = tarfile.TarInfo(name)
        info.type = kind
        info.linkname = link
        tar.addfile(info, io.BytesIO(b""))
    return buffer.getvalue()


async def upload(plane: Plane, content: bytes, digest: str = "") -> Any:
    async def parts() -> AsyncIterator[artifact_pb2.UploadArtifactRequest]:
        artifact = artifact_pb2.Artifact(digest=digest or digest_of(content), source="./module")
        yield artifact_pb2.UploadArtifactRequest(artifact=artifact)
        for start in range(0, len(content), CHUNK):
            yield artifact_pb2.UploadArtifactRequest(chunk=content[start : start + CHUNK])

    return await plane.artifacts.UploadArtifact(parts())


async def download(plane: Plane, name: str) -> bytes:
    content = b""
    async for part in plane.artifacts.DownloadArtifact(artifact_pb2.DownloadArtifactRequest(name=name)):
        assert len(part.chunk) <= CHUNK
        content += part.chunk
    return content


def kept(plane: Plane) -> list[Path]:
    return [path for path in plane.artifacts_directory.rglob("*") if path.is_file()]


async def test_an_artifact_is_stored_by_content_and_delivered_as_it_was(plane: Plane, tmp_path: Path) -> None:
    content = packed(tmp_path)

    sent = await upload(plane, content)

    assert sent.name == f"artifacts/{digest_of(content).removeprefix('sha256:')}"
    assert (sent.size_bytes, sent.media_type, sent.source) == (len(content), MEDIA_TYPE, "./module")
    got = await plane.artifacts.GetArtifact(artifact_pb2.GetArtifactRequest(name=sent.name))
    assert (got.digest, got.size_bytes, got.create_time) == (
        sent.digest,
        sent.size_bytes,
        sent.create_time,
    )
    assert await download(plane, sent.name) == content


async def test_sending_an_artifact_again_changes_nothing(plane: Plane, tmp_path: Path) -> None:
    content = packed(tmp_path)
    first = await upload(plane, content)
    [file] = kept(plane)
    inode = file.stat().st_ino

    again = await upload(plane, content)

    assert again == first
    assert kept(plane)[0].stat().st_ino == inode


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"no tar at all" * 100, "MALFORMED_ARTIFACT"),
        (hostile("../outside"), "UNSAFE_ARTIFACT"),
        (hostile("/etc/outside"), "UNSAFE_ARTIFACT"),
        (hostile("link", tarfile.SYMTYPE, "../../outside"), "UNSAFE_ARTIFACT"),
        (hostile("hard", tarfile.LNKTYPE, "/etc/passwd"), "UNSAFE_ARTIFACT"),
        (hostile("device", tarfile.CHRTYPE), "UNSAFE_ARTIFACT"),
    ],
)
async def test_what_is_not_safe_to_unpack_is_refused_and_not_kept(
    plane: Plane, content: bytes, reason: str
) -> None:
    error = await refusal(upload(plane, content))

    assert isinstance(error, InvalidArgumentError)
    assert error.reason == reason
    assert kept(plane) == []


async def test_content_with_another_digest_is_refused_and_not_kept(plane: Plane, tmp_path: Path) -> None:
    error = await refusal(upload(plane, packed(tmp_path), digest="sha256:" + "0" * 64))

    assert isinstance(error, InvalidArgumentError)
    assert error.reason == "DIGEST_MISMATCH"
    assert [fault.field for fault in error.violations] == ["artifact.digest"]
    assert kept(plane) == []


async def test_an_artifact_that_is_too_large_is_refused_and_not_kept(plane: Plane) -> None:
    error = await refusal(upload(plane, bytes(ARCHIVE_BYTES_MAX + 1)))

    assert isinstance(error, ExhaustedError)
    assert error.reason == "ARTIFACT_TOO_LARGE"
    assert kept(plane) == []


async def refused_parts(plane: Plane, *parts: artifact_pb2.UploadArtifactRequest) -> EnchainError:
    return await refusal(plane.artifacts.UploadArtifact(iter(parts)))


async def test_messages_out_of_order_are_refused(plane: Plane) -> None:
    head = artifact_pb2.UploadArtifactRequest(artifact=artifact_pb2.Artifact(digest="sha256:" + "0" * 64))
    chunk = artifact_pb2.UploadArtifactRequest(chunk=b"x")

    errors = [
        await refused_parts(plane),
        await refused_parts(plane, chunk),
        await refused_parts(plane, head, chunk, head),
    ]

    assert [error.reason for error in errors] == ["OUT_OF_ORDER"] * 3


@pytest.mark.parametrize("digest", ["", "sha256:abc", "../../etc/passwd"])
async def test_what_is_no_digest_is_refused(plane: Plane, digest: str) -> None:
    error = await refused_parts(
        plane, artifact_pb2.UploadArtifactRequest(artifact=artifact_pb2.Artifact(digest=digest))
    )

    assert isinstance(error, InvalidArgumentError)


async def test_an_artifact_that_was_never_sent_is_not_found(plane: Plane) -> None:
    name = "artifacts/" + "0" * 64

    got = await refusal(plane.artifacts.GetArtifact(artifact_pb2.GetArtifactRequest(name=name)))
    delivered = await refusal(download(plane, name))

    assert isinstance(got, NotFoundError)
    assert isinstance(delivered, NotFoundError)


async def test_a_workload_is_saved_once_its_artifact_is_there_and_the_engine_is_asked_with_it(
    site: Plane, tmp_path: Path
) -> None:
    sent = await upload(site, packed(tmp_path))
    workload = site_workload()
    workload.steps[0].implementations[0].artifacts["module"].digest = sent.digest

    await site.workloads.CreateWorkload(
        workload_pb2.CreateWorkloadRequest(workload_id="site", workload=workload)
    )

    [request] = site.engines_started[0].asked
    assert request.artifacts["module"].digest == sent.digest
