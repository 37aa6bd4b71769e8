"""A leader keeps pools of real engine servers on real etcd."""

import os
import signal
import sys

import pytest

from controlplane.loops.pools import WATCH_SECONDS
from enchain.engine.v1 import engine_pb2, engine_pb2_grpc
from enchain.process.channels import open_channel
from enchain.state import keys
from enchain.state.codec import decode
from enchain.v1.engine_pb2 import EngineInstance
from tests.harness.pools import launches, pools, ready, save_engine, set_target, states
from tests.harness.waiting import eventually
from tests.integration.pools.conftest import Machine

PROCESS = ["enchain-engine-process"]
WITHIN = 60
"""Seconds in which instances come and go, with much to spare."""


async def come(machine: Machine, count: int, engine: str = "process") -> None:
    """Wait until exactly so many instances are ready, and run, and are recorded so."""

    async def come() -> bool:
        told = await ready(machine.store, engine)
        recorded = [s for s in await states(machine.store, engine) if s not in {"ENDED", "FAILED"}]
        assert (len(told), recorded) == (count, ["READY"] * count)
        return sorted(machine.programs.running()) == sorted(told)

    await eventually(come, within=WITHIN)


async def test_from_none_to_three_to_one(machine: Machine) -> None:
    await save_engine(machine.store, PROCESS, name="process")
    await set_target(machine.store, 0, engine="process")
    machine.lead()
    assert await states(machine.store, "process") == []

    await set_target(machine.store, 3, engine="process")
    await come(machine, 3)
    version, record = next(iter((await pools(machine.store)).items()))
    assert record.HasField("current_since")
    scopes = {each.scope for each in await registered(machine)}
    assert len(scopes) == 1, "instances of an engine share one state scope"

    await set_target(machine.store, 1, engine="process", version=version.partition("@")[2])
    await come(machine, 1)
    ended = [each for each in await launches(machine.store, "process") if each.reason]
    assert {each.reason for each in ended} == {"SURPLUS"}


async def registered(machine: Machine) -> list[EngineInstance]:
    items = (await machine.store.list(f"{keys.INSTANCES}process/")).items
    return [decode(EngineInstance, item.value) for item in items]


async def test_an_instance_that_is_killed_is_replaced(machine: Machine) -> None:
    await save_engine(machine.store, PROCESS, name="process", least=2)
    machine.lead()
    await come(machine, 2)
    before = machine.programs.running()
    victim = min(before)

    os.kill(before[victim], signal.SIGKILL)

    await eventually(lambda: victim not in machine.programs.running())
    await come(machine, 2)
    assert victim not in machine.programs.running()
    died = next(each for each in await launches(machine.store, "process") if each.name.endswith(victim))
    assert (died.reason, died.place) == ("DIED", f"pid {before[victim]}")


async def test_instances_outlive_their_leader_and_are_found_by_the_next(machine: Machine) -> None:
    await save_engine(machine.store, PROCESS, name="process", least=2)
    leader = machine.lead()
    await come(machine, 2)
    before = machine.programs.running()

    await leader.stop()
    assert machine.programs.running() == before
    machine.lead()
    await set_target(machine.store, 3, engine="process", version=next(iter(await pools(machine.store)))[8:])

    await come(machine, 3)
    assert before.items() <= machine.programs.running().items()


async def test_an_instance_that_somebody_drains_is_replaced_and_ended(machine: Machine) -> None:
    await save_engine(machine.store, PROCESS, name="process", least=1)
    machine.lead()
    await come(machine, 1)
    (drained,) = machine.programs.running()
    address = (await registered(machine))[0].address

    async with open_channel(address) as channel:
        await engine_pb2_grpc.ProvisioningEngineStub(channel).Drain(engine_pb2.DrainRequest(reason="a test"))

    await eventually(lambda: drained not in machine.programs.running(), within=WITHIN)
    await come(machine, 1)


BAD = {
    "there is no such program": (["enchain-no-such-engine"], "COMMAND_NOT_FOUND", "there is no program"),
    "it ends at once": (
        [sys.executable, "-c", "import sys; sys.exit('the licence is missing')"],
        "ENDED",
        "the licence is missing",
    ),
}


@pytest.mark.parametrize(("command", "reason", "words"), BAD.values(), ids=BAD)
async def test_a_command_that_cannot_start_is_told_and_backs_off_and_holds_up_no_other(
    machine: Machine, command: list[str], reason: str, words: str
) -> None:
    await save_engine(machine.store, command, name="broken", least=2)
    await save_engine(machine.store, PROCESS, name="process", least=1)
    machine.lead()

    await come(machine, 1)
    await eventually(lambda: _failed(machine, 2), within=WITHIN)

    told = await launches(machine.store, "broken")
    assert {each.reason for each in told if each.reason} == {reason}
    assert words in told[0].description
    assert [each.attempts for each in told[:2]] == [1, 2], "one after the other"


async def _failed(machine: Machine, count: int) -> bool:
    return (await states(machine.store, "broken")).count("FAILED") >= count


@pytest.mark.exhaustive
async def test_a_command_that_hangs_is_killed_when_its_time_is_over(machine: Machine) -> None:
    program = "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); signal.pause()"
    await save_engine(machine.store, [sys.executable, "-c", program], name="broken", least=1)
    machine.lead()
    await eventually(machine.programs.running, within=WITHIN)
    (hanging,) = machine.programs.running()

    await eventually(lambda: _failed(machine, 1), within=WITHIN)

    await eventually(lambda: hanging not in machine.programs.running(), within=WITHIN)
    failed = (await launches(machine.store, "broken"))[0]
    assert (failed.reason, failed.name[-26:]) == ("NOT_READY_IN_TIME", hanging)


@pytest.mark.exhaustive
async def test_a_command_that_starts_another_engine_is_told(machine: Machine) -> None:
    await save_engine(machine.store, PROCESS, name="broken", least=1)
    machine.lead()

    await eventually(lambda: _failed(machine, 1), within=WITHIN)

    failed = (await launches(machine.store, "broken"))[0]
    assert failed.reason == "WRONG_ENGINE"
    assert "engine process" in failed.description


def test_what_dies_is_looked_for_more_often_than_leases_end() -> None:
    assert WATCH_SECONDS < 3
