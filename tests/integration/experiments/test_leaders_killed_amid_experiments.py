"""Leaders are killed with SIGKILL amid experiments: another replica decides them, and decides them once."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from enchain.chains.decision_names import ExperimentName
from enchain.state import keys
from enchain.state.codec import decode
from enchain.state.store import Store
from enchain.v1 import chain_pb2, experiment_pb2, presence_pb2
from tests.harness.replicas import Replica, Replicas, leading
from tests.harness.sites_on_trial import NAME, Experiment, broken, site_on_trial, started, two_arms
from tests.harness.switching import ROUTE, Board, Switch
from tests.harness.waiting import eventually

WITHIN = 60
NAMES = ("one", "two")


@asynccontextmanager
async def nobody(store: Store) -> AsyncIterator[None]:
    """Whoever leads is a process of its own."""
    del store
    yield


@pytest.fixture
async def site(store: Store, tmp_path: Path) -> AsyncIterator[tuple[Board, Any]]:
    async with site_on_trial(store, tmp_path, leader=nobody) as made:
        yield made


@pytest.fixture
async def running(replicas: Replicas) -> dict[str, Replica]:
    return {name: await replicas.start(name) for name in NAMES}


async def kill_leader(store: Store, running: dict[str, Replica]) -> None:
    """Kill whoever leads; the other one is left."""
    leader = await eventually(partial(leading, store), within=WITHIN)
    await running.pop(leader).kill()


async def read(stub: Any) -> Experiment:
    answer: Experiment = await stub.GetExperiment(experiment_pb2.GetExperimentRequest(name=NAME))
    return answer


async def counted(store: Store) -> int:
    """How many outcomes of the rival were folded."""
    name = ExperimentName.parse(NAME)
    key = f"{keys.experiment_statistics_of(name.workload)}{name.experiment}.1.rival"
    item = await store.get(key)
    return decode(experiment_pb2.ArmStatistics, item.value).operations if item is not None else 0


async def conclusions(store: Store) -> int:
    """How many audited changes of the experiment ended it."""
    records = [decode(presence_pb2.AuditRecord, item.value) for item in (await store.list(keys.AUDIT)).items]
    return sum(
        each.target == NAME
        and each.before["state"] == "STATE_RUNNING"
        and each.after["state"] == "STATE_CONCLUDED"
        for each in records
        if "state" in each.before and "state" in each.after
    )


async def test_the_next_leader_rolls_back_what_the_killed_one_saw_beginning_to_fail(
    site: tuple[Board, Any], running: dict[str, Replica], store: Store
) -> None:
    board, stub = site
    board.after.outcomes = [broken()] * 4000
    await eventually(partial(leading, store), within=WITHIN)
    await started(stub, two_arms([board.old, board.new]))
    stop = asyncio.Event()
    coming = asyncio.create_task(board.arriving(stop), name="requests")

    async def concluded() -> bool:
        return (await read(stub)).state == Experiment.STATE_CONCLUDED

    try:
        await eventually(partial(counted, store), within=WITHIN)
        await kill_leader(store, running)
        await eventually(concluded, within=WITHIN)
    finally:
        stop.set()
        await coming

    ended = await read(stub)
    assert (ended.conclusion.reason, ended.conclusion.winner) == ("GUARDRAIL", "control")
    assert await conclusions(store) == 1
    assert [each.kind for each in ended.history] == ["CREATED", "STARTED", "CONCLUDED"]


async def test_the_next_leader_begins_the_switch_that_the_killed_one_could_not(
    site: tuple[Board, Any], running: dict[str, Replica], store: Store
) -> None:
    board, stub = site
    await started(stub, two_arms([board.old, board.new]))
    await board.chains.PinRoute(chain_pb2.PinRouteRequest(name=ROUTE, reason="audit"))
    await stub.ConcludeExperiment(
        experiment_pb2.ConcludeExperimentRequest(name=NAME, winner="rival", promote=True)
    )
    await kill_leader(store, running)
    await board.chains.UnpinRoute(chain_pb2.UnpinRouteRequest(name=ROUTE))

    async def promoted() -> str:
        return (await read(stub)).conclusion.chain_switch

    name = await eventually(promoted, within=WITHIN)
    made = await board.until(name, Switch.STATE_DONE)

    switches = await board.chains.ListChainSwitches(
        chain_pb2.ListChainSwitchesRequest(parent="workloads/site")
    )
    assert [each.name for each in switches.chain_switches] == [made.name]
    assert await board.routed_to() == board.new
