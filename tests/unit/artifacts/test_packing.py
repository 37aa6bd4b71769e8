"""Packing is canonical, and unpacking never reaches outside its directory, whatever the archive says."""

import io
import os
import tarfile
from pathlib import Path

import pytest

from enchain.artifacts import packing
from enchain.artifacts.packing import pack, unpack
from enchain.chains.errors import ExhaustedError, InvalidArgumentError, NotFoundError


def tree(root: Path) -> Path:
    (root / "inner").mkdir(parents=True)
    (root / "main.tf").write_text("x")
    (root / "inner" / "run.sh").write_text("#!/bin/sh\n")
    (root / "inner" / "run.sh").chmod(0o700)
    (root / "link").symlink_to("inner/run.sh")
    return root


def archive(*entries: tarfile.TarInfo, content: bytes = b"") -> io.BytesIO:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        for info in entries:
            info.size = len(content) if info.isreg() else 0
            tar.addfile(info, io.BytesIO(content) if info.isreg() else None)
    buffer.seek(0)
    return buffer


def entry(name: str, kind: bytes = tarfile.REGTYPE, target: str = "") -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, target
    return info


def test_the_same_content_gives_the_same_bytes_wherever_and_whenever_it_lies(tmp_path: Path) -> None:
    one, other = tree(tmp_path / "one"), tree(tmp_path / "other" / "place")
    os.utime(other / "main.tf", (1, 1))
    (other / "main.tf").chmod(0o600)

    assert pack(one) == pack(other)


def test_what_was_packed_comes_out_again_and_is_read_only(tmp_path: Path) -> None:
    unpack(io.BytesIO(pack(tree(tmp_path / "one"))), tmp_path / "out")

    assert (tmp_path / "out" / "main.tf").read_text() == "x"
    assert (tmp_path / "out" / "link").readlink() == Path("inner/run.sh")
    assert (tmp_path / "out" / "inner" / "run.sh").stat().st_mode & 0o777 == 0o555
    assert (tmp_path / "out" / "main.tf").stat().st_mode & 0o222 == 0
    assert (tmp_path / "out").stat().st_mode & 0o222 == 0


def test_caches_and_state_of_tools_are_left_out(tmp_path: Path) -> None:
    root = tree(tmp_path / "one")
    before = pack(root)
    (root / ".terraform").mkdir()
    (root / ".terraform" / "provider").write_text("big")
    (root / "terraform.tfstate").write_text("secret")

    assert pack(root) == before


def test_a_single_file_is_packed_under_its_name(tmp_path: Path) -> None:
    (tmp_path / "site.yml").write_text("- hosts: all\n")

    unpack(io.BytesIO(pack(tmp_path / "site.yml")), tmp_path / "out")

    assert [path.name for path in (tmp_path / "out").iterdir()] == ["site.yml"]


def test_what_is_not_there_cannot_be_packed(tmp_path: Path) -> None:
    with pytest.raises(NotFoundError):
        pack(tmp_path / "nothing")


def test_a_link_that_leads_outside_is_not_packed(tmp_path: Path) -> None:
    root = tree(tmp_path / "one")
    (root / "passwd").symlink_to("../../etc/passwd")

    with pytest.raises(InvalidArgumentError) as caught:
        pack(root)

    assert caught.value.metadata["entry"] == "passwd"


def test_too_much_content_is_not_packed(tmp_path: Path) -> None:
    root = tree(tmp_path / "one")
    with (root / "big").open("wb") as file:
        file.truncate(packing.BYTES_MAX + 1)  # a hole: it takes no room

    with pytest.raises(ExhaustedError):
        pack(root)


@pytest.mark.parametrize(
    "entries",
    [
        [entry("../escaped")],
        [entry("/escaped")],
        [entry("inner/../../escaped")],
        [entry("link", tarfile.SYMTYPE, "/etc/passwd")],
        [entry("link", tarfile.SYMTYPE, "../escaped")],
        [entry("inner", tarfile.SYMTYPE, ".."), entry("inner/escaped")],
        [entry("inner/escaped"), entry("inner", tarfile.SYMTYPE, "..")],
        [entry("a/b/up", tarfile.SYMTYPE, "../.."), entry("out", tarfile.SYMTYPE, "a/b/up/..")],
        [entry("hard", tarfile.LNKTYPE, "/etc/passwd")],
        [entry("device", tarfile.CHRTYPE)],
        [entry("pipe", tarfile.FIFOTYPE)],
        [entry("twice"), entry("twice")],
    ],
    ids=lambda entries: " then ".join(f"{info.name}>{info.linkname}" for info in entries),
)
def test_an_archive_that_could_reach_outside_is_refused_whole(
    tmp_path: Path, entries: list[tarfile.TarInfo]
) -> None:
    with pytest.raises(InvalidArgumentError):
        unpack(archive(*entries, content=b"evil"), tmp_path / "within" / "out")

    assert [path.name for path in tmp_path.rglob("*")] == ["within"]


def test_what_is_no_tar_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidArgumentError) as caught:
        unpack(io.BytesIO(b"no tar at all" * 100), tmp_path / "out")

    assert caught.value.reason == "MALFORMED_ARTIFACT"
    assert not (tmp_path / "out").exists()


def test_an_archive_of_too_many_entries_is_refused(tmp_path: Path) -> None:
    entries = [entry("the-same", tarfile.DIRTYPE)] * (packing.ENTRIES_MAX + 1)

    with pytest.raises(ExhaustedError):
        unpack(archive(*entries), tmp_path / "out")

    assert not (tmp_path / "out").exists()


def test_an_archive_that_claims_to_be_huge_is_refused_before_it_is_written(tmp_path: Path) -> None:
    info = entry("big")
    info.size = packing.BYTES_MAX + 1
    header = info.tobuf()

    with pytest.raises(ExhaustedError):
        unpack(io.BytesIO(header + b"\0" * 1024), tmp_path / "out")
