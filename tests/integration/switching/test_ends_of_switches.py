"""How switches end: by a person, by the drain policy, by somebody else's move, and by pins."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from google.protobuf.duration_pb2 import Duration

from enchain.chains.errors import ConflictError, InvalidArgumentError, NotFoundError, PreconditionError
from enchain.chains.routes import whole
from enchain.state import keys
from enchain.state.codec import encode
from enchain.state.store import Put, Store, put
from enchain.v1 import chain_pb2
from tests.harness.controlplane import refusal
from tests.harness.switching import ROUTE, Board, Ended, Switch, board
from tests.harness.waiting import eventually


@pytest.fixture
async def site(store: Store, tmp_path: Path) -> AsyncIterator[Board]:
    async with board(store, tmp_path, routers=1) as made:
        yield made


async def hanging(site: Board, count: int = 3) -> list[asyncio.Task[Ended]]:
    """Begin provisions on the old chain that wait at its gate."""
    site.before.gate.clear()
    begun = [asyncio.create_task(site.provision(f"old-{n}"), name=f"old {n}") for n in range(count)]

    async def all_run() -> bool:
        return await site.active(site.old) == count and len(site.before.works) == count

    await eventually(all_run)
    return begun


async def let_go(site: Board, begun: list[asyncio.Task[Ended]]) -> list[Ended]:
    site.before.gate.set()
    return list(await asyncio.gather(*begun))


def words(made: Switch) -> list[str]:
    return [Switch.State.Name(phase.state).removeprefix("STATE_") for phase in made.phases]


async def test_a_switch_waits_for_operations_on_the_old_chain_and_says_so(site: Board) -> None:
    begun = await hanging(site)
    made = await site.switch()

    draining = await site.until(made.name, Switch.STATE_DRAINING)
    ended = await let_go(site, begun)
    done = await site.until(made.name)

    assert draining.impact.operations_running == 3
    assert words(done) == ["VALIDATING", "ACTIVATING", "CONVERGING", "DRAINING", "RETIRING", "DONE"]
    assert [each.state for each in ended] == ["SUCCEEDED"] * 3


async def test_operations_are_handed_over_at_the_drain_timeout(site: Board) -> None:
    begun = await hanging(site)

    made = await site.switch(
        drain_policy=chain_pb2.DRAIN_POLICY_HAND_OVER, drain_timeout=Duration(nanos=500_000_000)
    )
    done = await site.until(made.name)

    assert done.state == Switch.STATE_DONE
    assert "operations go on on the old chain" in done.phases[-2].description
    assert [each.state for each in await let_go(site, begun)] == ["SUCCEEDED"] * 3


async def test_operations_are_aborted_at_the_drain_timeout(site: Board) -> None:
    begun = await hanging(site)

    made = await site.switch(
        drain_policy=chain_pb2.DRAIN_POLICY_ABORT, drain_timeout=Duration(nanos=500_000_000)
    )
    await eventually(lambda: len(site.before.cancelled) == 3)
    ended = await let_go(site, begun)
    done = await site.until(made.name)

    assert [each.state for each in ended] == ["CANCELLED"] * 3
    assert done.state == Switch.STATE_DONE
    assert not site.before.standing, "what they made was destroyed"


@pytest.mark.parametrize(
    ("terms", "place"),
    [
        ({"drain_policy": chain_pb2.DRAIN_POLICY_ABORT}, "drain_timeout"),
        (
            {"drain_policy": chain_pb2.DRAIN_POLICY_FINISH, "drain_timeout": Duration(seconds=1)},
            "drain_timeout",
        ),
        ({"watch_timeout": Duration(seconds=-1)}, "watch_timeout"),
        ({"warm_timeout": Duration(seconds=8 * 86_400)}, "warm_timeout"),
    ],
)
async def test_terms_that_cannot_be_kept_are_refused(site: Board, terms: dict[str, Any], place: str) -> None:
    error = await refusal(site.switch(**terms))

    assert isinstance(error, InvalidArgumentError)
    assert [fault.field for fault in error.violations] == [place]


async def test_a_person_ends_a_switch_that_is_in_force(site: Board) -> None:
    begun = await hanging(site, 1)
    made = await site.switch()
    await site.until(made.name, Switch.STATE_DRAINING)

    asked = await site.chains.AbortChainSwitch(chain_pb2.AbortChainSwitchRequest(name=made.name, reason="no"))
    ended = await site.until(made.name)

    assert asked.abort_requested
    assert (ended.state, ended.rollback_reason.split(":")[0]) == (Switch.STATE_ROLLED_BACK, "ABORTED")
    assert await site.routed_to() == site.old
    again = await site.chains.AbortChainSwitch(chain_pb2.AbortChainSwitchRequest(name=made.name))
    assert again == ended
    await let_go(site, begun)


async def test_a_switch_under_way_is_named_to_whoever_wants_another_one(site: Board) -> None:
    begun = await hanging(site, 1)
    made = await site.switch(watch_timeout=Duration(seconds=60))

    error = await refusal(site.switch(site.old))
    stale = await refusal(site.switch(site.old, etag="never"))

    assert isinstance(error, ConflictError)
    assert (error.reason, error.metadata["switch"]) == ("SWITCH_RUNNING", made.name)
    assert stale.reason == "ETAG_MISMATCH"
    await let_go(site, begun)


async def test_a_switch_that_merely_drains_gives_way_to_the_next_one(site: Board) -> None:
    begun = await hanging(site, 1)
    first = await site.switch()
    await site.until(first.name, Switch.STATE_DRAINING)

    second = await site.switch(site.old)
    done = await site.until(first.name)

    assert done.state == Switch.STATE_DONE
    assert done.phases[-2].description == f"{second.name} began"
    assert (await site.until(second.name)).state == Switch.STATE_DONE
    await let_go(site, begun)


async def test_a_pinned_route_is_moved_by_nobody(site: Board) -> None:
    pinned = await site.chains.PinRoute(chain_pb2.PinRouteRequest(name=ROUTE, reason="audit week"))
    before = await site.routed_to()

    refused = [
        await refusal(site.switch()),
        await refusal(site.switch(validate_only=True)),
        await refusal(site.chains.RollbackChain(chain_pb2.RollbackChainRequest(name=ROUTE))),
    ]
    again = await site.chains.PinRoute(chain_pb2.PinRouteRequest(name=ROUTE, reason="another"))

    assert isinstance(refused[0], PreconditionError)
    assert [error.reason for error in refused] == ["ROUTE_PINNED", "ROUTE_PINNED", "NOTHING_TO_ROLL_BACK"]
    assert again == pinned
    assert await site.routed_to() == before
    await site.chains.UnpinRoute(chain_pb2.UnpinRouteRequest(name=ROUTE))
    assert (await site.until((await site.switch()).name)).state == Switch.STATE_DONE


async def test_a_route_that_was_moved_by_hand_is_not_moved_back(site: Board) -> None:
    begun = await hanging(site, 1)
    made = await site.switch()
    await site.until(made.name, Switch.STATE_DRAINING)
    by_hand = whole(site.new)
    await put(site.store, [Put(keys.route("site"), encode(by_hand))])

    await site.chains.AbortChainSwitch(chain_pb2.AbortChainSwitchRequest(name=made.name))
    await let_go(site, begun)
    done = await site.until(made.name)

    assert done.state == Switch.STATE_DONE
    assert await site.routed_to() == site.new


async def test_a_switch_is_followed_to_its_end(site: Board) -> None:
    begun = await hanging(site, 1)
    made = await site.switch()
    seen: list[Switch] = []

    async def watch() -> None:
        request = chain_pb2.WatchChainSwitchRequest(name=made.name)
        async for each in site.chains.WatchChainSwitch(request):
            seen.append(each)  # noqa: PERF401 - what has come so far is looked at meanwhile

    watching = asyncio.create_task(watch(), name="watch")
    await eventually(lambda: any(each.state == Switch.STATE_DRAINING for each in seen))
    await let_go(site, begun)
    await watching

    assert seen[-1] == await site.read(made.name)
    assert words(seen[-1])[-1] == "DONE"


async def test_there_is_nothing_to_follow_or_end_where_there_is_no_switch(site: Board) -> None:
    nowhere = "workloads/site/switches/01JDEYZ0000000000000000000"

    async def watched() -> None:
        async for _ in site.chains.WatchChainSwitch(chain_pb2.WatchChainSwitchRequest(name=nowhere)):
            pass

    assert isinstance(await refusal(watched()), NotFoundError)
    aborted = site.chains.AbortChainSwitch(chain_pb2.AbortChainSwitchRequest(name=nowhere))
    assert isinstance(await refusal(aborted), NotFoundError)
