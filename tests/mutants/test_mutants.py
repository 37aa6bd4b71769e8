"""Mutants: take one protection out of a copy of the code, and see a behavioural test fail.

Each mutant is one exact replacement, committed here. It must apply, or this test fails too: code that moved
takes its mutant along. The test named must pass on the code as it is; the ordinary run sees to that.
"""

import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
TESTS_FAILED = 1
"""pytest's exit code when tests ran and some failed; anything else means that they did not run."""


@dataclass(frozen=True, slots=True)
class Mutant:
    """One protection taken out.

    Attributes:
        name: What is missing.
        file: Where.
        old: The exact text taken out; it stands there once.
        new: What stands there instead.
        test: The test that must fail.
    """

    name: str
    file: str
    old: str
    new: str
    test: str


MUTANTS = [
    Mutant(
        "owner compare removed",
        "dataplane/journal/ownership.py",
        "        created_at(owned.owner_key, owned.token),\n",
        "",
        "tests/integration/router/test_ownership.py::test_a_displaced_owner_cannot_write",
    ),
    Mutant(
        "resume from the header's revision",
        "enchain/state/position.py",
        "return self.revision + 1",
        "return max(self.revision, self.newest) + 1",
        "tests/integration/state/test_follow_on_etcd.py"
        "::test_a_cut_in_the_middle_of_catching_up_loses_nothing",
    ),
    Mutant(
        "schema check off",
        "dataplane/rpc/requests.py",
        "whole = schemas.check_inputs(chain.inputs, inputs)",
        "whole = dict(inputs)",
        "tests/integration/router/test_refused_requests.py",
    ),
]


@pytest.mark.timeout(300)
@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.name)
def test_a_missing_protection_is_noticed(mutant: Mutant, tmp_path: Path) -> None:
    copy = _mutated(mutant, tmp_path)

    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", mutant.test],
        cwd=copy, env=os.environ | {"PYTHONPATH": str(copy)}, capture_output=True, text=True, check=False,
    )  # fmt: skip

    assert done.returncode == TESTS_FAILED, done.stdout + done.stderr


def _mutated(mutant: Mutant, target: Path) -> Path:
    copy = target / "copy"
    for name in ("enchain", "controlplane", "dataplane", "tests", "examples"):
        shutil.copytree(ROOT / name, copy / name, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", copy)
    file = copy / mutant.file
    text = file.read_text()
    assert text.count(mutant.old) == 1, f"{mutant.file} does not hold {mutant.old!r} exactly once"
    file.write_text(text.replace(mutant.old, mutant.new))
    return copy
