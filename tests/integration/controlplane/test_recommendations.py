"""Recommendations over gRPC and by the planning loop, on real etcd. Planning itself is tested beside."""

import asyncio
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any

import pytest

from controlplane.catalog.recommendation_rules import (
    APPLIED,
    APPROVED,
    EXPIRED,
    OPEN,
    REJECTED,
    SUPERSEDED,
    Recommendation,
)
from controlplane.loops.planning import PlanningLoop
from enchain.chains.errors import ConflictError, NotFoundError, PreconditionError
from enchain.process.clock import SystemClock
from enchain.state import keys
from enchain.state.codec import decode, encode
from enchain.v1 import (
    chain_pb2,
    pool_pb2,
    recommendation_pb2,
    recommendation_pb2_grpc,
)
from tests.harness.controlplane import Plane, refusal
from tests.harness.measuring_sites import measure, price
from tests.harness.site import PARENT, ROUTE, create_chain, save_site

AUTO = recommendation_pb2.PlanningPolicy(mode=recommendation_pb2.PLANNING_MODE_AUTO)
RECOMMEND = recommendation_pb2.PlanningPolicy(mode=recommendation_pb2.PLANNING_MODE_RECOMMEND)


def stub(plane: Plane) -> Any:
    return recommendation_pb2_grpc.RecommendationServiceStub(plane.channel)


def loop() -> PlanningLoop:
    return PlanningLoop(clock=SystemClock(), rng=Random(0))


async def generate(plane: Plane, **fields: Any) -> Recommendation:
    made: Recommendation = await stub(plane).GenerateRecommendation(
        recommendation_pb2.GenerateRecommendationRequest(parent=PARENT, **fields)
    )
    return made


async def get(plane: Plane, name: str = f"{PARENT}/recommendations/-") -> Recommendation:
    found: Recommendation = await stub(plane).GetRecommendation(
        recommendation_pb2.GetRecommendationRequest(name=name)
    )
    return found


async def every(plane: Plane) -> list[Recommendation]:
    answer = await stub(plane).ListRecommendations(
        recommendation_pb2.ListRecommendationsRequest(parent=PARENT)
    )
    return list(answer.recommendations)


@pytest.fixture
async def dear(site: Plane) -> Plane:
    """`site` on a chain of two engines, one of them dear, beside a cheap chain; both were measured."""
    return await furnished(site, RECOMMEND)


async def furnished(site: Plane, policy: recommendation_pb2.PlanningPolicy) -> Plane:
    await save_site(site, planning=policy)
    via = await create_chain(site, "via-files", {"serve": "files"})
    await price(site, "files", 0.01)
    await price(site, "serving", 0.5)
    route = await site.chains.GetRoute(chain_pb2.GetRouteRequest(name=ROUTE))
    await measure(site, route.shares[0].chain, {("configure", "files"): 1.0, ("serve", "serving"): 1.0})
    await measure(site, via.name, {("configure", "files"): 1.0, ("serve", "files"): 1.0})
    return site


async def in_force(plane: Plane) -> str:
    route = await plane.chains.GetRoute(chain_pb2.GetRouteRequest(name=ROUTE))
    return str(route.shares[0].chain).partition("@")[0].rpartition("/")[2]


async def test_the_cheaper_chain_is_recommended_with_its_rival_and_kept(dear: Plane) -> None:
    made = await generate(dear)

    assert made.state == OPEN
    assert made.switches
    assert "/chains/via-files@" in made.chosen.chain
    assert ["/chains/default@" in rival.chain for rival in made.rivals] == [True]
    assert made.chosen.samples == pytest.approx(40)
    assert made.chosen.cost_per_hour < made.rivals[0].cost_per_hour
    assert made.reasons
    assert await get(dear) == made
    assert await in_force(dear) == "default"


async def test_a_dry_run_keeps_nothing(dear: Plane) -> None:
    before = await dear.contents()

    made = await generate(dear, validate_only=True)

    assert made.chosen.chain
    assert await dear.contents() == before


async def test_the_same_request_is_answered_with_the_same_recommendation(dear: Plane) -> None:
    first = await generate(dear, request_id="once")

    assert await generate(dear, request_id="once") == first
    assert len(await every(dear)) == 1


