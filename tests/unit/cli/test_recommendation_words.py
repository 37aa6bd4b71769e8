"""Recommendations in words: what to do comes first, and nothing is asked where there is nothing to do."""

import pytest
from google.protobuf.duration_pb2 import Duration

from enchain.cli.recommendations import (
    Recommendation,
    asks,
    headline,
    lines,
    money,
    rival_rows,
    share,
    time_word,
)
from enchain.v1 import recommendation_pb2


def recommendation(*, switches: bool, target: int) -> Recommendation:
    pool = recommendation_pb2.PoolPlan(engine="ansible", version="2", now=1, target=target)
    reasons = [recommendation_pb2.PlanReason(reason="CHEAPEST", description="it saves 2.00 EUR an hour")]
    made = Recommendation(
        name="workloads/site/recommendations/01J00000000000000000000000",
        current_chain="workloads/site/chains/default@0123456789ab",
        switches=switches,
        chosen=recommendation_pb2.ChainOption(
            chain="workloads/site/chains/via-ansible@abcdef012345",
            cost_per_hour=1.25,
            instances_cost=1.0,
            misses_cost=0.25,
            miss_probability=0.004,
            pools=[pool],
        ),
        rivals=[
            recommendation_pb2.ChainOption(
                chain="workloads/site/chains/default@0123456789ab", reasons=reasons
            )
        ],
        quantile=0.95,
        currency_code="EUR",
    )
    made.chosen.p95.FromMilliseconds(12_300)
    return made


@pytest.mark.parametrize(
    ("switches", "target", "words"),
    [
        (True, 1, "site: switch to via-ansible@abcdef01 (now default@01234567)"),
        (False, 3, "site: stay on via-ansible@abcdef01 and scale"),
        (False, 1, "site: stay on via-ansible@abcdef01; nothing to do"),
    ],
)
def test_what_to_do_comes_first(switches: bool, target: int, words: str) -> None:
    made = recommendation(switches=switches, target=target)

    assert headline(made) == words
    assert asks(made) == (switches or target != 1)


def test_money_promises_and_instances_are_told() -> None:
    told = "\n".join(lines(recommendation(switches=True, target=3)))

    assert "expected: 1.25 EUR an hour, P95 12.3s, 0.40% miss the service level" in told
    assert "of which: instances 1.00 EUR, misses 0.2500 EUR" in told
    assert "ansible 2: 1 → 3 instances" in told
    assert "planned for the 95 % quantile of demand" in told


def test_every_rival_says_why_not() -> None:
    chosen, rival = rival_rows(recommendation(switches=True, target=1))

    assert chosen[-1] == "chosen"
    assert rival[0] == "default@01234567"
    assert rival[-1] == "it saves 2.00 EUR an hour"


def test_nothing_to_recommend_is_said_as_such() -> None:
    nothing = Recommendation(name="workloads/site/recommendations/x")

    assert headline(nothing) == "site: nothing can be recommended"
    assert rival_rows(nothing) == []


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(0.84, "840ms"), (12.34, "12.3s"), (250, "4m10s"), (7260, "2h01m"), (315_576_000_000, "no end")],
)
def test_times_read_as_people_say_them(seconds: float, words: str) -> None:
    assert time_word(Duration(seconds=int(seconds), nanos=round(seconds % 1 * 1e9))) == words


def test_small_amounts_and_shares_keep_their_digits() -> None:
    assert (money(0.0123, "EUR"), money(0.0, "EUR"), money(12.345, "")) == ("0.0123 EUR", "0.00 EUR", "12.35")
    assert (share(0.0042), share(0.25), share(0.0)) == ("0.42%", "25.0%", "0.0%")
