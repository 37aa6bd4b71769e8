"""A new chain that does worse is taken back by itself, with evidence in the record; an equal one stays."""

import asyncio
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from google.protobuf.duration_pb2 import Duration

from enchain.engine.v1 import engine_pb2 as protocol
from enchain.state.store import Store
from enchain.v1 import chain_pb2, diagnostic_pb2
from tests.harness.switching import Board, Switch, board
from tests.harness.waiting import eventually

WATCH = Duration(seconds=60)
"""Longer than any test takes."""


@pytest.fixture
async def site(store: Store, tmp_path: Path) -> AsyncIterator[Board]:
    """The site, with a history of 30 provisions on its old chain."""
    async with board(store, tmp_path) as made:
        for start in range(0, 30, 10):
            await asyncio.gather(*(made.provision(f"past-{start + n}", n) for n in range(10)))
        yield made


async def judged(site: Board, made: Switch) -> Switch:
    """Let requests arrive until the switch is rolled back; answer it."""
    stop = asyncio.Event()
    coming = asyncio.create_task(site.arriving(stop), name="new requests")
    try:
        return await site.until(made.name, Switch.STATE_ROLLED_BACK, within=30)
    finally:
        stop.set()
        site.after.gate.set()
        await coming


async def test_a_chain_that_fails_is_rolled_back_by_itself(site: Board) -> None:
    broken = protocol.StepResult(outcome=diagnostic_pb2.OUTCOME_FAILED_CLEAN)
    broken.diagnostics.add(code="BROKEN", summary="it is broken", severity=diagnostic_pb2.SEVERITY_ERROR)
    site.after.outcomes = [broken] * 2000

    ended = await judged(site, await site.switch(watch_timeout=WATCH, reason="to see"))

    sys.stdout.write(f"\n{ended.rollback_reason}\n")
    assert await site.routed_to() == site.old
    assert ended.rollback_reason.startswith("FAILS_MORE: ")
    evidence = ended.evidence
    assert (evidence.verdict, evidence.before.chain, evidence.after.chain) == (
        "FAILS_MORE", site.old, site.new,
    )  # fmt: skip
    assert evidence.before.operations == 30
    assert evidence.before.failures == 0
    assert evidence.after.failures == evidence.after.operations > 0


@pytest.mark.exhaustive
async def test_a_chain_on_which_requests_hang_is_rolled_back_by_itself(site: Board) -> None:
    site.after.gate.clear()

    ended = await judged(site, await site.switch(watch_timeout=WATCH))

    sys.stdout.write(f"\n{ended.rollback_reason}\n")
    assert await site.routed_to() == site.old
    assert ended.rollback_reason.startswith("SLOWER: ")
    # Whoever was on it goes on on it: nobody sees two chains.
    resource = await site.record("new-0")
    assert resource.chain == site.new


async def test_an_equal_chain_stays_and_the_evidence_says_so(site: Board) -> None:
    made = await site.switch(watch_timeout=Duration(seconds=4))
    stop = asyncio.Event()
    coming = asyncio.create_task(site.arriving(stop), name="new requests")

    ended = await site.until(made.name, within=30)
    stop.set()
    await coming

    assert (ended.state, ended.evidence.verdict) == (Switch.STATE_DONE, "NO_WORSE")
    assert await site.routed_to() == site.new
    retiring = next(each for each in ended.phases if each.state == Switch.STATE_RETIRING)
    assert retiring.start_time.ToNanoseconds() - ended.activate_time.ToNanoseconds() >= 4e9


@pytest.mark.exhaustive
async def test_a_worse_chain_that_a_person_pinned_stays(site: Board) -> None:
    site.after.gate.clear()
    made = await site.switch(watch_timeout=WATCH)
    await site.chains.PinRoute(chain_pb2.PinRouteRequest(name="workloads/site/route", reason="a demo"))
    stop = asyncio.Event()
    coming = asyncio.create_task(site.arriving(stop), name="new requests")

    async def worse() -> bool:
        return (await site.read(made.name)).evidence.verdict == "SLOWER"

    await eventually(worse, within=30)
    stop.set()
    site.after.gate.set()
    await coming

    assert await site.routed_to() == site.new
    assert (await site.read(made.name)).state == Switch.STATE_DRAINING
