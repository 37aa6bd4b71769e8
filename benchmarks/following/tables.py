"""What the follow suite prints, as tables and as JSON. Pure."""

import math
from collections import Counter
from collections.abc import Sequence
from typing import Any

from benchmarks.following.planning import Kind
from benchmarks.following.recovery import Recovery
from benchmarks.following.running import Outcome


def summary(outcomes: Sequence[Outcome], seconds: float) -> dict[str, Any]:
    """Answer all figures of the runs."""
    faults: Counter[Kind] = Counter()
    figures: Counter[str] = Counter()
    for outcome in outcomes:
        faults += outcome.faults
        figures.update({k: v for k, v in outcome.figures.items() if k != "longest history"})
    longest = max((outcome.figures["longest history"] for outcome in outcomes), default=0)
    return {
        "runs": len(outcomes),
        "failed": [failure(outcome) for outcome in outcomes if outcome.complaints],
        "seconds": round(seconds, 1),
        "faults": {kind.value: faults[kind] for kind in Kind},
        "runs by main fault": {kind.value: sum(o.plan.kind is kind for o in outcomes) for kind in Kind},
        "figures": {**figures, "longest history": longest},
    }


def failure(outcome: Outcome) -> dict[str, Any]:
    """Answer what is needed to replay a run that failed."""
    return {
        "seed": outcome.plan.seed,
        "complaints": outcome.complaints,
        "schedule": str(outcome.plan),
        "replay": f"python -m benchmarks.follow_suite --seed {outcome.plan.seed} --runs 1",
    }


def failure_text(outcome: Outcome) -> str:
    """Answer the same for people."""
    told = failure(outcome)
    return "\n".join(
        [
            f"FAILED seed {told['seed']}",
            *(f"  {complaint}" for complaint in told["complaints"]),
            f"  {told['schedule']}",
            f"  {told['replay']}",
        ]
    )


def summary_table(told: dict[str, Any]) -> str:
    """Answer the figures of the runs as a table."""
    rows = [
        (kind, str(told["runs by main fault"][kind]), str(count)) for kind, count in told["faults"].items()
    ]
    lines = _columns([("fault", "runs about it", "faults"), *rows])
    lines += ["", *_columns([(name, str(value)) for name, value in told["figures"].items()])]
    per_minute = 60 * told["runs"] / max(told["seconds"], 1e-9)
    pace = f"{told['seconds']} s ({per_minute:.0f} a minute)"
    lines += ["", f"{told['runs']} runs in {pace}, {len(told['failed'])} failed"]
    return "\n".join(lines)


def recovery(row: Recovery) -> dict[str, Any]:
    """Answer the figures of one kind of fault."""
    p99 = quantile(row.seconds, 0.99)
    return {
        "fault": row.kind,
        "faults": row.faults,
        "followers": len(row.seconds),
        "median_s": quantile(row.seconds, 0.5),
        "p99_s": p99,
        "goal_p99_s": row.goal,
        "met": None if row.goal is None else p99 <= row.goal,
    }


def recovery_table(rows: Sequence[Recovery]) -> str:
    """Answer the recovery times as a table, with a line for each goal that was missed."""
    told = [recovery(row) for row in rows if row.seconds]
    cells = [
        (
            each["fault"],
            str(each["faults"]),
            str(each["followers"]),
            f"{each['median_s']:.2f}",
            f"{each['p99_s']:.2f}",
            "" if each["met"] is None else f"<= {each['goal_p99_s']:g}: {'met' if each['met'] else 'MISSED'}",
        )
        for each in told
    ]
    lines = _columns(
        [("recovery from", "faults", "followers hit", "median s", "p99 s", "goal (p99)"), *cells]
    )
    missed = [each["fault"] for each in told if each["met"] is False]
    lines += [f"goal missed: {fault}" for fault in missed]
    return "\n".join(lines)


def quantile(values: Sequence[float], part: float) -> float:
    """Answer the value that a part of all do not exceed; 0 where there are none."""
    ordered = sorted(values)
    return round(ordered[max(0, math.ceil(part * len(ordered)) - 1)], 3) if ordered else 0.0


def _columns(rows: Sequence[Sequence[str]]) -> list[str]:
    widths = [max(len(row[n]) for row in rows) for n in range(len(rows[0]))] if rows else []
    return [
        "  ".join(
            cell.ljust(width) if not n else cell.rjust(width)
            for n, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    ]
