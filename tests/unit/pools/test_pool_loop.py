"""The loop that keeps pools, over the memory store and the memory launcher: what rules alone cannot show."""

from collections.abc import AsyncIterator

import pytest

from controlplane.loops.pool_deeds import CALL_SECONDS
from controlplane.profiles.sketch import Sketch
from controlplane.switching.launch_states import Patience
from enchain.chains.errors import PreconditionError, UnavailableError
from enchain.process.clock import ManualClock
from enchain.state import keys
from enchain.state.codec import decode, encode
from enchain.state.faults import PassingStore
from enchain.state.memory import MemoryStore
from enchain.state.store import Put, Store, Txn, TxnResult, put
from enchain.v1.chain_pb2 import Chain, ChainStep, Route, RouteShare
from enchain.v1.learned_pb2 import StartStatistics
from enchain.v1.operation_pb2 import ActiveOperation
from enchain.v1.pool_pb2 import Pool
from tests.harness.pools import Leader, MemoryPlace, launches, pools, ready, save_engine, set_target, states
from tests.harness.waiting import eventually


class Hall:
    """A store, a place, and a leader over both."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.clock = ManualClock()
        self.place = MemoryPlace(store)
        self.leader = Leader(store, self.place, patience=Patience(), clock=self.clock)

    def lead(self) -> None:
        """Begin a term."""
        self.leader.start()

    async def comes(self, **expected: object) -> None:
        """Let time pass until what is expected has come."""

        async def come() -> bool:
            self.leader.check()
            self.clock.advance(0.5)
            found = {
                "states": await states(self.store),
                "ready": len(await ready(self.store)),
                "pools": {name: each.target for name, each in (await pools(self.store)).items()},
            }
            assert {name: found[name] for name in expected} == expected
            return True

        await eventually(come)


@pytest.fixture
async def hall(memory_store: MemoryStore) -> AsyncIterator[Hall]:
    """A hall whose leader does not lead yet."""
    hall = Hall(memory_store)
    yield hall
    await hall.leader.stop()


async def test_an_engine_that_keeps_two_has_two_and_its_version_is_found(hall: Hall) -> None:
    await save_engine(hall.store, ["tool-server"], least=2)
    hall.lead()

    await hall.comes(states=["READY", "READY"], ready=2, pools={"tool@1.0": 0})

    assert (await pools(hall.store))["tool@1.0"].HasField("current_since")
    assert len(hall.place.places.started) == 2


async def test_scaling_up_and_down_and_up(hall: Hall) -> None:
    await save_engine(hall.store, ["tool-server"])
    await set_target(hall.store, 3)
    hall.lead()
    await hall.comes(states=["READY"] * 3, ready=3, pools={"tool@1.0": 3})

    await set_target(hall.store, 1, version="1.0")
    await hall.comes(states=["READY", "ENDED", "ENDED"], ready=1)
    await set_target(hall.store, 0, version="1.0")
    await hall.comes(states=["ENDED"] * 3, ready=0)
    await set_target(hall.store, 2, version="1.0")
    await hall.comes(states=["ENDED"] * 3 + ["READY"] * 2, ready=2)


async def test_starts_are_counted_once_in_what_is_learned(hall: Hall) -> None:
    await save_engine(hall.store, ["tool-server"])
    await set_target(hall.store, 3)
    hall.lead()
    await hall.comes(ready=3, states=["READY"] * 3)

    item = await hall.store.get(keys.starts("tool", "1.0"))
    assert item is not None
    statistics = decode(StartStatistics, item.value)
    assert statistics.count == 3
    assert Sketch.of(statistics.durations).message().weight == 3


async def test_what_dies_is_replaced_before_its_lease_ends(hall: Hall) -> None:
    await save_engine(hall.store, ["tool-server"])
    await set_target(hall.store, 1)
    hall.lead()
    await hall.comes(states=["READY"])

    hall.place.places.die(hall.place.places.started[0])

    await hall.comes(states=["ENDED", "READY"])
    assert (await launches(hall.store))[0].reason == "DIED"


async def test_a_launcher_that_hangs_for_one_engine_holds_up_no_other(hall: Hall) -> None:
    for name in ("slow", "tool"):
        await save_engine(hall.store, ["a-server"], name=name, least=1)
    hall.place.places.hanging.add("slow")
    hall.lead()

    await hall.comes(states=["READY"], ready=1)
    assert await states(hall.store, "slow") == ["STARTING"]

    async def given_up() -> bool:
        hall.clock.advance(CALL_SECONDS / 4)
        return (await states(hall.store, "slow"))[0] == "FAILED"

    await eventually(given_up)
    failed = (await launches(hall.store, "slow"))[0]
    assert (failed.reason, "has not answered" in failed.description) == ("LAUNCHER_SILENT", True)
    assert await states(hall.store) == ["READY"]


async def test_a_launcher_that_says_nothing_at_all_is_waited_for(hall: Hall) -> None:
    await save_engine(hall.store, ["tool-server"])
    await set_target(hall.store, 1)
    hall.place.places.silent = True
    hall.lead()
    for _ in range(40):
        hall.clock.advance(1)
        await hall.clock.asleep()
    assert await states(hall.store) == []

    hall.place.places.silent = False

    await hall.comes(states=["READY"])


@pytest.mark.parametrize("final", [True, False])
async def test_a_refusal_is_told_and_what_may_be_mended_is_tried_again(hall: Hall, final: bool) -> None:
    await save_engine(hall.store, ["tool-server"])
    await set_target(hall.store, 1)
    kind = PreconditionError if final else UnavailableError
    hall.place.places.refusals["tool"] = kind("no room", reason="FULL", remedy="Make room.")
    hall.lead()

    if final:
        await hall.comes(states=["FAILED", "FAILED"])
        told = (await launches(hall.store))[0]
        assert (told.reason, told.description) == ("FULL", "no room. Make room.")
    else:
        await hall.comes(states=["STARTING"])
    hall.place.places.refusals.clear()

    await hall.comes(ready=1)


async def test_the_next_leader_goes_on_with_what_the_last_one_wrote(hall: Hall) -> None:
    """It died between the record and the start: the next one finds the record, and starts that one."""
    await save_engine(hall.store, ["tool-server"])
    await set_target(hall.store, 1)
    hall.place.places.hanging.add("tool")
    hall.lead()
    await hall.comes(states=["STARTING"])
    await hall.leader.stop()

    hall.place.places.hanging.clear()
    hall.lead()

    await hall.comes(states=["READY"])
    assert len(hall.place.places.started) == 1


async def test_the_next_leader_finds_what_the_last_one_started(hall: Hall) -> None:
    """It died between the start and seeing it: nothing is started twice."""
    await save_engine(hall.store, ["tool-server"])
    await set_target(hall.store, 1)
    hall.place.mute.add("tool")
    hall.lead()
    await hall.comes(states=["STARTING"])
    await eventually(lambda: hall.place.places.started)
    await hall.leader.stop()

    hall.lead()
    await hall.place.register("tool", hall.place.places.started[0])

    await hall.comes(states=["READY"])
    assert len(hall.place.places.started) == 1


class LateAnswers(PassingStore):
    """A store whose answers to launches are lost, after or before they were carried out."""

    def __init__(self, store: Store, *, done: bool) -> None:
        super().__init__(store)
        self._done = done
        self._late: list[Txn] = []
        self.lost = 0

    async def commit(self, txn: Txn) -> TxnResult:
        from enchain.chains.errors import UnsettledError

        begins = any(c.equals == 0 and c.key.startswith(keys.LAUNCHES) for c in txn.compares)
        if not begins or self.lost >= 2:
            return await super().commit(txn)
        self.lost += 1
        if self._done:
            await super().commit(txn)
        else:
            self._late.append(txn)
        raise UnsettledError("no answer")

    async def deliver(self) -> None:
        """Carry out what was under way all the time."""
        for txn in self._late:
            await super().commit(txn)


@pytest.mark.parametrize("done", [True, False])
async def test_a_launch_whose_record_has_no_answer_is_launched_once(
    memory_store: MemoryStore, done: bool
) -> None:
    store = LateAnswers(memory_store, done=done)
    hall = Hall(store)
    await save_engine(memory_store, ["tool-server"])
    await put(memory_store, [Put(keys.pool("tool", "1.0"), encode(_current()))])
    hall.lead()
    try:
        await hall.comes(states=["READY", "READY"], ready=2)
        await store.deliver()
        await hall.comes(states=["READY", "READY"], ready=2)
        assert (store.lost, len(hall.place.places.started)) == (2, 2)
    finally:
        await hall.leader.stop()


def _current() -> Pool:
    record = Pool(name="engines/tool/pools/1.0", target=2)
    record.current_since.GetCurrentTime()
    return record


async def test_what_was_put_by_hand_and_cannot_be_read_stops_nothing(hall: Hall) -> None:
    await save_engine(hall.store, ["tool-server"], least=1)
    broken = (
        "pools/tool/1.0",
        "pools/tool/a b",
        "launches/tool/no-ulid",
        "launches/tool/01HZZZZZZZZZZZZZZZZZZZZZZZ",
    )
    await put(hall.store, [Put(f"{keys.DECISIONS}{each}", b'{"version": 7') for each in broken])
    await put(hall.store, [Put(keys.launch("tool", "01HYYYYYYYYYYYYYYYYYYYYYYY"), b'{"attempts": 2}')])
    await put(hall.store, [Put(keys.starts("tool", "1.0"), b"[]"), Put(keys.engine("odd"), b"7")])
    hall.lead()

    async def come() -> bool:
        hall.leader.check()
        hall.clock.advance(0.5)
        item = await hall.store.get(keys.starts("tool", "1.0"))
        assert item is not None
        return item.value != b"[]" and decode(StartStatistics, item.value).count == 1

    await eventually(come)
    assert len(hall.place.places.started) == 1


async def test_a_version_that_an_operation_needs_is_started_on_demand(hall: Hall) -> None:
    await save_engine(hall.store, ["tool-server"])
    chain = Chain(steps=[ChainStep(steps=["serve"], engine="tool", version="1.0")])
    await put(hall.store, [Put(keys.chain("site", "default", "r1"), encode(chain))])
    hall.lead()
    await hall.comes(states=[])

    running = ActiveOperation(
        operation="tenants/default/operations/o", chain="workloads/site/chains/default@r1"
    )
    await put(hall.store, [Put(keys.active("o"), encode(running))])

    await hall.comes(states=["READY"], pools={"tool@1.0": 0})


async def test_a_route_keeps_one_instance_of_what_its_chain_names_fallbacks_too(hall: Hall) -> None:
    await save_engine(hall.store, ["tool-server"])
    await save_engine(hall.store, ["spare-server"], name="spare")
    step = ChainStep(steps=["serve"], engine="tool", version="1.0")
    step.fallback.CopyFrom(ChainStep(engine="spare", version="1.0"))
    route = Route(shares=[RouteShare(chain="workloads/site/chains/default@r1", start=0, end=10_000)])
    await put(
        hall.store,
        [
            Put(keys.chain("site", "default", "r1"), encode(Chain(steps=[step]))),
            Put(keys.route("site"), encode(route)),
        ],
    )
    hall.lead()

    await hall.comes(states=["READY"], pools={"spare@1.0": 0, "tool@1.0": 0})
    assert await states(hall.store, "spare") == ["READY"]
