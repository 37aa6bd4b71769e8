"""What a run found, as a table for people and as JSON for machines."""

from collections import Counter
from dataclasses import asdict
from typing import Any

from benchmarks.chaos.plan import KINDS, Plan
from benchmarks.chaos.telling import Told
from benchmarks.chaos.verdict import Account


def summary(plan: Plan, account: Account, wrong: list[str], seconds: dict[str, float]) -> dict[str, Any]:
    """Answer everything, ready for JSON."""
    told = account.told
    hit = [done for done in account.faults if done.hit]
    attempts = [t for t in told if t.move != "heal"]
    return {
        "seed": plan.seed,
        "operations": len(attempts),
        "as_meant": len([t for t in attempts if t.as_meant]),
        "ends": dict(Counter(f"{t.move} {t.state or 'nothing'}" for t in told)),
        "not_as_meant": [not_as_meant(t) for t in told if not t.as_meant],
        "adopted": len({t.operation for t in told if t.adopted}),
        "adoptions": sum(t.adopted for t in told),
        "reattached": sum(t.reattached for t in told),
        "faults": {
            kind: len([d for d in account.faults if d.fault.kind == kind and d.target]) for kind in KINDS
        },
        "faults_hitting_a_step": len(hit),
        "faults_by_role": dict(Counter(d.fault.role for d in account.faults if d.target)),
        "effects": sum(account.seen.made.values()),
        "effects_repeated": len(account.seen.repeated),
        "removals": sum(account.seen.removed.values()),
        "resources_standing": len(account.standing.resources),
        "things_standing": len(account.standing.things) + len(account.standing.services),
        "seconds": seconds,
        "longest_operation_seconds": max((t.seconds for t in told), default=0.0),
        "schedule": [
            {**asdict(d.fault), "target": d.target, "at": d.after_seconds, "operations": d.operations}
            for d in account.faults
        ],
        "wrong": wrong,
    }


def not_as_meant(told: Told) -> dict[str, str]:
    """Answer what is to be known of an operation that did not end as it was meant to."""
    reason = told.reason or told.error
    return {
        "story": told.story,
        "move": told.move,
        "operation": told.operation,
        "state": told.state,
        "reason": reason,
    }


def table(found: dict[str, Any]) -> str:
    """Answer it as a table."""
    rows = [(name.replace("_", " "), found[name]) for name in found if name not in {"schedule", "wrong"}]
    rows = [(name, value) for name, value in rows if name != "not as meant"]
    lines = [f"  {name:28} {_cell(value)}" for name, value in rows]
    lines += [
        f"  not as meant: {story['story']} {story['move']} {story['state']} {story['reason']}"
        for story in found.get("not_as_meant", ())
    ]
    lines += [f"  WRONG: {sentence}" for sentence in found["wrong"]]
    return "\n".join(lines)


def _cell(value: Any) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{name} {each}" for name, each in value.items())
    return str(value)
