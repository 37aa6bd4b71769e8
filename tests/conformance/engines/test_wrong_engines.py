"""Every check finds the engine that breaks its rule, and nothing wrong with the one that breaks none."""

import pytest

from enchain.sdk.conformance import suite
from enchain.sdk.conformance.samples import read_file
from tests.conformance.engines.half_wrong_engines import VARIANTS
from tests.conformance.engines.memory_engine import ALL, MemoryEngine
from tests.conformance.engines.suite_runs import SAMPLES, broken, run_suite
from tests.conformance.engines.wrong_engines import ServedEngine

INPUTS = read_file(SAMPLES / "memory.yaml")
NO_CAPABILITIES = "missing-capability-is-refused"


async def test_an_engine_without_fault_passes_every_check() -> None:
    async with ServedEngine() as engine:
        report = await run_suite(engine.address, INPUTS, restart=engine.restart)

    assert broken(report) == []
    assert [verdict.name for verdict in report.checks if verdict.status == "skipped"] == [NO_CAPABILITIES]


async def test_an_engine_that_declares_nothing_passes_what_applies_to_it() -> None:
    async with ServedEngine(capabilities=()) as engine:
        report = await run_suite(engine.address, INPUTS, restart=engine.restart)

    assert broken(report) == []
    assert NO_CAPABILITIES in [verdict.name for verdict in report.checks if verdict.status == "passed"]


@pytest.mark.parametrize("name", [check.name for check in suite.CHECKS])
async def test_a_check_finds_the_engine_that_breaks_its_rule(name: str) -> None:
    served = ServedEngine(name, ()) if name == NO_CAPABILITIES else ServedEngine(name)
    async with served as engine:
        report = await run_suite(engine.address, INPUTS, restart=engine.restart, only=[name])

    assert [(verdict.name, verdict.status) for verdict in report.checks] == [(name, "failed")]


@pytest.mark.parametrize(("name", "kind"), VARIANTS)
async def test_a_check_finds_the_engine_that_breaks_half_its_rule(
    name: str, kind: type[MemoryEngine]
) -> None:
    capabilities = () if name == NO_CAPABILITIES else ALL
    async with ServedEngine(capabilities=capabilities, kind=kind) as engine:
        report = await run_suite(engine.address, INPUTS, only=[name])

    assert [(verdict.name, verdict.status) for verdict in report.checks] == [(name, "failed")]
