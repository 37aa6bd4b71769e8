"""What may become of a recommendation, and when a plan is worth one."""

from datetime import UTC, datetime, timedelta

import pytest

from controlplane.catalog.recommendation_rules import (
    APPLIED,
    APPROVED,
    EXPIRED,
    LIFE,
    OPEN,
    REJECTED,
    REJECTION,
    SUPERSEDED,
    TRANSITIONS,
    Recommendation,
    State,
    check_open,
    expired,
    moved,
    news,
    over_limits,
    rejected_chains,
    to_explore,
)
from enchain.chains.errors import OurError, PreconditionError
from enchain.v1 import recommendation_pb2

NOW = datetime(2026, 11, 2, 9, tzinfo=UTC)
OLD, NEW = "workloads/site/chains/default@a", "workloads/site/chains/via-ansible@b"


def worth(
    made: Recommendation, before: Recommendation | None, *, at: datetime = NOW, over: bool = False
) -> bool:
    return news(made, before, at, over=over)


def recommendation(
    *, switches: bool = True, target: int = 3, now: int = 1, state: State = OPEN, cost: float = 1.0
) -> Recommendation:
    made = Recommendation(
        name="workloads/site/recommendations/01J00000000000000000000000",
        state=state,
        current_chain=OLD,
        switches=switches,
        chosen=recommendation_pb2.ChainOption(
            chain=NEW if switches else OLD,
            cost_per_hour=cost,
            feasible=True,
            pools=[recommendation_pb2.PoolPlan(engine="ansible", version="1", now=now, target=target)],
        ),
    )
    made.create_time.FromDatetime(NOW)
    made.update_time.FromDatetime(NOW)
    made.expire_time.FromDatetime(NOW + LIFE)
    return made


@pytest.mark.parametrize("state", TRANSITIONS)
@pytest.mark.parametrize("following", TRANSITIONS)
def test_only_what_the_table_allows_follows(state: State, following: State) -> None:
    if following in TRANSITIONS[state]:
        assert moved(recommendation(state=state), following, NOW).state == following
    else:
        with pytest.raises(OurError, match="does not go from"):
            moved(recommendation(state=state), following, NOW)


def test_one_waits_for_an_hour_and_no_longer() -> None:
    made = recommendation()

    check_open(made, NOW + LIFE - timedelta(seconds=1))
    assert not expired(made, NOW + LIFE - timedelta(seconds=1))
    assert expired(made, NOW + LIFE)
    with pytest.raises(PreconditionError, match="expired and waits for no decision"):
        check_open(made, NOW + LIFE)


@pytest.mark.parametrize("state", [APPROVED, REJECTED, SUPERSEDED, EXPIRED, APPLIED])
def test_what_is_decided_is_not_decided_again(state: State) -> None:
    with pytest.raises(PreconditionError) as caught:
        check_open(recommendation(state=state), NOW)

    assert caught.value.reason == "NOT_OPEN"


def test_a_plan_that_changes_nothing_is_no_news() -> None:
    assert not worth(recommendation(switches=False, target=1, now=1), None)
    assert not worth(Recommendation(switches=False), None)


def test_the_same_advice_is_no_news_whatever_runs_by_now() -> None:
    before = recommendation(target=3, now=1, state=APPLIED)

    assert not worth(recommendation(target=3, now=2), before)
    assert worth(recommendation(target=4, now=2), before)
    assert worth(recommendation(switches=False, target=3, now=2), before)


@pytest.mark.parametrize("state", [REJECTED, APPROVED, OPEN, SUPERSEDED])
def test_the_same_advice_is_no_news_while_the_last_word_on_it_stands(state: State) -> None:
    assert not worth(recommendation(), recommendation(state=state))


def test_advice_that_was_carried_out_is_news_again_once_the_route_was_moved_elsewhere() -> None:
    before = recommendation(state=APPLIED)

    assert not worth(recommendation(), before, over=False), "its switch is under way"
    assert worth(recommendation(), before, over=True)
    assert not worth(recommendation(switches=False), recommendation(switches=False, state=APPLIED), over=True)


def test_advice_that_was_rejected_is_news_again_after_a_day() -> None:
    before = recommendation(state=REJECTED)

    assert not worth(recommendation(), before, at=NOW + REJECTION, over=True)
    assert worth(recommendation(), before, at=NOW + REJECTION + timedelta(seconds=1))


def test_advice_that_expired_may_be_given_again() -> None:
    assert worth(recommendation(), recommendation(state=EXPIRED))


def test_a_rejected_chain_is_left_alone_for_a_day() -> None:
    rejected = recommendation(state=REJECTED)

    assert rejected_chains([rejected], NOW + REJECTION) == [NEW]
    assert rejected_chains([rejected], NOW + REJECTION + timedelta(seconds=1)) == []


def test_rejecting_more_instances_rejects_no_chain() -> None:
    assert rejected_chains([recommendation(switches=False, state=REJECTED)], NOW) == []


def test_automatic_mode_keeps_within_each_limit() -> None:
    policy = recommendation_pb2.PlanningPolicy(max_cost_per_hour=2.0, max_added_instances=2)

    assert over_limits(recommendation(cost=2.0), policy) == ""
    assert "max_cost_per_hour is 2" in over_limits(recommendation(cost=2.1), policy)
    assert "adds 3 instances of ansible" in over_limits(recommendation(target=4), policy)


def test_automatic_mode_explores_what_the_plan_asks_for_within_the_limit_of_cost() -> None:
    auto, share = recommendation_pb2.PLANNING_MODE_AUTO, 0.1
    made = recommendation(switches=False, cost=1.0)
    made.rivals.add(chain=NEW, explore_share=share, instances_cost=0.5, cost_per_hour=5.5)
    made.rivals.add(chain=OLD, cost_per_hour=0.1)

    def asked(**policy: float) -> dict[str, float]:
        return to_explore(made, recommendation_pb2.PlanningPolicy(mode=auto, **policy))  # type: ignore[arg-type]  # fields by name

    assert asked() == asked(max_cost_per_hour=2.0) == {NEW: share}
    assert asked(max_cost_per_hour=1.9) == {}, "1, an instance for 0.5, and a tenth of the other 5"
    assert to_explore(made, recommendation_pb2.PlanningPolicy()) == {}
    made.switches = True
    assert asked() == {}


def test_automatic_mode_leaves_what_breaks_promises_to_people() -> None:
    made = recommendation()
    made.chosen.feasible = False

    assert "neither the service level" in over_limits(made, recommendation_pb2.PlanningPolicy())
