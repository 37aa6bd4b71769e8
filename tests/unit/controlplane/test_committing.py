"""Committing decisions on stores that lose answers, lose transactions, or let others be faster."""

from collections.abc import Awaitable, Callable
from itertools import count

import pytest

from controlplane.catalog.audit import Caller
from controlplane.catalog.changes import ATTEMPTS_MAX, Change, Stamp, Stamper, commit
from controlplane.catalog.engines import EngineCatalog
from controlplane.catalog.removal import WorkloadRemoval
from controlplane.catalog.routes import RouteCatalog, Wish
from enchain.chains.errors import ConflictError, PreconditionError, UnavailableError
from enchain.chains.names import ChainName
from enchain.chains.routes import whole
from enchain.process.clock import ManualClock
from enchain.state import keys
from enchain.state.codec import decode, encode
from enchain.state.faults import CutStore, DroppingStore, LosingStore, PassingStore
from enchain.state.memory import MemoryStore
from enchain.state.store import Delete, Put, Store, Txn, TxnResult, put
from enchain.v1 import chain_pb2, engine_pb2, operation_pb2, workload_pb2

CALLER = Caller("enchain.v1.Test/Test")
ANSIBLE = engine_pb2.Engine(description="plays playbooks")


class OvertakingStore(PassingStore):
    """Lets somebody else write just before a transaction.

    Attributes:
        rivals: What to do before the next transactions, one each.
    """

    def __init__(self, store: Store) -> None:
        super().__init__(store)
        self.rivals: list[Callable[[Store], Awaitable[object]]] = []

    async def commit(self, txn: Txn) -> TxnResult:
        """Run a transaction, a rival's first."""
        if self.rivals:
            await self.rivals.pop(0)(self._store)
        return await super().commit(txn)


def counting() -> Stamper:
    """Stamps of a clock that stands still, with ids that count up."""
    clock, numbers = ManualClock(), count(1)
    return lambda: Stamp(clock.now(), f"{next(numbers):026d}")


async def audited(store: Store) -> int:
    return len((await store.list(keys.AUDIT)).items)


async def test_a_lost_answer_is_settled_by_reading_and_nothing_is_done_twice(
    memory_store: MemoryStore,
) -> None:
    store = LosingStore(memory_store)
    store.losing = 1

    made = await EngineCatalog(store, counting()).create("ansible", ANSIBLE, CALLER)

    item = await store.get(keys.engine("ansible"))
    assert item is not None
    assert (store.lost, item.version, await audited(store)) == (1, 1, 1)
    assert made.description == ANSIBLE.description


async def test_a_lost_transaction_is_decided_and_done_again(memory_store: MemoryStore) -> None:
    store = DroppingStore(memory_store)
    store.losing = 2

    await EngineCatalog(store, counting()).create("ansible", ANSIBLE, CALLER)

    item = await store.get(keys.engine("ansible"))
    assert item is not None
    assert (store.lost, item.version, await audited(store)) == (2, 1, 1)


async def test_a_store_that_is_down_says_so(memory_store: MemoryStore) -> None:
    store = CutStore(memory_store)
    store.cut()

    with pytest.raises(UnavailableError):
        await EngineCatalog(store, counting()).create("ansible", ANSIBLE, CALLER)


async def test_whoever_loses_the_race_decides_again_by_what_the_winner_wrote(
    memory_store: MemoryStore,
) -> None:
    store = OvertakingStore(memory_store)
    rival = EngineCatalog(memory_store, counting_from(100))
    await rival.create("ansible", ANSIBLE, CALLER)
    store.rivals.append(
        lambda _: rival.update(
            engine_pb2.Engine(name="engines/ansible", pool=engine_pb2.PoolBounds(max=4)), ["pool"], CALLER
        )
    )

    merged = await EngineCatalog(store, counting()).update(
        engine_pb2.Engine(name="engines/ansible", description="newer"), ["description"], CALLER
    )

    assert (merged.description, merged.pool.max) == ("newer", 4)


