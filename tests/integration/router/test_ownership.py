"""The journal on a real etcd: who may write, and who may not any more."""

from collections.abc import Callable
from random import Random

import pytest

from dataplane.journal.admitting import Claim, Known, RouteMovedError
from dataplane.journal.journal import Journal
from dataplane.journal.ownership import DisplacedError, Owned
from dataplane.routing import records, resuming
from dataplane.routing.runs import Operation
from enchain.chains import routes
from enchain.chains.errors import AlreadyExistsError, ConflictError
from enchain.process.clock import SystemClock
from enchain.state import keys
from enchain.state.codec import encode
from enchain.state.store import Delete, Put, Store, Txn, put
from enchain.v1 import operation_pb2
from tests.harness.pipelines import NOW, chain_of, provision_of

CLOCK = SystemClock()


class Keeper:
    """A journal, as one router has it, and its lease."""

    def __init__(self, store: Store, name: str, lease: int) -> None:
        self.lease = lease
        owner = operation_pb2.OperationOwner(router=f"routers/{name}", address="127.0.0.1:1")
        self.journal = Journal(store, clock=CLOCK, rng=Random(1), owner=owner, lease=lambda: self.lease)


@pytest.fixture(params=["etcd", "memory"])
def any_store(request: pytest.FixtureRequest) -> Store:
    """A real etcd, and the fake that ships beside it."""
    found: Store = request.getfixturevalue("store" if request.param == "etcd" else "memory_store")
    return found


@pytest.fixture
async def keeper(any_store: Store) -> Callable[[str], Keeper]:
    """Makes journals of routers."""
    leases = {name: await any_store.grant(30) for name in ("a", "b")}
    return lambda name: Keeper(any_store, name, leases[name])


def admission() -> records.Admission:
    run = provision_of(chain_of())
    return records.Admission(run.operation, run.resource)


async def admitted(keeper: Keeper) -> tuple[Owned, Operation]:
    made = admission()
    owned = await keeper.journal.admit(made, Claim(await keeper.journal.epoch()))
    assert isinstance(owned, Owned)
    return owned, made.operation


async def test_a_displaced_owner_cannot_write(any_store: Store, keeper: Callable[[str], Keeper]) -> None:
    """Its lease has expired and nobody else has come yet: by the record alone it could write."""
    a = keeper("a")
    owned, operation = await admitted(a)
    await any_store.commit(Txn(success=(Delete(owned.owner_key),)))
    before = await any_store.get(owned.record_key)

    with pytest.raises(DisplacedError):
        await a.journal.checkpoint(owned, operation)
    with pytest.raises(DisplacedError):
        await a.journal.finish(owned, operation, None)
    assert await any_store.get(owned.record_key) == before
    assert await any_store.get(keys.active(owned.name.operation)) is not None


async def test_an_owner_that_was_adopted_from_cannot_write(
    any_store: Store, keeper: Callable[[str], Keeper]
) -> None:
    a, b = keeper("a"), keeper("b")
    owned, operation = await admitted(a)
    assert await a.journal.release(owned)
    taken, adopted = await b.journal.claim(
        owned.name, lambda stored: resuming.adopt(stored, "routers/b", "its router is gone", NOW)
    )

    with pytest.raises(DisplacedError):
        await a.journal.checkpoint(owned, operation)
    await b.journal.checkpoint(taken, adopted)
    assert taken.token > owned.token


async def test_an_owner_whose_record_somebody_wrote_stops(
    any_store: Store, keeper: Callable[[str], Keeper]
) -> None:
    a = keeper("a")
    owned, operation = await admitted(a)
    await put(any_store, [Put(owned.record_key, encode(operation))])

    with pytest.raises(DisplacedError):
        await a.journal.checkpoint(owned, operation)


async def test_only_one_router_takes_an_operation_up(
    any_store: Store, keeper: Callable[[str], Keeper]
) -> None:
    a, b = keeper("a"), keeper("b")
    owned, _ = await admitted(a)
    await a.journal.release(owned)

    def decide(stored: Operation) -> Operation:
        return resuming.adopt(stored, "routers/b", "its router is gone", NOW)

    await b.journal.claim(owned.name, decide)
    with pytest.raises(DisplacedError):
        await a.journal.claim(owned.name, decide)


async def test_an_ended_operation_leaves_record_and_outbox_only(
    any_store: Store, keeper: Callable[[str], Keeper]
) -> None:
    a = keeper("a")
    owned, operation = await admitted(a)
    operation.state = Operation.STATE_FAILED
    await a.journal.finish(owned, operation, None)

    left = [item.key for item in (await any_store.list(keys.ROOT)).items]
    identifier = owned.name.operation
    assert left == [
        keys.EPOCH,
        keys.outbox(identifier),
        keys.record("default", identifier),
        keys.request("default", "r-1"),
    ]


async def test_a_known_request_id_is_not_admitted_twice(
    any_store: Store, keeper: Callable[[str], Keeper]
) -> None:
    a = keeper("a")
    owned, _ = await admitted(a)
    again = await a.journal.admit(admission(), Claim(await a.journal.epoch()))
    assert again == Known(str(owned.name))

    other = admission()
    other.operation.fingerprint = "sha256:2"
    with pytest.raises(AlreadyExistsError):
        await a.journal.admit(other, Claim(await a.journal.epoch()))


async def test_an_old_table_admits_nothing(any_store: Store, keeper: Callable[[str], Keeper]) -> None:
    a = keeper("a")
    route = encode(routes.whole("workloads/site/chains/default@abc"))
    seen = await put(any_store, [Put(keys.route("site"), route)])
    moved = await put(any_store, [Put(keys.route("site"), route)])
    claim = Claim(await a.journal.epoch(), route_revision=seen)

    with pytest.raises(RouteMovedError) as refused:
        await a.journal.admit(admission(), claim)
    assert refused.value.item is not None
    assert refused.value.item.mod_revision == moved


async def test_a_raised_epoch_admits_nothing(any_store: Store, keeper: Callable[[str], Keeper]) -> None:
    a = keeper("a")
    claim = Claim(await a.journal.epoch())
    item = await any_store.get(keys.EPOCH)
    assert item is not None
    await put(any_store, [Put(keys.EPOCH, item.value)])

    with pytest.raises(ConflictError) as refused:
        await a.journal.admit(admission(), claim)
    assert refused.value.reason == "EPOCH_CHANGED"


async def test_a_busy_resource_is_not_claimed(any_store: Store, keeper: Callable[[str], Keeper]) -> None:
    a = keeper("a")
    owned, _ = await admitted(a)
    second = admission()
    second.operation.request_id = "r-2"

    with pytest.raises(ConflictError) as refused:
        await a.journal.admit(second, Claim(await a.journal.epoch()))
    assert refused.value.metadata["operation"] == str(owned.name)


async def test_the_epoch_begins_at_one_and_is_begun_once(
    any_store: Store, keeper: Callable[[str], Keeper]
) -> None:
    a, b = keeper("a"), keeper("b")

    assert (await a.journal.epoch()).number == 1
    assert await b.journal.epoch() == await a.journal.epoch()
