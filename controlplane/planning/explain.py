"""Why a plan is as it is, in plain words with numbers, each under a stable code. Pure.

Planning fills in the reasons with it. Programs compare codes, people read words; `docs/planning.md` lists the
codes. It must not decide anything.
"""

import math
from collections.abc import Iterator

from controlplane.planning import binding
from controlplane.planning.choosing import Choice, Why, might_win
from controlplane.planning.options import Judged, Sizing
from controlplane.planning.problem import EngineVersion, PoolFacts, Problem, Reason
from controlplane.planning.rules import ENOUGH_SAMPLES


def of_plan(problem: Problem, choice: Choice) -> tuple[Reason, ...]:
    """Say why this chain, for which demand, and what is uncertain about it."""
    return (
        _chosen(problem, choice),
        _demand(problem, choice.chosen),
        *_obstacles(problem, choice.chosen),
        *_beyond(choice.chosen),
        *_unmeasured(choice.chosen),
        *_explored(choice),
    )


def of_rival(problem: Problem, choice: Choice, rival: Judged, hopeful: Judged) -> tuple[Reason, ...]:
    """Say why a chain was not chosen."""
    return (
        *_rejected(problem, rival),
        *_obstacles(problem, rival),
        *_dearer(problem, choice, rival),
        *_held_back(problem, choice, rival),
        *_unmeasured(rival),
        *_promising(problem, choice, hopeful),
    )


def _chosen(problem: Problem, choice: Choice) -> Reason:
    chosen = choice.chosen.option
    words = {
        Why.CHEAPEST: f"{_short(chosen.chain)} costs least of the chains that keep the service level: "
        f"{_money(chosen.cost.total, problem)} an hour",
        Why.FIRST: f"no chain is in force; {_short(chosen.chain)} costs least of those that keep the service "
        f"level: {_money(chosen.cost.total, problem)} an hour",
        Why.ONLY_ONE_THAT_KEEPS: f"{_short(chosen.chain)} keeps the service level, and "
        f"{_short(problem.current)}, which is in force, does not",
        Why.LEAST_BAD: f"no chain keeps the service level; {_short(chosen.chain)} misses it least: "
        f"{_share(chosen.miss_probability)} of provisions",
        Why.PINNED: f"the route is pinned to {_short(chosen.chain)}",
        Why.COOL_DOWN: f"the route was moved a short while ago and stays on {_short(chosen.chain)} for "
        f"another {_time(choice.left_seconds)}",
        Why.WAITS: f"{_short(choice.best.option.chain)} would be better, but other workloads move first, and "
        f"its pools have no room for all of them at once; {_short(chosen.chain)} stays until the next plan",
        Why.SETTLED: f"{_short(chosen.chain)} was best as the pools stood before other workloads that share "
        "them were planned together with it",
        Why.HYSTERESIS: f"{_short(choice.best.option.chain)} would save less than the "
        f"{_share(problem.policy.hysteresis)} that a change must save, so that {_short(chosen.chain)} stays",
    }
    return Reason(choice.why.value, words[choice.why])


def _demand(problem: Problem, one: Judged) -> Reason:
    rate = f"{_number(one.planned_rate)} provisions an hour"
    lead = f"within {_time(one.option.lead_seconds)}, the time that instances take to start"
    if one.planned_rate > one.forecast_rate:
        return Reason(
            "SIZED_FOR_RECENT_DEMAND",
            f"planned for {rate}, as many as came at most of late; the forecast expects "
            f"{_number(one.forecast_rate)} at its quantile {one.option.quantile:.3g} {lead}",
        )
    why = "which the price of a miss implies" if problem.promise.miss_price > 0 else "as was promised"
    if problem.promise.miss_price <= 0 and problem.promise.p95_seconds <= 0:
        why = "as neither a time is promised nor a miss has a price"
    return Reason(
        "SIZED_FOR_FORECAST",
        f"planned for {rate}: the most at the forecast's quantile {one.option.quantile:.3g}, {why}, {lead}",
    )


def _obstacles(problem: Problem, one: Judged) -> Iterator[Reason]:
    promise = problem.promise
    name = _short(one.option.chain)
    if not one.succeeds:
        yield Reason(
            "FAILS_TOO_OFTEN",
            f"{name} succeeds in {_share(one.row.success)} of provisions; "
            f"{_share(promise.success)} are promised",
        )
    if binding.too_slow_alone(one):
        yield Reason(
            "TOO_SLOW",
            f"{name} takes {_time(one.fastest_seconds)} at P95 even where nothing waits; "
            f"{_time(promise.p95_seconds)} are promised",
        )
        return
    walls = [_wall(pool, size.worked, size.size) for pool, size in _pools(one) if size.short]
    yield from walls
    if not one.option.feasible and not walls and one.succeeds:
        late = "later on" if one.kept_now else "now"
        yield Reason(
            "QUEUES_TOO_LONG",
            f"{name} keeps the promised {_time(promise.p95_seconds)} only with more instances than it may "
            f"have {late}; P95 is {_time(one.option.p95_seconds)}",
        )


def _wall(pool: PoolFacts, needed: int, size: int) -> Reason:
    words = {
        binding.POOL_PINNED: ("POOL_PINNED", "its pool is pinned to"),
        binding.POOL_MAX: ("POOL_AT_MAXIMUM", "its pool may have at most"),
        binding.POOL_STATIC: ("POOL_STATIC", "others run its instances, and there are"),
    }
    code, limit = words[binding.wall(pool)]
    return Reason(code, f"{pool.engine} needs {needed} instances; {limit} {size}")


