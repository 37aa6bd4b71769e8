"""What has ended long ago is forgotten with its request id; what is held or young never is."""

from datetime import datetime, timedelta
from random import Random

from dataplane.journal.pruning import Pruner, Retention
from dataplane.routing.times import stamp
from enchain.process.clock import ManualClock
from enchain.state import keys
from enchain.state.codec import encode
from enchain.state.store import Put, Store, put
from enchain.v1 import operation_pb2

Operation = operation_pb2.Operation
CLOCK = ManualClock()
DAY = timedelta(days=1)


def ulid(number: int) -> str:
    return f"01KAAAAAAAAAAAAAAAAAAAAA{number:02}"


async def stored(store: Store, number: int, ended: datetime | None, size: int = 0) -> None:
    operation = Operation(
        name=f"tenants/default/operations/{ulid(number)}",
        request_id=f"r-{number}",
        state=Operation.STATE_SUCCEEDED if ended else Operation.STATE_HELD,
        routing_key="x" * size,
    )
    if ended:
        operation.end_time.CopyFrom(stamp(ended))
    entry = operation_pb2.OutboxEntry(operation=operation.name)
    if ended:
        entry.end_time.CopyFrom(stamp(ended))
    await put(
        store,
        [
            Put(keys.record("default", ulid(number)), encode(operation)),
            Put(keys.request("default", f"r-{number}"), b"{}"),
            Put(keys.outbox(ulid(number)), encode(entry)),
        ],
    )


async def left(store: Store, prefix: str) -> list[str]:
    return [item.key.rpartition("/")[2] for item in (await store.list(prefix)).items]


async def test_old_operations_go_with_their_request_ids(memory_store: Store) -> None:
    await stored(memory_store, 1, CLOCK.now() - 8 * DAY)
    await stored(memory_store, 2, CLOCK.now() - 6 * DAY)
    await stored(memory_store, 3, None)
    pruner = Pruner(memory_store, Retention(), clock=CLOCK, rng=Random(1))

    assert await pruner.prune() == 1
    assert await left(memory_store, keys.RECORDS) == [ulid(2), ulid(3)]
    assert await left(memory_store, keys.REQUESTS) == ["r-2", "r-3"]
    assert await left(memory_store, keys.OUTBOX) == [ulid(2), ulid(3)]


async def test_a_request_id_is_known_for_a_day_whatever_the_settings_say(memory_store: Store) -> None:
    await stored(memory_store, 1, CLOCK.now() - DAY + timedelta(minutes=1))
    retention = Retention(age=timedelta(), bytes_max=0)

    assert await Pruner(memory_store, retention, clock=CLOCK, rng=Random(1)).prune() == 0


async def test_the_oldest_go_where_there_is_too_much(memory_store: Store) -> None:
    for number in range(4):
        await stored(memory_store, number, CLOCK.now() - (5 - number) * DAY, size=1000)
    retention = Retention(bytes_max=2500)

    assert await Pruner(memory_store, retention, clock=CLOCK, rng=Random(1)).prune() == 2
    assert await left(memory_store, keys.RECORDS) == [ulid(2), ulid(3)]


async def test_a_record_that_cannot_be_read_is_left_for_people(memory_store: Store) -> None:
    await put(memory_store, [Put(keys.record("default", ulid(1)), b"nonsense")])

    assert await Pruner(memory_store, Retention(), clock=CLOCK, rng=Random(1)).prune() == 0
    assert await left(memory_store, keys.RECORDS) == [ulid(1)]


async def test_many_go_in_transactions_that_etcd_takes(memory_store: Store) -> None:
    for number in range(99):
        await stored(memory_store, number, CLOCK.now() - 8 * DAY)

    assert await Pruner(memory_store, Retention(), clock=CLOCK, rng=Random(1)).prune() == 99
    assert await left(memory_store, keys.REQUESTS) == []
