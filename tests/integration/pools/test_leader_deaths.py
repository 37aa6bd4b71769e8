"""A leader is killed while it launches real engine servers: another replica of the machine finishes."""

from collections.abc import Awaitable, Callable

import pytest

from enchain.state.store import Store
from tests.harness.pools import launches, pools, ready, save_engine, states
from tests.harness.replicas import Replica, Replicas, leading
from tests.harness.waiting import eventually
from tests.integration.pools.conftest import Machine

COUNT = 3
WITHIN = 60


async def pair(replicas: Replicas, store: Store) -> tuple[Replica, Replica]:
    """Start two, of which the first leads."""
    first = await replicas.start("one")
    await eventually(lambda: _leads(store, first), within=WITHIN)
    second = await replicas.start("two")
    await eventually(lambda: second.said("serving"), within=WITHIN)
    return first, second


async def _leads(store: Store, replica: Replica) -> bool:
    return await leading(store) == replica.name


async def _recorded(machine: Machine) -> bool:
    return bool(await launches(machine.store, "process"))


async def _running(machine: Machine) -> bool:
    return bool(machine.programs.running())


async def _told(machine: Machine) -> bool:
    return bool(await ready(machine.store, "process"))


async def _known(machine: Machine) -> bool:
    return any(record.HasField("current_since") for record in (await pools(machine.store)).values())


async def _others_recorded(machine: Machine) -> bool:
    return len(await launches(machine.store, "process")) > 1


MOMENTS = {
    "its first launch is written down": _recorded,
    "its first instance runs": _running,
    "its first instance is registered": _told,
    "the version is known": _known,
    "the other launches are written down": _others_recorded,
}


ONE = "its first instance is registered"


@pytest.mark.parametrize(
    "moment",
    [
        pytest.param(moment, id=name, marks=() if name == ONE else pytest.mark.exhaustive)
        for name, moment in MOMENTS.items()
    ],
)
async def test_another_replica_finishes_what_a_killed_leader_began(
    machine: Machine, replicas: Replicas, moment: Callable[[Machine], Awaitable[bool]]
) -> None:
    first, second = await pair(replicas, machine.store)
    await save_engine(machine.store, ["enchain-engine-process"], name="process", least=COUNT)
    await eventually(lambda: moment(machine), within=WITHIN)

    await first.kill()

    async def finished() -> bool:
        assert await states(machine.store, "process") == ["READY"] * COUNT, "none double, none given up"
        return sorted(machine.programs.running()) == sorted(await ready(machine.store, "process"))

    await eventually(finished, within=WITHIN)
    assert await leading(machine.store) == second.name
    folders = [each.name for each in machine.programs._root.iterdir() if each.is_dir()]
    assert sorted(folders) == sorted(machine.programs.running()), "nothing was started that is not there"


async def test_another_replica_finishes_what_a_killed_leader_was_ending(
    machine: Machine, replicas: Replicas
) -> None:
    first, _ = await pair(replicas, machine.store)
    await save_engine(machine.store, ["enchain-engine-process"], name="process", least=COUNT)

    async def there() -> bool:
        return await states(machine.store, "process") == ["READY"] * COUNT

    await eventually(there, within=WITHIN)
    await save_engine(machine.store, ["enchain-engine-process"], name="process", least=1)

    async def draining() -> bool:
        return "READY" in (told := await states(machine.store, "process")) and len(set(told)) > 1

    await eventually(draining, within=WITHIN)
    await first.kill()

    async def ended() -> bool:
        assert sorted(await states(machine.store, "process")) == ["ENDED", "ENDED", "READY"]
        return sorted(machine.programs.running()) == sorted(await ready(machine.store, "process"))

    await eventually(ended, within=WITHIN)