async def test_a_newer_one_takes_the_place_of_one_that_waits(dear: Plane) -> None:
    first, second = await generate(dear), await generate(dear)

    assert [each.state for each in await every(dear)] == [OPEN, SUPERSEDED]
    assert [each.name for each in await every(dear)] == [second.name, first.name]


async def test_a_replay_comes_to_the_same_answer_and_notices_changed_inputs(dear: Plane) -> None:
    made = await generate(dear)
    request = recommendation_pb2.ReplayRecommendationRequest(name=made.name)

    answer = await stub(dear).ReplayRecommendation(request)
    assert answer.same, answer.differences

    key = keys.recommendation_inputs("site", made.name.rpartition("/")[2])
    item = await dear.store.get(key)
    assert item is not None
    inputs = decode(recommendation_pb2.PlanningInputs, item.value, key=key)
    inputs.engines[0].price_per_request = 99.0
    await dear.put_raw(key, encode(inputs))
    answer = await stub(dear).ReplayRecommendation(request)
    assert not answer.same
    assert "input_digest" in answer.differences


async def test_the_loop_carries_out_what_a_person_approves(dear: Plane) -> None:
    made = await generate(dear)
    approved = await stub(dear).ApproveRecommendation(
        recommendation_pb2.ApproveRecommendationRequest(name=made.name, etag=made.etag, reason="cheaper")
    )
    assert approved.state == APPROVED
    assert await in_force(dear) == "default"

    await loop().round(dear.store)

    applied = await get(dear, made.name)
    assert applied.state == APPLIED
    assert applied.decision_reason == "cheaper"
    assert await in_force(dear) == "via-files"
    switch = await dear.chains.GetChainSwitch(chain_pb2.GetChainSwitchRequest(name=applied.chain_switch))
    assert switch.recommendation == made.name
    assert switch.watch_timeout.seconds == 600
    item = await dear.store.get(keys.pool("files", "1.0"))
    assert item is not None
    assert decode(pool_pb2.Pool, item.value, key=item.key).demands[PARENT] > 0


async def test_what_is_approved_waits_until_no_experiment_holds_the_route(dear: Plane) -> None:
    made = await generate(dear)
    await stub(dear).ApproveRecommendation(recommendation_pb2.ApproveRecommendationRequest(name=made.name))
    item = await dear.store.get(keys.route("site"))
    assert item is not None
    held = decode(chain_pb2.Route, item.value, key=item.key)
    held.experiments.append(f"{PARENT}/experiments/which")
    await dear.put_raw(item.key, encode(held))

    await loop().round(dear.store)

    assert (await get(dear, made.name)).state == APPROVED
    assert await in_force(dear) == "default"

    del held.experiments[:]
    await dear.put_raw(item.key, encode(held))
    await loop().round(dear.store)

    assert (await get(dear, made.name)).state == APPLIED
    assert await in_force(dear) == "via-files"


async def test_carrying_out_twice_switches_once(dear: Plane) -> None:
    made = await generate(dear)
    await stub(dear).ApproveRecommendation(recommendation_pb2.ApproveRecommendationRequest(name=made.name))
    await loop().round(dear.store)
    # As if the leader had died before it wrote down that it was done.
    key = keys.recommendation("site", made.name.rpartition("/")[2])
    item = await dear.store.get(key)
    assert item is not None
    undone = decode(Recommendation, item.value, key=key)
    undone.state = APPROVED
    await dear.put_raw(key, encode(undone))

    await loop().round(dear.store)

    switches = await dear.chains.ListChainSwitches(chain_pb2.ListChainSwitchesRequest(parent=PARENT))
    assert len(switches.chain_switches) == 1
    assert (await get(dear, made.name)).state == APPLIED


async def test_a_rejected_chain_is_not_proposed_again(dear: Plane) -> None:
    made = await generate(dear)

    rejected = await stub(dear).RejectRecommendation(
        recommendation_pb2.RejectRecommendationRequest(name=made.name, reason="not on a Friday")
    )

    assert (rejected.state, rejected.decision_reason) == (REJECTED, "not on a Friday")
    again = await generate(dear)
    assert "/chains/default@" in again.chosen.chain
    assert not again.switches


