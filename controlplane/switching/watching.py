"""Judging a chain that was just put in force against the one before it. Pure.

The leader's loop asks while a switch is watched. What says that the new chain is worse is a sequential test,
so that looking again and again alarms nobody for nothing.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from controlplane.switching.evidence import Outcomes, joined
from controlplane.switching.sequential import Counts, failing_more, slower
from enchain.v1 import chain_pb2

ALARM = 200.0
"""Evidence that takes a chain back. Of switches to an equal chain a test takes back one in 200 at most."""

LEAST_DIFFERENCE = 0.01
"""A share of failures that is larger by less is not worth going back for."""

OLD_MIN = 10
NEW_MIN = 5
"""With fewer of the old or the new chain nothing can be said, and that is said."""

P95 = 0.95


@dataclass(frozen=True, slots=True)
class Running:
    """A provision on the new chain that has not ended.

    Attributes:
        seconds: Since its admission.
        held: It waits for a person, which counts as failed.
    """

    seconds: float
    held: bool = False


def judge(
    old: Sequence[Outcomes],
    new: Sequence[Outcomes],
    running: Sequence[Running],
    *,
    since: datetime,
    now: datetime,
) -> chain_pb2.SwitchEvidence:
    """Answer how the new chains do against the old ones.

    Args:
        old: What was counted of the old chains.
        new: What was counted of the new ones.
        running: What runs on the new chains and was admitted since then.
        since: When the new chains were put in force.
        now: What time it is.
    """
    before = [row for row in joined(old) if row[0] < since.timestamp()]
    after = joined(new, since=since.timestamp())
    held = sum(each.held for each in running)
    was = Counts(len(before), sum(failed for _, _, failed in before))
    is_now = Counts(len(after) + held, sum(failed for _, _, failed in after) + held)
    failing = failing_more(was, is_now)
    durations = [seconds for _, seconds, _ in after]
    late = slower([seconds for _, seconds, _ in before], durations, [each.seconds for each in running])
    evidence = chain_pb2.SwitchEvidence(
        before=_summary(old, was, [seconds for _, seconds, _ in before]),
        after=_summary(new, is_now, durations),
    )
    evidence.time.FromDatetime(now)
    evidence.verdict, evidence.description = _verdict(was, is_now, failing, late, evidence)
    return evidence


def _verdict(
    was: Counts, is_now: Counts, failing: float, late: float, evidence: chain_pb2.SwitchEvidence
) -> tuple[str, str]:
    worse = is_now.number and is_now.failed / is_now.number - was.failed / max(was.number, 1)
    if failing >= math.log(ALARM) and worse >= LEAST_DIFFERENCE:
        told = f"{is_now.failed} of {is_now.number} provisions failed, {was.failed} of {was.number} before"
        return "FAILS_MORE", f"{told} (evidence {_shown(failing)} to 1)"
    if late >= math.log(ALARM):
        now, then = evidence.after, evidence.before
        told = f"provisions take {now.mean_seconds:.3g} s on average, {then.mean_seconds:.3g} s before"
        return "SLOWER", f"{told}, those under way left out (evidence {_shown(late)} to 1)"
    if was.number < OLD_MIN or is_now.number < NEW_MIN:
        return "TOO_FEW", f"{is_now.number} provisions ended, {was.number} before: too few to compare"
    return "NO_WORSE", f"{is_now.number} provisions tell of no difference to the {was.number} before"


def _shown(logarithm: float) -> str:
    return f"{math.exp(min(logarithm, 20.0)):,.0f}"


def _summary(
    chains: Sequence[Outcomes], counts: Counts, durations: Sequence[float]
) -> chain_pb2.ChainEvidence:
    ordered = sorted(durations)
    summary = chain_pb2.ChainEvidence(
        chain=", ".join(each.chain for each in chains), operations=counts.number, failures=counts.failed
    )
    if ordered:
        summary.mean_seconds = round(sum(ordered) / len(ordered), 3)
        summary.p95_seconds = ordered[max(math.ceil(P95 * len(ordered)), 1) - 1]
    return summary
