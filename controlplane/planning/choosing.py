"""Which of the options is taken, by the policy: pins, cool-down, hysteresis, rejections, exploration. Pure.

Planning calls it; explaining words what it decides. It must not look at anything but options and the policy.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from controlplane.planning.options import Judged
from controlplane.planning.problem import Problem
from controlplane.planning.rules import ENOUGH_SAMPLES, EXPLORED_MAX


class Why(StrEnum):
    """Why the chosen chain was chosen. The values are the codes that recommendations tell."""

    CHEAPEST = "CHEAPEST"
    ONLY_ONE_THAT_KEEPS = "KEEPS_SERVICE_LEVEL"
    LEAST_BAD = "NOTHING_FEASIBLE"
    PINNED = "ROUTE_PINNED"
    COOL_DOWN = "COOL_DOWN"
    HYSTERESIS = "SAVES_TOO_LITTLE"
    FIRST = "NO_CHAIN_IN_FORCE"
    WAITS = "WAITS_FOR_SHARED_POOL"
    SETTLED = "SETTLED_WITH_OTHERS"


@dataclass(frozen=True, slots=True)
class Choice:
    """What is taken.

    Attributes:
        chosen: The chain to take.
        best: The best one if policy were no matter; mostly the same.
        ranked: All others, the best first.
        why: What decided.
        left_seconds: What is left of the cool-down.
        explored: The share of requests that chains should be given so that they are measured, by chain.
    """

    chosen: Judged
    best: Judged
    ranked: tuple[Judged, ...]
    why: Why
    left_seconds: float
    explored: dict[str, float]


def choose(problem: Problem, options: Sequence[Judged], hopeful: Sequence[Judged]) -> Choice:
    """Choose one of the options.

    Args:
        problem: What is planned for.
        options: At least one, as one should cautiously believe them to be.
        hopeful: The same, as they may turn out to be.
    """
    ranked = sorted(options, key=lambda one: _rank(problem, one))
    no = problem.rejected - {problem.current}
    takeable = [one for one in ranked if one.option.chain not in no] or ranked
    best = takeable[0]
    current = next((one for one in ranked if one.option.chain == problem.current), None)
    left = _cool_down_left(problem)
    chosen, why = _decided(problem, best, current, left)
    settled = next((one for one in ranked if one.option.chain == problem.settled), None)
    if settled is not None and settled is not chosen:
        chosen, why = settled, Why.WAITS if settled is current else Why.SETTLED
    others = tuple(one for one in ranked if one is not chosen)
    explored = {} if problem.pinned else _explored(problem, chosen, hopeful)
    return Choice(chosen, best, others, why, left, explored)


def _decided(problem: Problem, best: Judged, current: Judged | None, left: float) -> tuple[Judged, Why]:
    fair = Why.CHEAPEST if best.option.feasible else Why.LEAST_BAD
    if current is None:
        return best, Why.FIRST if best.option.feasible else Why.LEAST_BAD
    if problem.pinned or best is current:
        return current, Why.PINNED if problem.pinned else fair
    rescues = best.option.feasible and not current.option.feasible
    if left > 0 and not (rescues and not current.kept_now):
        return current, Why.COOL_DOWN
    if rescues:
        return best, Why.ONLY_ONE_THAT_KEEPS
    if _badness(problem, best) > (1 - problem.policy.hysteresis) * _badness(problem, current):
        return current, Why.HYSTERESIS
    return best, fair


def _rank(problem: Problem, one: Judged) -> tuple[bool, float, float, bool, str]:
    """Order options: first those that keep the service level, then by cost; ties go to the one in force."""
    return (
        not one.option.feasible,
        _badness(problem, one),
        one.option.cost.total,
        one.option.chain != problem.current,
        one.option.chain,
    )


def _badness(problem: Problem, one: Judged) -> float:
    """Answer what is to be small: money, or misses where they have no price and cannot be helped."""
    if one.option.feasible or problem.promise.miss_price > 0:
        return one.option.cost.total
    return one.option.miss_probability


def _cool_down_left(problem: Problem) -> float:
    if problem.switch_time is None:
        return 0.0
    return max(0.0, problem.switch_time + problem.policy.cool_down_seconds - problem.time)


def _explored(problem: Problem, chosen: Judged, hopeful: Sequence[Judged]) -> dict[str, float]:
    """Share out what may be explored among chains of which too little is known and that might be better."""
    if problem.policy.exploration <= 0:
        return {}
    promising = [one for one in hopeful if might_win(problem, chosen, one)]
    promising.sort(key=lambda one: (one.option.cost.total, one.option.chain))
    taken = promising[:EXPLORED_MAX]
    return {one.option.chain: problem.policy.exploration / len(taken) for one in taken}


def might_win(problem: Problem, chosen: Judged, hopeful: Judged) -> bool:
    """Say whether a chain of which too little is known may turn out better than the chosen one."""
    option = hopeful.option
    if option.chain in {chosen.option.chain, problem.current} or option.chain in problem.rejected:
        return False
    if option.samples >= ENOUGH_SAMPLES or not option.feasible:
        return False
    return not chosen.option.feasible or option.cost.total < chosen.option.cost.total
