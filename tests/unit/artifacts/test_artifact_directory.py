"""The artifact store in a directory, and an instance's copies: content is believed by its digest only."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from enchain.artifacts.packing import digest_of, pack
from enchain.artifacts.store import ArtifactCache, DirectoryArtifacts
from enchain.chains.errors import InvalidArgumentError, NotFoundError, UnavailableError


async def chunks(*parts: bytes) -> AsyncIterator[bytes]:
    for part in parts:
        yield part


def packed(root: Path, text: str = "x") -> bytes:
    root.mkdir(exist_ok=True)
    (root / "main.tf").write_text(text)
    return pack(root)


async def test_content_comes_back_as_it_was_put(tmp_path: Path) -> None:
    store = DirectoryArtifacts(tmp_path / "store")

    stored = await store.put(digest_of(b"abc"), chunks(b"ab", b"c"))

    assert stored.size_bytes == 3
    assert await store.stat(digest_of(b"abc")) == stored
    assert [part async for part in store.read(digest_of(b"abc"))] == [b"abc"]


async def test_content_with_another_digest_is_not_stored(tmp_path: Path) -> None:
    store = DirectoryArtifacts(tmp_path / "store")

    with pytest.raises(InvalidArgumentError) as caught:
        await store.put(digest_of(b"abc"), chunks(b"abd"))

    assert caught.value.reason == "DIGEST_MISMATCH"
    assert await store.stat(digest_of(b"abc")) is None
    assert not any(path.is_file() for path in (tmp_path / "store").rglob("*"))


@pytest.mark.parametrize("digest", ["", "sha256:../../etc/passwd", "md5:abc", "sha256:" + "A" * 64])
async def test_what_is_no_digest_is_refused(tmp_path: Path, digest: str) -> None:
    with pytest.raises(InvalidArgumentError):
        await DirectoryArtifacts(tmp_path).stat(digest)


async def test_an_artifact_is_fetched_once_and_stays(tmp_path: Path) -> None:
    store = DirectoryArtifacts(tmp_path / "store")
    content = packed(tmp_path / "module")
    await store.put(digest_of(content), chunks(content))
    cache = ArtifactCache(store, tmp_path / "cache")

    first = await cache.directory(digest_of(content))
    next((tmp_path / "store").rglob("*.tar")).unlink()

    assert await cache.directory(digest_of(content)) == first
    assert (first / "main.tf").read_text() == "x"


async def test_an_artifact_that_was_changed_in_the_store_is_not_believed(tmp_path: Path) -> None:
    store = DirectoryArtifacts(tmp_path / "store")
    content = packed(tmp_path / "module")
    await store.put(digest_of(content), chunks(content))
    next((tmp_path / "store").rglob("*.tar")).write_bytes(packed(tmp_path / "module", "evil"))

    with pytest.raises(UnavailableError) as caught:
        await ArtifactCache(store, tmp_path / "cache").directory(digest_of(content))

    assert caught.value.reason == "ARTIFACT_CORRUPT"
    assert list((tmp_path / "cache").iterdir()) == []


async def test_an_artifact_that_is_missing_is_named(tmp_path: Path) -> None:
    cache = ArtifactCache(DirectoryArtifacts(tmp_path / "store"), tmp_path / "cache")

    with pytest.raises(NotFoundError) as caught:
        await cache.directory(digest_of(b"abc"))

    assert caught.value.metadata["digest"] == digest_of(b"abc")
