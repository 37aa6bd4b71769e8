"""Rounds over switches in a store in memory: one bad record stops nobody, lost answers double nothing."""

from collections.abc import Sequence
from datetime import UTC, datetime

import pytest

from controlplane.catalog.changes import stamper
from controlplane.loops.switch_rounds import KEPT, SwitchRounds
from controlplane.switching import states
from controlplane.switching.machine import begin, enter
from controlplane.switching.records import Switch, origin
from enchain.chains.errors import UnsettledError
from enchain.chains.routes import whole
from enchain.process.clock import ManualClock
from enchain.state import keys
from enchain.state.codec import decode, encode
from enchain.state.faults import LosingStore
from enchain.state.memory import MemoryStore
from enchain.state.store import Put, Store, put
from enchain.v1 import chain_pb2
from enchain.v1.engine_pb2 import EngineInstance

OLD = "workloads/{}/chains/default@r1"
NEW = "workloads/{}/chains/other@r1"
NOW = datetime(2026, 1, 1, tzinfo=UTC)


class AllAnswer:
    """Takes every instance for healthy."""

    async def silent(self, instances: Sequence[EngineInstance]) -> frozenset[str]:
        del instances
        return frozenset()


def rounds(store: Store) -> SwitchRounds:
    return SwitchRounds(store, AllAnswer(), stamper(ManualClock(NOW)), "controlplanes/a")


async def converging(store: Store, workload: str, number: int = 1) -> str:
    """Put a switch that routers are waited for, and none is up; answer its key."""
    switch = Switch(name=f"workloads/{workload}/switches/{number:026d}", to=whole(NEW.format(workload)))
    origin(switch).CopyFrom(whole(OLD.format(workload)))
    begin(switch, NOW)
    for state in states.AT_ONCE[1:]:
        enter(switch, state, "", NOW)
    switch.to.chain_switch = switch.name
    key = keys.chain_switch(workload, f"{number:026d}")
    await put(store, [Put(key, encode(switch)), Put(keys.route(workload), encode(switch.to))])
    return key


async def read(store: Store, key: str) -> Switch:
    item = await store.get(key)
    assert item is not None
    return decode(Switch, item.value)


async def test_a_switch_goes_as_far_as_it_can_in_one_round(memory_store: MemoryStore) -> None:
    key = await converging(memory_store, "site")

    await rounds(memory_store).round([key])

    done = await read(memory_store, key)
    assert done.state == states.DONE
    assert {phase.leader for phase in done.phases} == {"", "controlplanes/a"}


async def test_what_is_wrong_with_one_switch_stops_no_other(memory_store: MemoryStore) -> None:
    broken = await converging(memory_store, "broken")
    key = await converging(memory_store, "site")
    await put(memory_store, [Put(keys.route("broken"), b"{")])

    await rounds(memory_store).round([broken, key])

    assert (await read(memory_store, broken)).state == states.CONVERGING
    assert (await read(memory_store, key)).state == states.DONE


async def test_a_step_whose_answer_was_lost_is_not_taken_twice(memory_store: MemoryStore) -> None:
    store = LosingStore(memory_store)
    key = await converging(store, "site")
    store.losing = 1

    with pytest.raises(UnsettledError):
        await rounds(store).round([key])
    await rounds(store).round([key])

    done = await read(store, key)
    assert [phase.state for phase in done.phases] == sorted({phase.state for phase in done.phases})
    assert done.state == states.DONE


async def test_of_two_that_have_not_moved_the_route_the_older_one_goes_on(memory_store: MemoryStore) -> None:
    found = []
    for number in (1, 2):
        switch = Switch(
            name=f"workloads/site/switches/{number:026d}",
            to=chain_pb2.Route(shares=whole(NEW.format("site")).shares),
        )
        begin(switch, NOW)
        key = keys.chain_switch("site", f"{number:026d}")
        await put(memory_store, [Put(key, encode(switch))])
        found.append(key)

    await rounds(memory_store).round(found)

    reasons = [(await read(memory_store, key)).rollback_reason.split(":")[0] for key in found]
    assert reasons == ["ROUTE_GONE", "SWITCH_RUNNING"]


async def test_the_oldest_records_are_deleted_where_there_are_too_many(memory_store: MemoryStore) -> None:
    for number in range(KEPT + 5):
        switch = Switch(name=f"workloads/site/switches/{number:026d}", state=states.DONE)
        await put(memory_store, [Put(keys.chain_switch("site", f"{number:026d}"), encode(switch))])
    key = await converging(memory_store, "site", KEPT + 5)

    await rounds(memory_store).round([key])

    left = [item.key for item in (await memory_store.list(keys.SWITCHES)).items]
    assert len(left) == KEPT
    assert left[-1] == key
