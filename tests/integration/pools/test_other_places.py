"""Instances with certificates of their own, and instances that a leader of another machine started."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from enchain.engine.v1 import engine_pb2, engine_pb2_grpc
from enchain.process.channels import open_channel
from enchain.state import keys
from enchain.state.codec import decode
from enchain.state.store import Store
from enchain.v1.engine_pb2 import EngineInstance
from tests.harness.certificates import issue, make_authority
from tests.harness.pools import launches, ready, save_engine, set_target, states
from tests.harness.waiting import eventually
from tests.integration.pools.conftest import Machine

PROCESS = ["enchain-engine-process"]
WITHIN = 60


@pytest.fixture
async def elsewhere(etcd: str, store: Store, tmp_path: Path) -> AsyncIterator[Machine]:
    """Another machine, as far as a folder of launches makes one."""
    machine = Machine(etcd, store, tmp_path / "elsewhere")
    yield machine
    await machine.close()


async def registered(store: Store) -> list[EngineInstance]:
    items = (await store.list(f"{keys.INSTANCES}process/")).items
    return [decode(EngineInstance, item.value) for item in items]


async def test_instances_show_the_certificate_that_was_laid_out_for_their_engine(
    machine: Machine, tmp_path: Path
) -> None:
    authority = make_authority(tmp_path / "authority")
    own, caller = issue(authority, "process"), issue(authority, "router")
    await save_engine(machine.store, PROCESS, name="process", least=1)

    machine.lead(
        ENCHAIN_LAUNCH_TLS_CERT=str(own.certificate).replace("process", "{engine}"),
        ENCHAIN_LAUNCH_TLS_KEY=str(own.key).replace("process", "{engine}"),
        ENCHAIN_LAUNCH_TLS_CA=str(own.authority),
    )

    (instance,) = await eventually(lambda: registered(machine.store), within=WITHIN)
    async with open_channel(instance.address, tls=caller) as channel:
        stub = engine_pb2_grpc.ProvisioningEngineStub(channel)
        answer = await stub.Handshake(engine_pb2.HandshakeRequest(), timeout=10)
    assert answer.instance.name == instance.name


async def test_what_a_leader_of_another_machine_started_counts_and_is_asked_to_drain(
    machine: Machine, elsewhere: Machine
) -> None:
    await save_engine(machine.store, PROCESS, name="process")
    await set_target(machine.store, 2, engine="process")
    first = elsewhere.lead()

    async def there() -> bool:
        return await states(machine.store, "process") == ["READY"] * 2

    await eventually(there, within=WITHIN)
    await first.stop()
    before = elsewhere.programs.running()
    version = (await launches(machine.store, "process"))[0].version

    machine.lead()
    await set_target(machine.store, 1, engine="process", version=version)

    async def one_drains() -> bool:
        told = sorted(EngineInstance.State.Name(each.state) for each in await registered(machine.store))
        return told == ["STATE_DRAINING", "STATE_READY"]

    await eventually(one_drains, within=WITHIN)
    assert elsewhere.programs.running() == before, "only its own machine can end it"
    assert machine.programs.running() == {}, "it counts, so that none is started here"
    assert sorted(await states(machine.store, "process")) == ["DRAINING", "READY"]


async def test_a_leader_that_comes_back_to_its_machine_ends_what_was_drained_meanwhile(
    machine: Machine, elsewhere: Machine
) -> None:
    await save_engine(machine.store, PROCESS, name="process", least=1)
    first = elsewhere.lead()
    await eventually(lambda: ready(machine.store, "process"), within=WITHIN)

    async def known() -> bool:
        return await states(machine.store, "process") == ["READY"]

    await eventually(known, within=WITHIN)
    await first.stop()
    await save_engine(machine.store, PROCESS, name="process", least=0)
    second = machine.lead()

    async def drains() -> bool:
        return await states(machine.store, "process") == ["DRAINING"]

    await eventually(drains, within=WITHIN)
    await second.stop()
    elsewhere.lead()

    async def ended() -> bool:
        return await states(machine.store, "process") == ["ENDED"] and not elsewhere.programs.running()

    await eventually(ended, within=WITHIN)
