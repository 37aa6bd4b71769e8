"""The engine of twenty lines in `examples/`: it greets, and takes its greeting back."""

import importlib.util
from pathlib import Path

import pytest

from enchain.chains.errors import InvalidArgumentError
from enchain.sdk.port import Engine
from enchain.sdk.testing import EngineHarness, outputs_of
from enchain.v1 import diagnostic_pb2
from tests.harness.scripted import files_under

EXAMPLE = Path(__file__).parents[3] / "examples" / "hello_engine.py"


def hello() -> Engine:
    spec = importlib.util.spec_from_file_location("hello_engine", EXAMPLE)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    engine: Engine = module.HelloEngine()
    return engine


async def test_it_greets_and_takes_its_greeting_back(tmp_path: Path) -> None:
    async with EngineHarness(hello(), scope=tmp_path) as harness:
        result = await harness.apply({"name": "$(whoami) world"})
        written = [path.read_text() for path in files_under(tmp_path, "greeting")]
        gone = await harness.destroy(result.handle)

    assert result.outcome == gone.outcome == diagnostic_pb2.OUTCOME_SUCCEEDED
    assert outputs_of(result)["file"].endswith("/files/greeting")
    assert written == ["hello $(whoami) world\n"]  # what people type is data and never code
    assert files_under(tmp_path, "greeting") == []


async def test_it_refuses_inputs_off_its_schema(tmp_path: Path) -> None:
    async with EngineHarness(hello(), scope=tmp_path) as harness:
        with pytest.raises(InvalidArgumentError) as caught:
            await harness.apply({"nam": "world"})

    assert caught.value.violations[0].description == "lacks name"


def test_it_is_about_twenty_lines() -> None:
    body = EXAMPLE.read_text().partition("class HelloEngine")[2].partition("if __name__")[0]

    assert sum(1 for line in body.splitlines() if line.strip() and '"""' not in line) <= 22


def test_it_is_what_the_page_for_authors_shows() -> None:
    page = (EXAMPLE.parents[1] / "docs" / "engines.md").read_text()

    assert EXAMPLE.read_text().partition('--help`."""\n\n')[2] in page
