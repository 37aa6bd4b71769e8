"""The house keeps its own rules: sizes, docstrings, names, suppressions, and the README's map of the tree."""

import ast
import re
import subprocess
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
FILE_LINES_MAX = 400
FUNCTION_LINES_MAX = 60
JUNK_NAMES = {"utils", "util", "common", "helpers", "helper", "manager", "base", "misc"}


def _tracked() -> list[Path]:
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT, capture_output=True, text=True, check=True,
    )  # fmt: skip
    return [ROOT / line for line in listed.stdout.splitlines() if (ROOT / line).is_file()]


TRACKED = _tracked()
PYTHON = [file for file in TRACKED if file.suffix == ".py" and "_pb2" not in file.name]


@dataclass(frozen=True, slots=True)
class Source:
    """What the rules look at in a file. Its syntax tree is let go: all of them together slow everything."""

    file: Path
    text: str
    has_docstring: bool
    long_functions: tuple[str, ...]


def _read(path: Path) -> Source:
    text = path.read_text()
    tree = ast.parse(text)
    long = []
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            lines = (node.end_lineno or node.lineno) - node.lineno + 1
            if lines > FUNCTION_LINES_MAX:
                long.append(f"{path.relative_to(ROOT)}:{node.lineno} {node.name} ({lines})")
    return Source(path.relative_to(ROOT), text, bool(ast.get_docstring(tree)), tuple(long))


@cache
def _sources() -> tuple[Source, ...]:
    return tuple(_read(path) for path in PYTHON)


def _lines() -> Iterator[tuple[Path, str, str]]:
    for source in _sources():
        for number, line in enumerate(source.text.splitlines(), 1):
            yield source.file, line, f"{source.file}:{number}"


def test_there_is_something_to_check() -> None:
    assert len(PYTHON) > 50


def test_no_file_is_longer_than_400_lines() -> None:
    lengths = [(source.file, source.text.count("\n")) for source in _sources()]
    long = [f"{file}: {lines}" for file, lines in lengths if lines > FILE_LINES_MAX]

    assert long == []


def test_no_function_is_longer_than_60_lines() -> None:
    long = [function for source in _sources() for function in source.long_functions]

    assert long == []


def test_every_module_opens_with_what_it_is() -> None:
    silent = [str(source.file) for source in _sources() if not source.has_docstring]

    assert silent == []


def test_no_module_has_a_junk_name() -> None:
    junk = [str(file) for file in PYTHON if file.stem in JUNK_NAMES or file.parent.name in JUNK_NAMES]

    assert junk == []


def test_no_two_test_files_have_one_name() -> None:
    # Test folders are not packages, so that pytest knows a file by its name alone.
    names = Counter(file.name for file in PYTHON if file.name.startswith("test_"))

    assert [name for name, count in names.items() if count > 1] == []


def test_every_suppression_says_why() -> None:
    bare = []
    for file, line, place in _lines():
        if file != Path("tests/tidy/test_house.py"):
            if re.search(r"#\s*noqa(?!: [A-Z0-9, ]+ - \S)", line):
                bare.append(f"{place} {line.strip()}")
            if re.search(r"#\s*type:\s*ignore(?!\[[a-z-, ]+\]\s+# \S)", line):
                bare.append(f"{place} {line.strip()}")

    assert bare == []


def test_no_test_sleeps() -> None:
    sleeping = [
        place
        for file, line, place in _lines()
        if file.parts[0] == "tests" and "harness" not in file.parts and file.name != "test_house.py"
        if re.search(r"time\.sleep\(|asyncio\.sleep\((?!0\))", line) and "`" not in line
    ]

    assert sleeping == []


def test_the_map_in_the_readme_is_the_tree() -> None:
    readme = (ROOT / "README.md").read_text()
    block = re.search(r"## The tree\n.*?```\n(.*?)```", readme, re.DOTALL)
    assert block is not None
    named = [line.split()[0] for line in block[1].splitlines() if line.strip()]

    missing = [path for path in named if not (ROOT / path).exists()]

    assert len(named) > 20
    assert missing == []


def test_every_room_stands_on_the_map() -> None:
    readme = (ROOT / "README.md").read_text()
    rooms = {
        "/".join(file.relative_to(ROOT).parts[:2]) + "/"
        for file in PYTHON
        if file.relative_to(ROOT).parts[0] in {"controlplane", "dataplane", "enchain"}
        and len(file.relative_to(ROOT).parts) > 2
    }

    unnamed = [room for room in sorted(rooms) if room not in readme]

    assert unnamed == []


def test_every_make_target_says_what_it_does() -> None:
    makefile = (ROOT / "Makefile").read_text()
    targets = re.findall(r"^([a-z-]+):(.*)$", makefile, re.MULTILINE)

    silent = [name for name, rest in targets if "## " not in rest]

    assert silent == []


@pytest.mark.parametrize("target", ["help", "setup", "protos", "fix", "check", "test", "demo", "soak"])
def test_the_promised_make_targets_exist(target: str) -> None:
    assert re.search(rf"^{target}:", (ROOT / "Makefile").read_text(), re.MULTILINE)
