"""What came of the demonstration: facts and promises as plain data. Pure."""

from collections import Counter
from collections.abc import Sequence
from typing import Any

from enchain.v1 import experiment_pb2
from examples.demo_experiment.acts import Outcome
from examples.demo_experiment.broken import is_broken
from examples.demo_experiment.requests import Request
from examples.demo_experiment.watching import Watched

HARMFUL, HELPFUL = "playbook", "press"
"""The experiments, and their arms beside the control."""

MOVED = ("draining", "retiring", "done")
"""States of a switch whose route is moved."""


def document(harm: Outcome, help_: Outcome, *, seconds: dict[str, float]) -> dict[str, Any]:
    """Answer everything as plain data."""
    return {
        "experiments": {HARMFUL: _facts(harm), HELPFUL: _facts(help_)},
        "seconds": seconds,
        "promises": {
            "the guardrail stopped the playbook": _reason(harm) == "GUARDRAIL",
            "it was rolled back by itself, in the first step of its ramp": _is_rolled_back(harm),
            "what failed is what the playbook cannot write, and nothing else": _failed_as_written(harm),
            "the press won by the goal": (_reason(help_), _winner(help_)) == ("GOAL", HELPFUL),
            "nothing failed on the way": not any(each.failed for each in help_.requests),
            "it was promoted by itself, by a chain switch": help_.switch in MOVED,
            "new requests take the winner's chain": _takes(help_.afterwards, "by-press"),
            "resources keep arm and chain when they are updated": _is_sticky(harm) and _is_sticky(help_),
            "every arm is the one that the client reckons": not harm.moved and not help_.moved,
            "every operation was counted once, in its arm": _is_counted(harm) and _is_counted(help_),
        },
    }


def broken(told: dict[str, Any]) -> list[str]:
    """Answer the promises that were not kept."""
    return [promise for promise, kept in told["promises"].items() if not kept]


def deciding(outcome: Outcome) -> list[str]:
    """Answer what was known of each arm's goal and guardrails when it was decided, a line for each."""
    evidence = outcome.watched.experiment.conclusion.evidence
    return [
        _words(each) for each in evidence.metrics if each.role != experiment_pb2.MetricAnalysis.ROLE_METRIC
    ]


def _words(each: experiment_pb2.MetricAnalysis) -> str:
    role = experiment_pb2.MetricAnalysis.Role.Name(each.role).removeprefix("ROLE_").lower()
    said = f"{role} {each.metric} of {each.arm}: {each.estimate:.3f} in {each.operations}"
    if each.finding in {
        experiment_pb2.MetricAnalysis.FINDING_CONTROL,
        experiment_pb2.MetricAnalysis.FINDING_TOO_FEW,
    }:
        return said
    finding = experiment_pb2.MetricAnalysis.Finding.Name(each.finding).removeprefix("FINDING_").lower()
    between = f"{100 * each.lower:+.1f} to {100 * each.upper:+.1f}"
    unit = "points" if each.metric == "success" else "%"
    return f"{said}, {finding}: {100 * each.difference:+.1f} {unit} ({between}), p = {each.p_value:.2g}"


def _facts(outcome: Outcome) -> dict[str, Any]:
    conclusion = outcome.watched.experiment.conclusion
    return {
        "requests": len(outcome.requests),
        "operations": _sent(outcome),
        "failed": dict(Counter(each.arm for each in outcome.requests if each.failed)),
        "reason": conclusion.reason,
        "winner": conclusion.winner,
        "conclusion": conclusion.description,
        "route": outcome.route,
        "switch": outcome.switch,
        "moved": outcome.moved,
        "changes": _changes(outcome.watched),
        "metrics": [_metric(each) for each in conclusion.evidence.metrics],
        "sticky": [{"page": each.page, "before": each.before, "after": each.after, "failed": each.failed}
                   for each in outcome.sticky],
    }  # fmt: skip


def _changes(watched: Watched) -> list[dict[str, Any]]:
    changes = sorted(watched.experiment.history, key=lambda change: change.time.ToNanoseconds())
    return [
        {
            "at": round(watched.offset(each), 1),
            "kind": each.kind,
            "description": each.description,
            "evidence": each.evidence,
        }
        for each in changes
    ]


def _metric(each: experiment_pb2.MetricAnalysis) -> dict[str, Any]:
    return {
        "arm": each.arm,
        "metric": each.metric,
        "role": experiment_pb2.MetricAnalysis.Role.Name(each.role).removeprefix("ROLE_").lower(),
        "operations": each.operations,
        "estimate": each.estimate,
        "difference": each.difference,
        "interval": [each.lower, each.upper],
        "p_value": each.p_value,
        "finding": experiment_pb2.MetricAnalysis.Finding.Name(each.finding).removeprefix("FINDING_").lower(),
    }


def _reason(outcome: Outcome) -> str:
    return outcome.watched.experiment.conclusion.reason


def _winner(outcome: Outcome) -> str:
    return outcome.watched.experiment.conclusion.winner


def _is_rolled_back(outcome: Outcome) -> bool:
    phases = outcome.watched.experiment.phases
    first = bool(phases) and phases[-1].ramp_step == 0
    return first and outcome.route == "default" and _takes(outcome.afterwards, "default")


def _failed_as_written(outcome: Outcome) -> bool:
    """Say whether exactly those requests failed that the playbook got and cannot write."""
    return all(
        bool(each.failed) == (each.arm == HARMFUL and is_broken(each.page)) for each in outcome.requests
    )


def _takes(requests: Sequence[Request], chain: str) -> bool:
    return bool(requests) and all(each.chain == chain and not each.failed for each in requests)


def _is_sticky(outcome: Outcome) -> bool:
    arms = [each.before[0] for each in outcome.sticky]
    kept = all(each.before == each.after and not each.failed for each in outcome.sticky)
    return kept and arms == outcome.arms


def _sent(outcome: Outcome) -> dict[str, int]:
    arms = Counter(each.arm for each in outcome.requests)
    return {arm: arms[arm] for arm in outcome.arms}


def _is_counted(outcome: Outcome) -> bool:
    return outcome.watched.counted() == _sent(outcome)
