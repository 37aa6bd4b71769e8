"""In automatic mode a chain of which too little is known gets a small part of the requests, for a while."""

from collections.abc import AsyncIterator
from random import Random
from typing import Any

import pytest
from google.protobuf.duration_pb2 import Duration

from controlplane.loops.planning import PlanningLoop
from controlplane.loops.switching import SwitchingLoop
from controlplane.switching.exploring import ARM
from controlplane.switching.health import Handshakes
from enchain.process.clock import SystemClock
from enchain.process.lifecycle import Tasks
from enchain.state import keys
from enchain.state.codec import decode
from enchain.v1 import chain_pb2, diagnostic_pb2, pool_pb2, recommendation_pb2, workload_pb2
from tests.harness.controlplane import Plane
from tests.harness.measuring_sites import measure, price
from tests.harness.site import PARENT, ROUTE, create_chain, save_site, update
from tests.harness.waiting import eventually

POLICY = recommendation_pb2.PlanningPolicy(
    mode=recommendation_pb2.PLANNING_MODE_AUTO, exploration=0.05, cool_down=Duration(seconds=3600)
)
"""Exploring begins no cool-down: it moves the workload to no other chain."""


@pytest.fixture
async def unsure(site: Plane) -> AsyncIterator[Plane]:
    """`site` on a dear chain that was measured, beside a cheap one that nobody knows; somebody leads."""
    await save_site(site, planning=POLICY, slo=workload_pb2.ServiceLevel(success=0.9))
    await create_chain(site, "via-files", {"serve": "files"})
    await price(site, "files", 0.01)
    await price(site, "serving", 0.5)
    (share,) = (await route(site)).shares
    await measure(site, share.chain, {("configure", "files"): 1.0, ("serve", "serving"): 1.0})
    switching = SwitchingLoop(Handshakes(), clock=SystemClock(), rng=Random(0), look_seconds=0.1)
    async with Tasks() as tasks:
        tasks.start("carry switches out", switching.run(site.store))
        yield site


async def route(plane: Plane) -> chain_pb2.Route:
    found: chain_pb2.Route = await plane.chains.GetRoute(chain_pb2.GetRouteRequest(name=ROUTE))
    return found


async def parts(plane: Plane) -> dict[str, tuple[int, str]]:
    """How many buckets each chain has, in which arm."""
    return {
        share.chain.partition("@")[0].rpartition("/")[2]: (share.end - share.start, share.arm)
        for share in (await route(plane)).shares
    }


async def switches(plane: Plane) -> list[chain_pb2.ChainSwitch]:
    request = chain_pb2.ListChainSwitchesRequest(parent=PARENT)
    return list((await plane.chains.ListChainSwitches(request)).chain_switches)


async def plan(plane: Plane) -> None:
    """Plan once, and wait until what came of it has ended."""
    await PlanningLoop(clock=SystemClock(), rng=Random(0)).round(plane.store)

    async def ended() -> bool:
        done = {chain_pb2.ChainSwitch.STATE_DONE, chain_pb2.ChainSwitch.STATE_ROLLED_BACK}
        return all(each.state in done or each.watch_timeout.seconds for each in await switches(plane))

    await eventually(ended, within=30)


async def change(plane: Plane, **policy: Any) -> None:
    """Change the workload's policy."""
    changed = recommendation_pb2.PlanningPolicy()
    changed.CopyFrom(POLICY)
    for name, value in policy.items():
        setattr(changed, name, value)
    await update(plane, workload_pb2.Workload(planning=changed), "planning")


async def test_it_gets_its_part_and_keeps_it_while_little_is_known(unsure: Plane) -> None:
    await plan(unsure)
    await plan(unsure)

    assert await parts(unsure) == {"default": (9500, "default"), "via-files": (500, ARM)}
    (made,) = await switches(unsure)
    assert (made.state, made.watch_timeout.seconds) == (chain_pb2.ChainSwitch.STATE_DONE, 0)
    assert made.reason.startswith("exploring")
    items = (await unsure.store.list(keys.POOLS)).items
    pools = [decode(pool_pb2.Pool, item.value, key=item.key) for item in items]
    assert not any(pool.demands for pool in pools), "what the workload asks of pools stays as it was"


async def test_once_enough_is_known_it_is_judged_like_any_other(unsure: Plane) -> None:
    await plan(unsure)
    tried = (await route(unsure)).shares[1].chain
    await measure(unsure, tried, {("configure", "files"): 1.0, ("serve", "files"): 1.0})

    await plan(unsure)

    assert await parts(unsure) == {"via-files": (10_000, "default")}


async def test_once_it_is_known_to_fail_it_is_taken_back_and_left_alone(unsure: Plane) -> None:
    await plan(unsure)
    tried = (await route(unsure)).shares[1].chain
    failed = diagnostic_pb2.OUTCOME_FAILED_CLEAN
    await measure(unsure, tried, {("serve", "files"): 1.0}, failed)

    await plan(unsure)
    await plan(unsure)

    assert await parts(unsure) == {"default": (10_000, "default")}
    assert len(await switches(unsure)) == 2


@pytest.mark.parametrize(
    "policy",
    [
        {"exploration": 0.0},
        {"mode": recommendation_pb2.PLANNING_MODE_RECOMMEND},
        {"mode": recommendation_pb2.PLANNING_MODE_FORECAST_ONLY},
    ],
    ids=["no share", "recommend", "forecast-only"],
)
async def test_it_ends_when_people_want_no_more_of_it(unsure: Plane, policy: dict[str, Any]) -> None:
    await plan(unsure)
    await change(unsure, **policy)

    await plan(unsure)

    assert await parts(unsure) == {"default": (10_000, "default")}
    await change(unsure)
    await plan(unsure)
    assert len(await switches(unsure)) == 2, "it rests"


async def test_a_route_that_cannot_be_read_stops_no_planning(unsure: Plane) -> None:
    await change(unsure, mode=recommendation_pb2.PLANNING_MODE_FORECAST_ONLY)
    await unsure.put_raw(keys.route("site"), b"{")

    await PlanningLoop(clock=SystemClock(), rng=Random(0)).round(unsure.store)

    assert not await switches(unsure)


async def test_a_pinned_route_explores_nothing(unsure: Plane) -> None:
    await unsure.chains.PinRoute(chain_pb2.PinRouteRequest(name=ROUTE, reason="audit"))

    await plan(unsure)

    assert await parts(unsure) == {"default": (10_000, "default")}


async def test_rolling_back_goes_past_what_was_merely_explored(unsure: Plane) -> None:
    default = (await route(unsure)).shares[0].chain
    second = await create_chain(unsure, "second", {})
    await unsure.chains.SwitchChain(chain_pb2.SwitchChainRequest(name=ROUTE, chain=second.name))
    # While that is under way nothing is explored.
    await plan(unsure)
    await plan(unsure)
    assert (await parts(unsure)).get("via-files") == (500, ARM)

    await unsure.chains.RollbackChain(chain_pb2.RollbackChainRequest(name=ROUTE))

    assert [share.chain for share in (await route(unsure)).shares] == [default]
