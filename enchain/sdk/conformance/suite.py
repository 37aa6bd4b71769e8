"""The suite: every check in order, each with its verdict. `main` calls it, and so may a test of an engine.

A check that fails stops no other. What checks made is destroyed after each, and what they share at the end.
"""

import asyncio
from collections.abc import Callable, Sequence

from enchain.chains.errors import EnchainError
from enchain.process.clock import Clock
from enchain.sdk.conformance import (
    ending,
    fencing,
    joining,
    looking,
    refusing,
    streaming,
    surviving,
    tolerating,
)
from enchain.sdk.conformance.calling import Caller, RefusedError
from enchain.sdk.conformance.catalogue import Check, CheckFailedError, SkippedError, require
from enchain.sdk.conformance.probe import Options, Probe
from enchain.sdk.conformance.report import FAILED, PASSED, SKIPPED, Report, Verdict
from enchain.sdk.conformance.samples import SuiteInputs
from enchain.v1 import engine_pb2

CHECKS: tuple[Check, ...] = tuple(
    check
    for group in (looking, refusing, streaming, joining, fencing, ending, tolerating, surviving)
    for check in group.CHECKS
)
"""All checks, in the order in which they run."""

REACH_SECONDS = 10.0
"""How long the suite tries to reach the engine server at first."""


async def run(
    caller: Caller,
    inputs: SuiteInputs,
    options: Options,
    *,
    clock: Clock,
    new_id: Callable[[], str],
    only: Sequence[str] = (),
    tell: Callable[[Verdict], None] = lambda _: None,
) -> Report:
    """Run the checks, or only those named, and answer the report.

    `new_id` makes ids that nobody has used before; `tell` is told every verdict as soon as it is known.
    """
    probe = Probe(caller, inputs, options, clock=clock, new_id=new_id)
    report = Report(started=clock.now())
    fault = await _first_fault(probe)
    report.describe(probe.instance)
    for check in CHECKS:
        if only and check.name not in only:
            continue
        if check.drains:
            await probe.clean_up(everything=True)  # nothing can be destroyed any more after it
        begin = clock.monotonic()
        status, why = await _judge(probe, check, fault)
        if not check.drains:
            await probe.clean_up()
        verdict = Verdict(check.name, check.rule, status, _scrubbed(why, inputs), clock.monotonic() - begin)
        report.checks.append(verdict)
        tell(verdict)
    await probe.clean_up(everything=True)
    report.left_behind = probe.left_behind
    return report


async def _first_fault(probe: Probe) -> str:
    """Shake hands before all else; answer why that cannot be done, or nothing."""
    patience = min(REACH_SECONDS, probe.options.timeout_seconds)
    try:
        async with asyncio.timeout(patience):
            await probe.shake_hands()
    except RefusedError as error:
        return str(error)
    except TimeoutError:
        return f"the engine server could not be reached within {patience:g} s"
    return ""


async def _judge(probe: Probe, check: Check, fault: str) -> tuple[str, str]:
    """Run one check; answer status and reason."""
    try:
        require(not fault, fault)
        _skip_inapplicable(probe, check)
        async with asyncio.timeout(probe.options.timeout_seconds):
            await check.body(probe)
    except SkippedError as error:
        return SKIPPED, str(error)
    except (CheckFailedError, RefusedError, EnchainError) as error:
        return FAILED, str(error)
    except TimeoutError:
        return FAILED, f"it was not through after {probe.options.timeout_seconds:g} s"
    except Exception as error:  # noqa: BLE001 - an engine may answer what no check has thought of
        return FAILED, f"the check broke with {type(error).__name__}: {error}"
    return PASSED, ""


def _skip_inapplicable(probe: Probe, check: Check) -> None:
    """Skip a check that does not apply."""
    if check.capability is not None and not probe.can(check.capability):
        raise SkippedError(f"the engine does not declare {engine_pb2.Capability.Name(check.capability)}")
    if missing := [name for name in check.needs if name not in probe.inputs.samples]:
        raise SkippedError(f"the suite inputs have no sample `{missing[0]}`")
    if check.restarts and probe.options.restart is None:
        raise SkippedError("the suite was not told how to kill the engine server and have it again")
    if check.drains and not probe.options.drain:
        raise SkippedError("the engine server is not to be drained")


def _scrubbed(why: str, inputs: SuiteInputs) -> str:
    """Keep the secret out of the report."""
    for sample in inputs.samples.values():
        if sample.secret:
            why = why.replace(sample.secret, "•••")
    return why
