"""Every engine that comes with enchain passes the suite, with its real tool, killed and drained on the way."""

from collections.abc import Callable
from pathlib import Path

import pytest

from enchain.engines.process.engine import ProcessEngine
from enchain.engines.script.engine import ScriptEngine
from enchain.engines.terraform.engine import TerraformEngine
from enchain.sdk.conformance.samples import read_file
from enchain.sdk.port import Engine
from examples.hello_engine import HelloEngine
from tests.conformance.engines.sdk_engines import ServedSdkEngine
from tests.conformance.engines.suite_runs import SAMPLES, broken, run_suite

ENGINES: dict[str, Callable[[], Engine]] = {
    "hello": HelloEngine,
    "process": ProcessEngine,
    "script": ScriptEngine,
    "terraform": TerraformEngine,
}


@pytest.mark.parametrize("name", ENGINES)
async def test_our_engine_passes_the_suite(name: str, tmp_path: Path) -> None:
    inputs = read_file(SAMPLES / f"{name}.yaml")

    async with ServedSdkEngine(ENGINES[name], tmp_path, inputs) as engine:
        report = await run_suite(engine.address, inputs, restart=engine.restart)

    assert broken(report) == []
