"""What may become of a recommendation, and when one is worth making. Pure.

The catalogue of recommendations and the planning loop ask it. A recommendation waits for a decision; what was
decided is carried out by the leader, and an end is an end.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from types import MappingProxyType
from typing import TypeAlias

from controlplane.planning.documents import COOL_DOWN_SECONDS
from enchain.chains.errors import OurError, PreconditionError
from enchain.v1 import recommendation_pb2

Recommendation = recommendation_pb2.Recommendation
State: TypeAlias = Recommendation.State.ValueType

OPEN = Recommendation.STATE_OPEN
APPROVED = Recommendation.STATE_APPROVED
REJECTED = Recommendation.STATE_REJECTED
SUPERSEDED = Recommendation.STATE_SUPERSEDED
EXPIRED = Recommendation.STATE_EXPIRED
APPLIED = Recommendation.STATE_APPLIED
FAILED = Recommendation.STATE_FAILED

TRANSITIONS: Mapping[State, frozenset[State]] = MappingProxyType(
    {
        OPEN: frozenset({APPROVED, REJECTED, SUPERSEDED, EXPIRED}),
        APPROVED: frozenset({APPLIED, FAILED, SUPERSEDED}),
        REJECTED: frozenset(),
        SUPERSEDED: frozenset(),
        EXPIRED: frozenset(),
        APPLIED: frozenset(),
        FAILED: frozenset(),
    }
)
"""What may follow what."""

LIFE = timedelta(hours=1)
"""How long one waits: by then demand is another."""

REJECTION = timedelta(days=1)
"""How long a chain that was rejected is not proposed again, unless it has a new revision."""

COOL_DOWN = timedelta(seconds=COOL_DOWN_SECONDS)

OVER_LIMIT = "OVER_LIMIT"
"""The reason that the automatic mode adds to a plan; it is none of the plan's own."""

KEPT = 100
"""Recommendations of one workload that are kept, the newest."""


def moved(recommendation: Recommendation, following: State, now: datetime) -> Recommendation:
    """Answer a recommendation in its next state.

    Raises:
        OurError: It may not follow.
    """
    if following not in TRANSITIONS.get(recommendation.state, frozenset()):
        names = Recommendation.State.Name(recommendation.state), Recommendation.State.Name(following)
        raise OurError(
            f"a recommendation does not go from {names[0]} to {names[1]}", reason="ILLEGAL_TRANSITION"
        )
    answer = Recommendation()
    answer.CopyFrom(recommendation)
    answer.state = following
    answer.update_time.FromDatetime(now)
    return answer


def expired(recommendation: Recommendation, now: datetime) -> bool:
    """Say whether one that waits has waited too long."""
    return recommendation.state == OPEN and recommendation.expire_time.seconds <= now.timestamp()


def check_open(recommendation: Recommendation, now: datetime) -> None:
    """Let people decide only what waits for a decision.

    Raises:
        PreconditionError: It does not, or no longer.
    """
    if recommendation.state == OPEN and not expired(recommendation, now):
        return
    late = expired(recommendation, now)
    word = "expired" if late else Recommendation.State.Name(recommendation.state)[len("STATE_") :].lower()
    raise PreconditionError(
        f"{recommendation.name} is {word} and waits for no decision",
        reason="NOT_OPEN",
        remedy="Look at the newest one: enchain recommendations list.",
        metadata={"name": recommendation.name, "state": word},
    )


def rejected_chains(recommendations: Sequence[Recommendation], now: datetime) -> list[str]:
    """Answer the chains that people said no to of late."""
    since = (now - REJECTION).timestamp()
    return sorted(
        {
            each.chosen.chain
            for each in recommendations
            if each.state == REJECTED and each.switches and each.update_time.seconds >= since
        }
    )


def advice(recommendation: Recommendation) -> tuple[object, ...]:
    """Answer what a recommendation says to do: the chain, and the target of each pool."""
    pools = sorted((pool.engine, pool.version, pool.target) for pool in recommendation.chosen.pools)
    chain = recommendation.chosen.chain if recommendation.switches else recommendation.current_chain
    return chain, tuple(pools)


def changes(recommendation: Recommendation) -> bool:
    """Say whether there is anything to do."""
    scaled = any(pool.target != pool.now for pool in recommendation.chosen.pools)
    return bool(recommendation.chosen.chain) and (recommendation.switches or scaled)


def news(made: Recommendation, before: Recommendation | None, now: datetime, *, over: bool) -> bool:
    """Say whether a plan is worth a recommendation of its own: it says to do something, and something else.

    The same advice again is news once the last word on it does not hold any more: nobody decided, a rejection
    is too old, or it was carried out, and the route was moved elsewhere since. Until the switch that carries
    it out has ended it is on its way.

    Args:
        made: What was planned.
        before: The newest recommendation of the workload.
        now: What time it is.
        over: The switch that carries out the one before has ended, or there is none.
    """
    if not changes(made):
        return False
    if before is None or before.state in {EXPIRED, FAILED} or advice(made) != advice(before):
        return True
    if before.state == REJECTED:
        return before.update_time.seconds < (now - REJECTION).timestamp()
    return before.state == APPLIED and made.switches and over


def over_limits(made: Recommendation, policy: recommendation_pb2.PlanningPolicy) -> str:
    """Answer which limit of the automatic mode a plan would break, in words; empty where none."""
    cost = made.chosen.cost_per_hour
    if policy.max_cost_per_hour and cost > policy.max_cost_per_hour:
        return f"it costs {cost:.2f} an hour, and planning.max_cost_per_hour is {policy.max_cost_per_hour:g}"
    if not made.chosen.feasible:
        return "it meets neither the service level nor every bound"
    for pool in made.chosen.pools:
        added = pool.target - pool.now
        if policy.max_added_instances and added > policy.max_added_instances:
            allowed = f"planning.max_added_instances is {policy.max_added_instances}"
            return f"it adds {added} instances of {pool.engine}, and {allowed}"
    return ""


def cool_down_of(policy: recommendation_pb2.PlanningPolicy) -> timedelta:
    """Answer for how long no switch follows another one."""
    return policy.cool_down.ToTimedelta() if policy.HasField("cool_down") else COOL_DOWN


def to_explore(made: Recommendation, policy: recommendation_pb2.PlanningPolicy) -> dict[str, float]:
    """Answer the shares of requests that chains are given so that they are measured, where it is by itself.

    Only in automatic mode, not while the plan moves the workload to another chain, and only what the limit of
    cost allows where the chain turned out as bad as one must think of it: its instances, and of the rest of
    its cost the share of requests that it is given.
    """
    if policy.mode != recommendation_pb2.PLANNING_MODE_AUTO or made.switches:
        return {}
    most = policy.max_cost_per_hour
    return {
        rival.chain: rival.explore_share
        for rival in made.rivals
        if rival.explore_share > 0 and not 0 < most < made.chosen.cost_per_hour + _explored_cost(rival)
    }


def _explored_cost(rival: recommendation_pb2.ChainOption) -> float:
    kept = float(rival.instances_cost)
    return kept + rival.explore_share * (rival.cost_per_hour - kept)
