"""Watchers lose progress first, never a durable event, and hold nobody up."""

from dataplane.dispatch.fanout import QUEUE_MAX, Closed, Fanout, Notice
from dataplane.dispatch.ranking import rank
from enchain.v1 import operation_pb2

OperationEvent = operation_pb2.OperationEvent


def event(sequence: int = 0) -> OperationEvent:
    return OperationEvent(operation="o", sequence=sequence)


async def test_progress_is_lost_first() -> None:
    fanout = Fanout()
    watcher = fanout.open("o")
    for _ in range(QUEUE_MAX + 10):
        fanout.publish("o", event())
    fanout.publish("o", event(1))

    assert await watcher.next() == event(1)


async def test_a_watcher_that_missed_a_durable_event_is_told_to_catch_up() -> None:
    fanout = Fanout()
    watcher = fanout.open("o")
    for sequence in range(1, QUEUE_MAX + 3):
        fanout.publish("o", event(sequence))

    assert await watcher.next() is Notice.CATCH_UP
    following = await watcher.next()
    assert isinstance(following, OperationEvent)
    assert following.sequence == QUEUE_MAX + 1


async def test_a_closed_watcher_reads_its_queue_first() -> None:
    fanout = Fanout()
    watcher = fanout.open("o")
    fanout.publish("o", event(1))
    fanout.close("o", "gone")

    assert await watcher.next() == event(1)
    assert await watcher.next() == Closed("gone")


async def test_who_comes_after_the_end_is_sent_away() -> None:
    fanout = Fanout()
    fanout.close_all("this router stops")

    assert await fanout.open("o").next() == Closed("this router stops")


async def test_watchers_of_other_operations_hear_nothing() -> None:
    fanout = Fanout()
    watcher = fanout.open("o")
    fanout.publish("p", event(1))
    fanout.close("o", "gone")

    assert await watcher.next() == Closed("gone")


def test_routers_rank_themselves_alike_and_differently_by_operation() -> None:
    routers = ["a", "b", "c"]
    ranks = {operation: [rank(operation, router, routers) for router in routers] for operation in "xyzuvw"}

    assert all(sorted(of) == [0, 1, 2] for of in ranks.values())
    assert len({tuple(of) for of in ranks.values()}) > 1
