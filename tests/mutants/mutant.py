"""What a mutant is, and how a copy of the code is made that has one.

The lists of mutants and the tests that run them use it.
"""

import shutil
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]


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


def mutated(mutant: Mutant, target: Path) -> Path:
    """Copy the code into a directory and take the protection out there; answer where it lies."""
    copy = target / "copy"
    for name in ("enchain", "controlplane", "dataplane", "tests", "examples"):
        shutil.copytree(ROOT / name, copy / name, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", copy)
    file = copy / mutant.file
    text = file.read_text()
    assert text.count(mutant.old) == 1, f"{mutant.file} does not hold {mutant.old!r} exactly once"
    file.write_text(text.replace(mutant.old, mutant.new))
    return copy
