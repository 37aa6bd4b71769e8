"""What came of the demonstration: figures and promises as plain data, a table, and the picture."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table

from enchain.v1 import chain_pb2, recommendation_pb2
from examples.demo_scaling.replaying import STEP, Outcome
from examples.demo_scaling.stage import CURRENCY, ENCHAIN, LARGE, MISS_PRICE, POLICIES, REACTIVE
from examples.demo_scaling.watching import short

WIDTH = 110


def document(outcomes: Sequence[Outcome], *, seconds: float) -> dict[str, Any]:
    """Answer everything as plain data."""
    traces = {outcome.replay.name: _trace(outcome) for outcome in outcomes}
    totals = {policy: _total(traces, policy) for policy in POLICIES}
    switches = [switch for trace in traces.values() for switch in trace["switches"]]
    return {
        "traces": traces,
        "totals": totals,
        "seconds": round(seconds, 1),
        "promises": {
            "no request failed": not any(total["failed"] for total in totals.values()),
            "a switch was made ahead of the demand that needed it": any(each["ahead"] for each in switches),
            "fewer misses than reactive scaling": totals[ENCHAIN]["missed"] < totals[REACTIVE]["missed"],
            "less cost than reactive scaling": totals[ENCHAIN]["cost"] < totals[REACTIVE]["cost"],
        },
    }


def _trace(outcome: Outcome) -> dict[str, Any]:
    return {
        "steps": len(outcome.replay.coming),
        "headroom_of_reactive": outcome.headroom,
        "instances_of_static": outcome.static,
        "policies": {policy: _policy(outcome, policy) for policy in POLICIES},
        "switches": [_switch(outcome, place) for place in range(len(outcome.switches))],
        "recommendations": [_recommendation(outcome, each) for each in outcome.recommendations],
    }


def _recommendation(outcome: Outcome, made: recommendation_pb2.Recommendation) -> dict[str, Any]:
    """Answer what was advised when, what each chain was expected to cost an hour, and why."""
    options = [option for option in (made.chosen, *made.rivals) if option.chain]
    return {
        "step": int((made.create_time.ToMilliseconds() / 1e3 - outcome.began) / STEP),
        "switches": made.switches,
        "state": recommendation_pb2.Recommendation.State.Name(made.state).removeprefix("STATE_").lower(),
        "chosen": short(made.chosen.chain),
        "cost_per_hour": {short(option.chain): round(option.cost_per_hour, 3) for option in options},
        "targets": {pool.engine: pool.target for option in options for pool in option.pools},
        "reasons": [reason.description for reason in made.reasons],
    }


def _policy(outcome: Outcome, policy: str) -> dict[str, Any]:
    mine = [request for request in outcome.requests if request.policy == policy]
    metered = sum(short(request.chain) == "metered" for request in mine)
    took = [request.seconds for request in mine] or [0.0]
    return {
        "requests": len(mine),
        "failed": sum(bool(request.failed) for request in mine),
        "first_failure": next((request.failed for request in mine if request.failed), ""),
        "missed": sum(request.missed for request in mine),
        "metered": metered,
        "p95_seconds": round(float(np.quantile(took, 0.95)), 3),
        "instance_hours": round(outcome.watched.instance_hours(policy), 5),
        "large_hours": round(outcome.watched.instance_hours(LARGE), 5) if policy == ENCHAIN else 0.0,
        "cost": round(outcome.watched.cost(policy, metered), 5),
    }


def _switch(outcome: Outcome, place: int) -> dict[str, Any]:
    switch = outcome.switches[place]
    decided = switch.create_time.ToMilliseconds() / 1e3 - outcome.began
    needed = outcome.needed[place] if place < len(outcome.needed) else None
    step = int(decided / STEP)
    return {
        "to": short(switch.to.shares[0].chain),
        "state": chain_pb2.ChainSwitch.State.Name(switch.state).removeprefix("STATE_").lower(),
        "step": step,
        "needed_from_step": needed,
        # What was decided before the replay began was ahead of nothing that it shows.
        "ahead": step >= 0 and needed is not None and needed > step,
        "reason": switch.reason,
    }


def _total(traces: dict[str, Any], policy: str) -> dict[str, Any]:
    mine = [trace["policies"][policy] for trace in traces.values()]
    total = {key: sum(each[key] for each in mine) for key in ("requests", "failed", "missed")}
    cost = sum(each["cost"] for each in mine)
    return total | {"cost": round(cost, 5), "cost_with_misses": round(cost + MISS_PRICE * total["missed"], 5)}


def show(told: dict[str, Any]) -> None:
    """Print tables."""
    console = Console(width=WIDTH)
    table = Table(title=f"misses, and cost in {CURRENCY}", title_justify="left", box=None)
    for column in (
        "trace",
        "policy",
        "requests",
        "failed",
        "missed",
        "P95",
        "instance hours",
        "large",
        "metered",
        "cost",
    ):
        table.add_column(column, justify="left" if column in {"trace", "policy"} else "right")
    for name, trace in told["traces"].items():
        for policy, each in trace["policies"].items():
            table.add_row(
                name, policy, str(each["requests"]), str(each["failed"]), str(each["missed"]),
                f"{each['p95_seconds']:.2f} s", f"{each['instance_hours']:.4f}", f"{each['large_hours']:.4f}",
                str(each["metered"]), f"{each['cost']:.4f}",
            )  # fmt: skip
    for policy, each in told["totals"].items():
        counts = (str(each[key]) for key in ("requests", "failed", "missed"))
        table.add_row("all", policy, *counts, "", "", "", "", f"{each['cost']:.4f}")
    console.print(table)
    for name, trace in told["traces"].items():
        for switch in trace["switches"]:
            needed = switch["needed_from_step"]
            when = f"needed from step {needed}" if needed is not None else "no step needed it"
            console.print(f"{name}: step {switch['step']}: to {switch['to']}, {switch['state']}; {when}")
    for promise, kept in told["promises"].items():
        console.print(f"{'kept  ' if kept else 'BROKEN'}  {promise}")
