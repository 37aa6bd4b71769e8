"""Recommendations in words and columns, for people.

`enchain.cli.commands.recommend` calls it. Pure: it decides nothing, and prints nothing itself.
"""

from collections.abc import Sequence
from datetime import UTC

from google.protobuf.duration_pb2 import Duration

from enchain.cli.output import last
from enchain.v1 import recommendation_pb2

Recommendation = recommendation_pb2.Recommendation
Option = recommendation_pb2.ChainOption

FOREVER_SECONDS = 86_400 * 365
MINUTE = 60
HOUR = 3600
SMALL = 0.0005


def state_word(recommendation: Recommendation) -> str:
    """Write a state as people say it."""
    return Recommendation.State.Name(recommendation.state).removeprefix("STATE_").lower()


def chain_word(name: str) -> str:
    """Write a chain without its workload, its revision cut short."""
    chain, at, revision = last(name).partition("@")
    return f"{chain}{at}{revision[:8]}"


def time_word(duration: Duration) -> str:
    """Write how long something takes: `840ms`, `12.3s`, `4m10s`, or that there is no end to it."""
    seconds = duration.ToNanoseconds() / 1e9
    if seconds >= FOREVER_SECONDS:
        return "no end"
    if seconds < 1:
        return f"{seconds * 1000:.0f}ms"
    if seconds < MINUTE:
        return f"{seconds:.1f}s"
    minutes, rest = divmod(round(seconds), MINUTE)
    if seconds < HOUR:
        return f"{minutes}m{rest:02d}s"
    return f"{minutes // MINUTE}h{minutes % MINUTE:02d}m"


def money(amount: float, currency: str) -> str:
    """Write an amount of money."""
    digits = 2 if abs(amount) >= 1 or abs(amount) < SMALL else 4
    return f"{amount:.{digits}f} {currency}".rstrip()


def share(part: float) -> str:
    """Write a share as a percentage."""
    return f"{part:.2%}" if 0 < part < 0.01 else f"{part:.1%}"  # noqa: PLR2004 - one more digit below 1 %


def asks(recommendation: Recommendation) -> bool:
    """Say whether there is anything to do."""
    return recommendation.switches or any(pool.target != pool.now for pool in recommendation.chosen.pools)


def headline(recommendation: Recommendation) -> str:
    """Say in one line what to do."""
    workload = recommendation.name.split("/")[1] if recommendation.name else "this workload"
    if not recommendation.chosen.chain:
        return f"{workload}: nothing can be recommended"
    chain = chain_word(recommendation.chosen.chain)
    if recommendation.switches:
        return f"{workload}: switch to {chain} (now {chain_word(recommendation.current_chain) or 'nothing'})"
    return f"{workload}: stay on {chain}" + (" and scale" if asks(recommendation) else "; nothing to do")


def lines(recommendation: Recommendation) -> list[str]:
    """Say what is recommended, why, and what it rests on."""
    chosen, currency = recommendation.chosen, recommendation.currency_code
    answer = [headline(recommendation)]
    answer += [f"  {reason.description}" for reason in recommendation.reasons]
    if not chosen.chain:
        return answer
    answer.append(
        f"  expected: {money(chosen.cost_per_hour, currency)} an hour, P95 {time_word(chosen.p95)}, "
        f"{share(chosen.miss_probability)} miss the service level"
    )
    answer.append(f"  of which: {_parts(chosen, currency)}")
    for pool in chosen.pools:
        count = f"{pool.now} → {pool.target}" if pool.now != pool.target else f"{pool.now}"
        answer.append(f"  {pool.engine} {pool.version}: {count} instances")
    if recommendation.binding_constraint:
        answer.append(f"  decided by: {recommendation.binding_constraint}")
    ahead = (
        f", {time_word(recommendation.lead_time)} ahead" if recommendation.lead_time.ToNanoseconds() else ""
    )
    answer.append(f"  planned for the {recommendation.quantile * 100:.4g} % quantile of demand{ahead}")
    return answer


def _parts(option: Option, currency: str) -> str:
    parts = {
        "instances": option.instances_cost,
        "requests": option.requests_cost,
        "misses": option.misses_cost,
        "waiting": option.waiting_cost,
        "the switch": option.switching_cost,
    }
    told = [f"{name} {money(amount, currency)}" for name, amount in parts.items() if amount]
    return ", ".join(told) or "nothing has a price"


RIVAL_COLUMNS = ("chain", "cost/h", "p95", "misses", "success", "measured", "why not")


def rival_rows(recommendation: Recommendation) -> list[list[str]]:
    """Answer a row for the chosen chain and each of its rivals."""
    rows = []
    for option in (recommendation.chosen, *recommendation.rivals):
        if option.chain:
            why = "; ".join(reason.description for reason in option.reasons)
            rows.append(
                [
                    chain_word(option.chain),
                    money(option.cost_per_hour, recommendation.currency_code),
                    time_word(option.p95),
                    share(option.miss_probability),
                    share(option.success),
                    f"{option.samples:.0f}",
                    why or "chosen",
                ]
            )
    return rows


LIST_COLUMNS = ("recommendation", "made", "state", "says", "cost/h", "decided")


def list_rows(found: Sequence[Recommendation]) -> list[list[str]]:
    """Answer a row for each recommendation."""
    return [
        [
            each.name.removeprefix("workloads/").replace("/recommendations/", "/"),
            each.create_time.ToDatetime(UTC).strftime("%Y-%m-%d %H:%M:%SZ"),
            state_word(each),
            headline(each).partition(": ")[2],
            money(each.chosen.cost_per_hour, each.currency_code),
            each.decision_reason,
        ]
        for each in found
    ]
