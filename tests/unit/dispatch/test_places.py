"""Which instance takes a step, and who asks for work that may be under way."""

import asyncio
from collections.abc import Mapping, Sequence
from random import Random

from dataplane.dispatch import places
from dataplane.dispatch.circuits import BUSY_SECONDS, PAUSE_SECONDS, Circuits
from dataplane.dispatch.pool import Pool
from dataplane.routing.effects import Choose
from enchain.process.clock import ManualClock
from enchain.v1 import engine_pb2

EngineInstance = engine_pb2.EngineInstance
RNG = Random(7)


def instance(
    name: str,
    *,
    capacity: int = 2,
    scope: str = "s",
    version: str = "1",
    draining: bool = False,
    update: bool = True,
) -> EngineInstance:
    return EngineInstance(
        name=name,
        engine="terraform",
        version=version,
        scope=scope,
        capacity=capacity,
        state=EngineInstance.STATE_DRAINING if draining else EngineInstance.STATE_READY,
        capabilities=[engine_pb2.CAPABILITY_UPDATE] if update else [],
        handle_schemas=["terraform/1"],
    )


def picked(there: Sequence[EngineInstance], wanted: Choose, **running: int) -> str:
    found = places.pick(there, wanted, running=running, reachable=lambda _: True, rng=RNG)
    return found.name if found is not None else ""


WANTED = Choose(0, "terraform", version="1")


def test_the_less_busy_of_two_is_chosen() -> None:
    assert picked([instance("a"), instance("b")], WANTED, a=1) == "b"
    assert picked([instance("a", capacity=8), instance("b")], WANTED, a=2, b=1) == "a"


def test_full_draining_and_other_instances_are_passed_over() -> None:
    there = [
        instance("full", capacity=1),
        instance("draining", draining=True),
        instance("old", version="0"),
        instance("elsewhere", scope="t"),
        instance("rigid", update=False),
    ]
    wanted = Choose(0, "terraform", version="1", scope="s", update=True)

    assert picked(there, wanted, full=1) == ""
    assert picked([*there, instance("right")], wanted, full=1) == "right"


def test_a_handle_is_destroyed_by_any_version_that_knows_its_schema() -> None:
    wanted = Choose(0, "terraform", handle_schema="terraform/1", scope="s")

    assert picked([instance("newer", version="2")], wanted) == "newer"
    assert picked([instance("newer", version="2")], Choose(0, "terraform", handle_schema="terraform/0")) == ""


def test_what_did_not_answer_lately_is_chosen_only_where_nobody_else_is() -> None:
    there = [instance("silent"), instance("well")]
    for _ in range(10):
        found = places.pick(there, WANTED, running={}, reachable=lambda name: name != "silent", rng=RNG)
        assert found is not None
        assert found.name == "well"
    alone = places.pick(there[:1], WANTED, running={}, reachable=lambda _: False, rng=RNG)
    assert alone is not None


def test_work_under_way_is_asked_of_its_instance_else_of_its_scope_only() -> None:
    there = [instance("mine", draining=True), instance("beside"), instance("elsewhere", scope="t")]
    wanted = Choose(0, "terraform", version="1", scope="s")

    def asked(reachable: str) -> str:
        found = places.holder(
            there, wanted, instance_name="mine", reachable=lambda n: n in reachable, rng=RNG
        )
        return found.name if found is not None else ""

    assert asked("mine beside") == "mine"
    assert asked("beside elsewhere") == "beside"
    assert places.holder(there[2:], wanted, instance_name="mine", reachable=lambda _: True, rng=RNG) is None


def test_a_circuit_opens_longer_each_time_and_closes_with_an_answer() -> None:
    circuits = Circuits()
    circuits.failed("a", 0.0)
    assert not circuits.reachable("a", PAUSE_SECONDS - 0.1)
    assert circuits.reachable("a", PAUSE_SECONDS)
    circuits.failed("a", PAUSE_SECONDS)
    assert not circuits.reachable("a", 2 * PAUSE_SECONDS)
    circuits.answered("a")
    assert circuits.reachable("a", 2 * PAUSE_SECONDS)


def test_a_busy_instance_is_passed_over_for_a_moment_that_does_not_grow() -> None:
    circuits = Circuits()
    for _ in range(5):
        circuits.busy("a", 0.0)

    assert not circuits.reachable("a", BUSY_SECONDS - 0.1)
    assert circuits.reachable("a", BUSY_SECONDS)


class There:
    """Instances that a test registers."""

    def __init__(self, *there: EngineInstance) -> None:
        self.instances: Mapping[str, Sequence[EngineInstance]] = {"terraform": list(there)}


def pool_of(there: There, waiting_max: int = 10) -> Pool:
    return Pool(there, Circuits(), clock=ManualClock(), rng=Random(1), waiting_max=waiting_max)


async def test_who_waits_is_served_in_order_as_places_come_free() -> None:
    pool = pool_of(There(instance("a", capacity=1)))
    held = pool.take(WANTED)
    assert held is not None
    first = asyncio.create_task(pool.wait(WANTED))
    second = asyncio.create_task(pool.wait(WANTED))
    await asyncio.sleep(0)

    pool.give_back(held)
    place = await first
    assert place is not None
    assert pool.take(WANTED) is None
    assert not second.done()
    pool.give_back(place)
    assert await second is not None


async def test_who_stops_waiting_loses_no_place() -> None:
    pool = pool_of(There(instance("a", capacity=1)))
    held = pool.take(WANTED)
    assert held is not None
    waiting = asyncio.create_task(pool.wait(WANTED))
    await asyncio.sleep(0)
    pool.give_back(held)
    waiting.cancel()
    await asyncio.wait([waiting])

    assert pool.waiting == 0
    assert pool.take(WANTED) is not None


async def test_a_full_queue_takes_nobody_more() -> None:
    pool = pool_of(There(), waiting_max=1)
    waiting = asyncio.create_task(pool.wait(WANTED))
    await asyncio.sleep(0)

    assert await pool.wait(WANTED) is None
    waiting.cancel()
    await asyncio.wait([waiting])


async def test_an_instance_that_appears_serves_who_waits() -> None:
    there = There()
    pool = pool_of(there)
    waiting = asyncio.create_task(pool.wait(WANTED))
    await asyncio.sleep(0)
    there.instances = {"terraform": [instance("late")]}
    pool.serve()
    place = await waiting

    assert place is not None
    assert place.instance.name == "late"


def test_giving_back_twice_counts_once() -> None:
    pool = pool_of(There(instance("a", capacity=2)))
    one, two = pool.take(WANTED), pool.take(WANTED)
    assert one is not None
    assert two is not None
    pool.give_back(one)
    pool.give_back(one)

    assert pool.take(WANTED) is not None
    assert pool.take(WANTED) is None


async def test_a_place_says_how_many_this_router_had_on_the_instance_when_it_was_taken() -> None:
    pool = pool_of(There(instance("a", capacity=3)))
    first, second = pool.take(WANTED), pool.take(WANTED)
    assert first is not None
    assert second is not None
    pool.give_back(first)
    third = pool.take(WANTED)
    held = pool.hold(Choose(0, "terraform", scope="s"), "a")

    assert third is not None
    assert held is not None
    assert [place.in_flight for place in (first, second, third, held)] == [1, 2, 2, 3]