def _beyond(one: Judged) -> Iterator[Reason]:
    for pool, size in _pools(one):
        if size.size > size.honoured:
            yield Reason(
                "EXCEEDS_MAXIMUM",
                f"{pool.engine} is planned with {size.size} instances, beyond its maximum of "
                f"{size.honoured}, as the policy allows",
            )


def _dearer(problem: Problem, choice: Choice, rival: Judged) -> Iterator[Reason]:
    chosen, other = choice.chosen.option, rival.option
    if not other.feasible or not chosen.feasible or other.cost.total < chosen.cost.total:
        return
    parts = {
        "for instances": other.cost.instances - chosen.cost.instances,
        "for requests": other.cost.requests - chosen.cost.requests,
        "for misses": other.cost.misses - chosen.cost.misses,
        "for waiting": other.cost.waiting - chosen.cost.waiting,
        "for the change itself": other.cost.switching - chosen.cost.switching,
    }
    most = max(parts, key=lambda part: parts[part])
    difference = other.cost.total - chosen.cost.total
    if difference <= 0:
        yield Reason("COSTS_AS_MUCH", f"it costs as much: {_money(other.cost.total, problem)} an hour")
        return
    yield Reason(
        "COSTS_MORE",
        f"it costs {_money(other.cost.total, problem)} an hour, {_money(difference, problem)} more; most of "
        f"that {most}: {_money(parts[most], problem)}",
    )


def _held_back(problem: Problem, choice: Choice, rival: Judged) -> Iterator[Reason]:
    """Say why a chain that would have been better was not taken."""
    chosen, other = choice.chosen.option, rival.option
    better = other.feasible and (not chosen.feasible or other.cost.total < chosen.cost.total)
    if not better or other.chain in problem.rejected:
        return
    saved = chosen.cost.total - other.cost.total
    share = _share(saved / chosen.cost.total) if chosen.cost.total > 0 else _share(0)
    words = {
        Why.PINNED: "the route is pinned",
        Why.SETTLED: "it was not as good before other workloads moved, and may be taken by the next plan",
        Why.WAITS: "other workloads that save more move first, and its pools have no room for all at once",
        Why.COOL_DOWN: f"no switch for another {_time(choice.left_seconds)} after the last one",
        Why.HYSTERESIS: f"it saves {share}, less than the {_share(problem.policy.hysteresis)} that a change "
        "must save",
    }
    if choice.why in words:
        yield Reason(choice.why.value, words[choice.why])


def _rejected(problem: Problem, rival: Judged) -> Iterator[Reason]:
    chain = rival.option.chain
    if chain not in problem.rejected or chain == problem.current:
        return
    objections = dict(problem.objections)
    if chain in objections:
        yield Reason("HELD", objections[chain])
    else:
        yield Reason("REJECTED", "a person said no to it, and what it rested on has not changed")


def _unmeasured(one: Judged) -> Iterator[Reason]:
    few: dict[EngineVersion, tuple[float, list[str]]] = {}
    for call in one.row.candidate.calls:
        if call.samples < ENOUGH_SAMPLES:
            known, steps = few.setdefault(call.engine, (call.samples, []))
            few[call.engine] = (min(known, call.samples), [*steps, "+".join(call.steps)])
    for engine, (samples, steps) in few.items():
        if samples <= 0:
            yield Reason("UNMEASURED", f"{engine} was never measured at {', '.join(steps)}")
        else:
            yield Reason(
                "FEW_MEASUREMENTS",
                f"{engine} was measured {_number(samples)} times at {', '.join(steps)}; "
                f"{_number(ENOUGH_SAMPLES)} are enough",
            )


def _promising(problem: Problem, choice: Choice, hopeful: Judged) -> Iterator[Reason]:
    if not might_win(problem, choice.chosen, hopeful):
        return
    could = f"it could cost as little as {_money(hopeful.option.cost.total, problem)} an hour"
    share = choice.explored.get(hopeful.option.chain, 0.0)
    if share > 0:
        yield Reason("EXPLORE", f"{could}: {_share(share)} of requests would tell")
    else:
        yield Reason("COULD_BE_BETTER", f"{could}; the policy leaves no share for exploring it")


def _explored(choice: Choice) -> Iterator[Reason]:
    if choice.explored:
        names = ", ".join(_short(chain) for chain in choice.explored)
        total = sum(choice.explored.values())
        yield Reason("EXPLORES", f"{_share(total)} of requests should go to {names}, so that it is measured")


def _pools(one: Judged) -> Iterator[tuple[PoolFacts, Sizing]]:
    return zip(one.row.pools, one.sizings, strict=True)


def _short(chain: str) -> str:
    """Answer a chain's name without its workload."""
    return chain.rpartition("/")[2] or "the chain in force"


def _money(amount: float, problem: Problem) -> str:
    text = f"{amount:,.2f}" if abs(amount) >= 1 else f"{amount:.3g}"
    return f"{text} {problem.currency}".rstrip()


def _share(share: float) -> str:
    percent = 100 * share
    return f"{percent:.4g} %" if percent >= 1 or percent == 0 else f"{percent:.2g} %"


def _number(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"  # noqa: PLR2004 - three digits


def _time(seconds: float) -> str:
    if not math.isfinite(seconds):
        return "without end"
    if seconds < 120:  # noqa: PLR2004 - two minutes
        return f"{seconds:.3g} s"
    return f"{seconds / 60:.3g} min" if seconds < 7200 else f"{seconds / 3600:.3g} h"  # noqa: PLR2004 - two hours