async def test_whoever_loses_the_race_with_an_etag_is_told(memory_store: MemoryStore) -> None:
    store = OvertakingStore(memory_store)
    rival = EngineCatalog(memory_store, counting_from(100))
    made = await rival.create("ansible", ANSIBLE, CALLER)
    change = engine_pb2.Engine(name="engines/ansible", description="rival", etag=made.etag)
    store.rivals.append(lambda _: rival.update(change, [], CALLER))

    with pytest.raises(ConflictError) as caught:
        await EngineCatalog(store, counting()).update(
            engine_pb2.Engine(name="engines/ansible", description="mine", etag=made.etag), [], CALLER
        )

    assert caught.value.reason == "ETAG_MISMATCH"


async def test_whoever_always_loses_gives_up_at_last(memory_store: MemoryStore) -> None:
    store = OvertakingStore(memory_store)
    tries = count(1)

    async def rival(beneath: Store) -> None:
        engine = engine_pb2.Engine(description=f"rival {next(tries)}")
        await put(beneath, [Put(keys.engine("ansible"), encode(engine))])

    store.rivals = [rival] * (ATTEMPTS_MAX + 1)
    with pytest.raises(ConflictError) as caught:
        await EngineCatalog(store, counting()).update(
            engine_pb2.Engine(name="engines/ansible", description="mine"), [], CALLER, allow_missing=True
        )

    assert caught.value.reason == "CONTENDED"
    assert next(tries) == ATTEMPTS_MAX + 1


async def test_a_change_that_writes_nothing_asks_the_store_for_nothing(memory_store: MemoryStore) -> None:
    store = CutStore(memory_store)
    store.cut()

    async def decide() -> Change[str]:
        return Change("as it is")

    assert await commit(store, decide) == "as it is"


# --- moving a route while others move it too


def counting_from(start: int) -> Stamper:
    clock, numbers = ManualClock(), count(start)
    return lambda: Stamp(clock.now(), f"{next(numbers):026d}")


def chain_name(chain: str) -> ChainName:
    return ChainName("site", chain, "r1")


def whole_chain() -> chain_pb2.Chain:
    step = chain_pb2.ChainStep(
        steps=["serve"], engine="process", version="1.0", schema=chain_pb2.EngineSchema()
    )
    return chain_pb2.Chain(steps=[step])


@pytest.fixture
async def routed(memory_store: MemoryStore) -> MemoryStore:
    """A workload `site` with the chains `a`, `b` and `c`, routed to `a`, and an instance that serves them."""
    instance = engine_pb2.EngineInstance(
        name="engines/process/instances/i",
        engine="process",
        version="1.0",
        state=engine_pb2.EngineInstance.STATE_READY,
    )
    await put(
        memory_store,
        [
            Put(keys.workload("site"), encode(workload_pb2.Workload(name="workloads/site"))),
            *(Put(keys.chain("site", chain, "r1"), encode(whole_chain())) for chain in "abc"),
            Put(keys.route("site"), encode(whole(str(chain_name("a"))))),
            Put(keys.instance("process", "i"), encode(instance)),
        ],
    )
    return memory_store


async def routed_to(store: Store) -> str:
    item = await store.get(keys.route("site"))
    assert item is not None
    return decode(chain_pb2.Route, item.value).shares[0].chain


async def switches(store: Store) -> int:
    return len((await store.list(keys.SWITCHES)).items)


async def end_switches(store: Store) -> None:
    """Let all switches be done, as the leader would."""
    for item in (await store.list(keys.SWITCHES)).items:
        switch = decode(chain_pb2.ChainSwitch, item.value)
        switch.state = chain_pb2.ChainSwitch.STATE_DONE
        await put(store, [Put(item.key, encode(switch))])


async def test_a_switch_that_was_overtaken_is_decided_again_from_where_the_other_left_the_route(
    routed: MemoryStore,
) -> None:
    store = OvertakingStore(routed)
    rival = RouteCatalog(routed, counting_from(100))

    async def switched(beneath: Store) -> None:
        await rival.switch(Wish("site", CALLER), chain_name("b"))
        await end_switches(beneath)

    store.rivals.append(switched)

    made = await RouteCatalog(store, counting()).switch(Wish("site", CALLER), chain_name("c"))

    assert getattr(made, "from").shares[0].chain == str(chain_name("b"))
    assert await routed_to(routed) == str(chain_name("c"))
    assert await switches(routed) == 2