async def test_what_was_decided_or_has_changed_is_refused(dear: Plane) -> None:
    made = await generate(dear)
    stale = recommendation_pb2.ApproveRecommendationRequest(name=made.name, etag="0" * 16)
    assert isinstance(await refusal(stub(dear).ApproveRecommendation(stale)), ConflictError)

    reject = recommendation_pb2.RejectRecommendationRequest(name=made.name)
    await stub(dear).RejectRecommendation(reject)
    assert (await stub(dear).RejectRecommendation(reject)).state == REJECTED

    approve = recommendation_pb2.ApproveRecommendationRequest(name=made.name)
    error = await refusal(stub(dear).ApproveRecommendation(approve))
    assert isinstance(error, PreconditionError)
    assert error.reason == "NOT_OPEN"


async def test_what_is_not_there_is_not_found_and_says_what_to_do(plane: Plane) -> None:
    error = await refusal(generate(plane))
    assert isinstance(error, NotFoundError)
    assert error.reason == "WORKLOAD_NOT_FOUND"
    error = await refusal(get(plane))
    assert error.reason == "NO_RECOMMENDATION_YET"
    assert "enchain recommend site" in error.remedy


async def test_automatic_mode_switches_by_itself_and_once(site: Plane) -> None:
    await furnished(site, AUTO)

    await loop().round(site.store)
    await loop().round(site.store)

    assert await in_force(site) == "via-files"
    (made,) = await every(site)
    assert (made.state, made.actor.subject) == (APPLIED, "enchain")


async def test_automatic_mode_respects_a_move_by_hand_says_so_and_goes_on_after_a_day(site: Plane) -> None:
    policy = recommendation_pb2.PlanningPolicy(mode=AUTO.mode)
    policy.cool_down.FromSeconds(0)
    await furnished(site, policy)
    await loop().round(site.store)
    assert await in_force(site) == "via-files"
    back = chain_pb2.RollbackChainRequest(name=ROUTE, reason="pages look odd")
    undoing = await site.chains.RollbackChain(back)

    await loop().round(site.store)
    asked = await generate(site, validate_only=True)

    assert await in_force(site) == "default"
    (rival,) = asked.rivals
    (held,) = (reason.description for reason in rival.reasons if reason.reason == "HELD")
    assert "moved the route to default" in held
    assert "(pages look odd)" in held

    key = keys.chain_switch("site", undoing.name.rpartition("/")[2])
    undoing.create_time.FromDatetime(datetime.now(UTC) - timedelta(days=1, minutes=1))
    undoing.state = chain_pb2.ChainSwitch.STATE_DONE
    undoing.ClearField("etag")
    await site.put_raw(key, encode(undoing))
    await loop().round(site.store)

    assert await in_force(site) == "via-files"
    assert (await get(site)).state == APPLIED


async def test_automatic_mode_leaves_what_is_over_a_limit_to_people(site: Plane) -> None:
    policy = recommendation_pb2.PlanningPolicy(mode=AUTO.mode, max_cost_per_hour=0.01)
    await furnished(site, policy)

    await loop().round(site.store)

    (made,) = await every(site)
    assert made.state == OPEN
    assert "OVER_LIMIT" in {reason.reason for reason in made.reasons}
    assert await in_force(site) == "default"
    request = recommendation_pb2.ReplayRecommendationRequest(name=made.name)
    answer = await stub(site).ReplayRecommendation(request)
    assert answer.same, answer.differences


async def test_forecast_only_is_left_alone(site: Plane) -> None:
    await furnished(site, recommendation_pb2.PlanningPolicy())
    before = await site.contents()

    await loop().round(site.store)

    assert await site.contents() == before


async def test_a_pinned_route_stays_where_it_is(site: Plane) -> None:
    await furnished(site, AUTO)
    await site.chains.PinRoute(chain_pb2.PinRouteRequest(name=ROUTE, reason="audit"))

    await loop().round(site.store)

    assert await in_force(site) == "default"


async def test_one_that_nobody_decides_on_expires(dear: Plane) -> None:
    made = await generate(dear)
    key = keys.recommendation("site", made.name.rpartition("/")[2])
    made.expire_time.FromDatetime(datetime.now(UTC) - timedelta(seconds=1))
    made.ClearField("etag")
    await dear.put_raw(key, encode(made))

    await loop().round(dear.store)

    states = {each.name: each.state for each in await every(dear)}
    assert states[made.name] == EXPIRED


async def test_of_several_that_were_made_at_once_one_is_left_open(dear: Plane) -> None:
    await asyncio.gather(*(generate(dear) for _ in range(4)))

    await loop().round(dear.store)

    assert [each.state for each in await every(dear)].count(OPEN) == 1
