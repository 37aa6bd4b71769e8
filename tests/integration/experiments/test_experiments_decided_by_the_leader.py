"""The leader's loop decides experiments on live requests: real routers, engines, etcd and control plane."""

import asyncio
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from enchain.state import keys
from enchain.state.codec import decode
from enchain.state.store import Store
from enchain.v1 import chain_pb2, experiment_pb2, presence_pb2
from tests.harness.sites_on_trial import NAME, Experiment, broken, site_on_trial, started, two_arms
from tests.harness.switching import ROUTE, Board, Switch
from tests.harness.waiting import eventually

FAILURES = 4000
"""More than any test has requests."""


@pytest.fixture
async def site(store: Store, tmp_path: Path) -> AsyncIterator[tuple[Board, Any]]:
    async with site_on_trial(store, tmp_path) as made:
        yield made


async def read(stub: Any) -> Experiment:
    answer: Experiment = await stub.GetExperiment(experiment_pb2.GetExperimentRequest(name=NAME))
    return answer


async def concluded(board: Board, stub: Any, within: float = 60) -> Experiment:
    """Let requests arrive until the experiment is concluded; answer it."""
    stop = asyncio.Event()
    coming = asyncio.create_task(board.arriving(stop), name="requests")

    async def check() -> list[Experiment]:
        found = await read(stub)
        return [found] if found.state == Experiment.STATE_CONCLUDED else []

    try:
        return (await eventually(check, within=within))[0]
    finally:
        stop.set()
        await coming


async def test_an_arm_that_fails_is_rolled_back(site: tuple[Board, Any]) -> None:
    board, stub = site
    board.after.outcomes = [broken()] * FAILURES
    await started(stub, two_arms([board.old, board.new]))

    ended = await concluded(board, stub)

    sys.stdout.write(f"\n{ended.conclusion.description}\n")
    assert (ended.conclusion.reason, ended.conclusion.winner) == ("GUARDRAIL", "control")
    assert "rival" in ended.conclusion.description
    assert not ended.conclusion.chain_switch
    assert ended.conclusion.evidence.verdict == experiment_pb2.ExperimentAnalysis.VERDICT_HARMFUL
    assert (ended.history[-1].kind, ended.history[-1].actor.subject) == ("CONCLUDED", "enchain")
    assert (ended.history[-1].description, ended.history[-1].evidence) == (ended.conclusion.description, "")
    after = [await board.provision(f"after-{number}") for number in range(5)]
    assert {each.chain for each in after} == {board.old}, "nobody is sent to the arm that failed"
    route = await board.chains.GetRoute(chain_pb2.GetRouteRequest(name=ROUTE))
    assert not route.experiments


async def test_a_better_arm_is_promoted_by_a_switch(site: tuple[Board, Any], store: Store) -> None:
    board, stub = site
    board.before.outcomes = [broken()] * FAILURES
    agreed = two_arms([board.old, board.new], on_conclusion=Experiment.ON_CONCLUSION_PROMOTE)
    await started(stub, agreed)

    ended = await concluded(board, stub)

    async def promoted() -> str:
        return (await read(stub)).conclusion.chain_switch

    name = await eventually(promoted, within=20)
    sys.stdout.write(f"\n{ended.conclusion.description}\n")
    assert (ended.conclusion.reason, ended.conclusion.winner) == ("GOAL", "rival")
    switch = await board.until(name, Switch.STATE_DONE)
    assert NAME in switch.reason
    assert await board.routed_to() == board.new
    audited = [decode(presence_pb2.AuditRecord, item.value) for item in (await store.list(keys.AUDIT)).items]
    loops = [each.target for each in audited if each.method == "controlplane.loops/ExperimentsLoop"]
    assert {NAME, ROUTE} <= set(loops)


async def test_a_ramp_climbs_while_no_guardrail_stands_against_it(site: tuple[Board, Any]) -> None:
    board, stub = site
    ramp = experiment_pb2.Ramp(steps=[40, 60, 100], operations=3)
    ramp.hold.FromMilliseconds(1)
    begun = await started(stub, two_arms([board.old, board.new], ramp=ramp))
    stop = asyncio.Event()
    coming = asyncio.create_task(board.arriving(stop), name="requests")

    async def whole() -> bool:
        return (await read(stub)).phases[-1].coverage == 100

    try:
        await eventually(whole, within=60)
    finally:
        stop.set()
        await coming

    made = await read(stub)
    assert begun.phases[0].coverage == 40
    assert [each.kind for each in made.history] == ["CREATED", "STARTED", "COVERAGE", "COVERAGE"]
    assert len(made.phases) == 1
    looks = await stub.GetAnalysis(experiment_pb2.GetAnalysisRequest(name=NAME, looks=True))
    assert looks.looks


async def test_a_promotion_that_cannot_be_begun_is_tried_until_it_can(site: tuple[Board, Any]) -> None:
    board, stub = site
    await started(stub, two_arms([board.old, board.new]))
    await board.chains.PinRoute(chain_pb2.PinRouteRequest(name=ROUTE, reason="audit"))
    ended = await stub.ConcludeExperiment(
        experiment_pb2.ConcludeExperimentRequest(name=NAME, winner="rival", promote=True)
    )

    await board.chains.UnpinRoute(chain_pb2.UnpinRouteRequest(name=ROUTE))

    async def promoted() -> bool:
        return await board.routed_to() == board.new and bool((await read(stub)).conclusion.chain_switch)

    await eventually(promoted, within=20)
    assert ended.conclusion.promotion_pending
    assert "pinned" in ended.conclusion.promotion_fault
    assert not (await read(stub)).conclusion.promotion_fault