async def test_a_switch_that_was_overtaken_by_one_still_under_way_is_told(routed: MemoryStore) -> None:
    store = OvertakingStore(routed)
    rival = RouteCatalog(routed, counting_from(100))
    store.rivals.append(lambda _: rival.switch(Wish("site", CALLER), chain_name("b")))

    with pytest.raises(ConflictError) as caught:
        await RouteCatalog(store, counting()).switch(Wish("site", CALLER), chain_name("c"))

    assert caught.value.reason == "SWITCH_RUNNING"
    assert await routed_to(routed) == str(chain_name("b"))


async def test_a_rollback_that_was_overtaken_by_another_one_undoes_nothing_further(
    routed: MemoryStore,
) -> None:
    store = OvertakingStore(routed)
    rival = RouteCatalog(routed, counting_from(100))
    await rival.switch(Wish("site", CALLER), chain_name("b"))
    await end_switches(routed)
    await rival.switch(Wish("site", CALLER), chain_name("c"))
    await end_switches(routed)
    store.rivals.append(lambda _: rival.rollback(Wish("site", CALLER)))

    with pytest.raises(ConflictError) as caught:
        await RouteCatalog(store, counting()).rollback(Wish("site", CALLER))

    assert caught.value.reason == "ROUTE_MOVED"
    assert await routed_to(routed) == str(chain_name("b"))


async def test_a_switch_whose_answer_was_lost_moves_the_route_once(routed: MemoryStore) -> None:
    store = LosingStore(routed)
    store.losing = 1

    made = await RouteCatalog(store, counting()).switch(Wish("site", CALLER), chain_name("b"))

    assert made.name == f"workloads/site/switches/{1:026d}"
    assert (await switches(routed), await audited(routed)) == (1, 1)


async def test_a_chain_that_is_deleted_meanwhile_is_not_switched_to(routed: MemoryStore) -> None:
    store = OvertakingStore(routed)
    store.rivals.append(lambda beneath: beneath.commit(Txn(success=(Delete(keys.chain("site", "b", "r1")),))))

    with pytest.raises(Exception, match="there is no chain"):
        await RouteCatalog(store, counting()).switch(Wish("site", CALLER), chain_name("b"))

    assert await routed_to(routed) == str(chain_name("a"))


# --- deleting a workload while a router admits


async def test_a_resource_that_was_admitted_just_before_the_route_went_saves_the_workload(
    routed: MemoryStore,
) -> None:
    store = OvertakingStore(routed)
    resource = operation_pb2.Resource(
        name="tenants/default/resources/r", workload="workloads/site", chain=str(chain_name("a"))
    )
    store.rivals.append(lambda beneath: put(beneath, [Put(keys.resource("default", "r"), encode(resource))]))
    route = await routed.get(keys.route("site"))

    with pytest.raises(PreconditionError) as caught:
        await WorkloadRemoval(store, counting()).delete("site", "", CALLER)

    assert caught.value.reason == "IN_USE"
    assert await routed.get(keys.workload("site")) is not None
    after = await routed.get(keys.route("site"))
    assert route is not None
    assert after is not None
    assert after.value == route.value


async def test_a_workload_with_a_resource_that_cannot_be_read_is_not_deleted(routed: MemoryStore) -> None:
    await put(routed, [Put(keys.resource("default", "broken"), b"{")])

    with pytest.raises(PreconditionError) as caught:
        await WorkloadRemoval(routed, counting()).delete("site", "", CALLER)

    assert keys.resource("default", "broken") in caught.value.message


async def test_a_deletion_whose_every_answer_was_lost_deletes_the_workload(routed: MemoryStore) -> None:
    store = LosingStore(routed)
    store.losing = 2

    await WorkloadRemoval(store, counting()).delete("site", "", CALLER)

    left = [item.key for item in (await routed.list(keys.TABLE)).items]
    assert left == []
    assert store.lost == 2
