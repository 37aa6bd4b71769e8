"""The ansible engine in a harness, over the real Ansible, and folders with playbooks."""

from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from enchain.engines.ansible.engine import AnsibleEngine
from enchain.sdk.testing import EngineHarness

Folders = Callable[..., Path]


@pytest.fixture
async def harness(tmp_path: Path) -> AsyncIterator[EngineHarness]:
    """A started engine with a scope of its own."""
    async with EngineHarness(AnsibleEngine(), scope=tmp_path / "scope") as harness:
        yield harness


@pytest.fixture
def folders(tmp_path: Path) -> Folders:
    """Makes a folder of playbooks: its name, and its files with `_` for the dot. Each file is one play."""

    def make(name: str, **files: str) -> Path:
        directory = tmp_path / "folders" / name
        directory.mkdir(parents=True)
        for file, tasks in files.items():
            play = "- hosts: all\n  gather_facts: false\n  tasks:\n" + tasks
            (directory / file.replace("_", ".")).write_text(play if tasks.startswith("  - ") else tasks)
        return directory

    return make
