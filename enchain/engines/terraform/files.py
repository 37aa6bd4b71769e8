"""Files of a work: written whole and private, copied, and their locks looked at. Blocking; for `work.py`."""

import contextlib
import fcntl
import json
import os
import shutil
import struct
from collections.abc import Mapping
from pathlib import Path
from typing import Any

PRIVATE_DIRECTORY = 0o700
PRIVATE_FILE = 0o600
_FLOCK = "hhqqi4x"


def copy_module(source: Path, target: Path) -> list[str]:
    """Copy a module's files, writable for us, and answer their names."""
    names = []
    make(target)
    for path in sorted(source.rglob("*")):
        name = path.relative_to(source).as_posix()
        if ".terraform" in path.relative_to(source).parts:
            continue  # left there by somebody's own `terraform init`
        if path.is_dir():
            make(target / name)
        elif path.is_file() and not _is_leftover(path):
            draft = target / f"{name}.enchain-draft"
            shutil.copyfile(path, draft)
            draft.chmod((path.stat().st_mode & 0o777) | 0o600)
            draft.rename(target / name)
            names.append(name)
    return names


def _is_leftover(path: Path) -> bool:
    """Say whether a file is a state that somebody left in the module: it describes other things than ours."""
    return path.name.endswith((".tfstate", ".tfstate.backup"))


def make(directory: Path) -> None:
    """Make a private directory, with those above it."""
    directory.mkdir(mode=PRIVATE_DIRECTORY, parents=True, exist_ok=True)


def write(path: Path, record: Mapping[str, Any]) -> None:
    """Write a record whole, unless it stands there already."""
    content = json.dumps(record, indent=1, sort_keys=True, ensure_ascii=False).encode()
    with contextlib.suppress(OSError):
        if path.read_bytes() == content:
            return
    draft = path.with_name(f"{path.name}.draft")
    fd = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, PRIVATE_FILE)
    with os.fdopen(fd, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(fd)
    draft.rename(path)


def read(path: Path) -> dict[str, Any] | None:
    """Read a record; None where there is none, or a torn one."""
    try:
        record = json.loads(path.read_bytes())
    except (OSError, ValueError):
        return None
    return record if isinstance(record, dict) else None


def is_locked(path: Path) -> bool:
    """Say whether a process holds a lock on a file, without taking one: Terraform locks its state so."""
    try:
        with path.open("rb") as file:
            asked = struct.pack(_FLOCK, fcntl.F_WRLCK, os.SEEK_SET, 0, 0, 0)
            answer = fcntl.fcntl(file, fcntl.F_GETLK, asked)
    except OSError:
        return False
    return bool(struct.unpack(_FLOCK, answer)[0] != fcntl.F_UNLCK)
