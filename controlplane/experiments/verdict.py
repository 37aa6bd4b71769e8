"""What to do, and one plain sentence that says so. Pure.

`analysis.py` asks it, of the findings. The order is that of what would do most harm if it were overlooked:
wrong shares, then a guardrail, then the goal.
"""

from collections.abc import Sequence

from controlplane.experiments import measures, terms
from enchain.v1 import experiment_pb2

Analysis = experiment_pb2.ExperimentAnalysis
MetricAnalysis = experiment_pb2.MetricAnalysis
_F = MetricAnalysis

DAYS_FROM = 72
"""Hours from which on a time is told in days."""


def conclude(experiment: experiment_pb2.Experiment, answer: Analysis) -> None:
    """Write verdict, arm, advice and warnings into an analysis whose findings are there."""
    answer.warnings.extend(_warnings(experiment, answer))
    harmful = [
        each for each in answer.metrics if each.role == _F.ROLE_GUARDRAIL and each.finding == _F.FINDING_WORSE
    ]
    if answer.sample_ratio.alarm:
        answer.verdict, answer.advice = Analysis.VERDICT_INVALID, _wrong_shares(answer)
    elif harmful:
        worst = min(harmful, key=lambda each: each.p_value)
        answer.verdict, answer.arm = Analysis.VERDICT_HARMFUL, worst.arm
        answer.advice = f"Go back to {experiment.arms[0].name}: {_said(worst)}, and a guardrail forbids it."
    else:
        _by_goal(experiment, answer)


def _by_goal(experiment: experiment_pb2.Experiment, answer: Analysis) -> None:
    goals = [
        each for each in answer.metrics if each.role == _F.ROLE_GOAL and each.finding != _F.FINDING_CONTROL
    ]
    sign, control = measures.sign(experiment.goal), experiment.arms[0].name
    better = [each for each in goals if each.finding == _F.FINDING_BETTER]
    found = {each.finding for each in goals}
    if better:
        best = max(better, key=lambda each: sign * each.difference)
        answer.verdict, answer.arm = Analysis.VERDICT_BETTER, best.arm
        answer.advice = f"Switch to {best.arm}: {_said(best)}."
    elif found == {_F.FINDING_WORSE}:
        answer.verdict, answer.arm = Analysis.VERDICT_BETTER, control
        answer.advice = f"Keep {control}: {_said(max(goals, key=lambda each: sign * each.difference))}."
    elif found and found <= {_F.FINDING_WORSE, _F.FINDING_EQUAL}:
        answer.verdict = Analysis.VERDICT_EQUAL
        answer.advice = (
            f"Take whichever suits you: no arm differs in {goals[0].metric} by what is worth knowing."
        )
    else:
        answer.verdict = Analysis.VERDICT_CONTINUE
        answer.advice = _going_on(answer)


def _going_on(answer: Analysis) -> str:
    if answer.remaining_operations < 0:
        return "Go on: too little has ended to say how long it will take."
    if not answer.remaining_operations:
        return "Go on, or end it: a difference worth knowing would probably have been found by now."
    hours = answer.remaining_time.ToTimedelta().total_seconds() / 3600
    time = f", or {_duration(hours)}," if hours > 0 else ""
    return f"Go on: about {answer.remaining_operations:,} more operations in each arm{time} should decide it."


def _duration(hours: float) -> str:
    if hours < 1:
        return f"{max(round(hours * 60), 1)} minutes"
    return f"{hours:.0f} hours" if hours < DAYS_FROM else f"{hours / 24:.0f} days"


def _wrong_shares(answer: Analysis) -> str:
    worst = max(answer.sample_ratio.arms, key=lambda each: abs(each.observed - each.expected))
    return (
        f"Trust nothing, and find out why {worst.arm} got {worst.observed:.1%} of the units"
        f" instead of {worst.expected:.1%}."
    )


def _said(found: MetricAnalysis) -> str:
    """Such as: p95_time of via-ansible is 12.0 % lower than the control's (5.1 to 18.0 %)."""
    points = measures.kind(found.metric) is measures.Kind.SHARE
    unit = "points" if points else "%"
    way = "higher" if found.difference > 0 else "lower"
    ends = sorted(abs(each) * 100 for each in (found.lower, found.upper))
    size = abs(found.difference) * 100
    between = f" ({ends[0]:.1f} to {ends[1]:.1f})" if found.lower * found.upper > 0 else ""
    return f"{found.metric} of {found.arm} is {size:.1f}{between} {unit} {way} than the control's"


def _warnings(experiment: experiment_pb2.Experiment, answer: Analysis) -> Sequence[str]:
    few = sorted({each.arm for each in answer.metrics if each.finding == _F.FINDING_TOO_FEW})
    answers = [f"too little has ended in {arm} for some of its metrics" for arm in few]
    opens = [
        each for each in answer.metrics if each.role == _F.ROLE_GUARDRAIL and each.finding == _F.FINDING_OPEN
    ]
    answers += [f"{each.metric} of {each.arm} may still be worse than is tolerated" for each in opens]
    if answer.detectable_effect > 2 * terms.minimum_effect(experiment):
        answers.append(
            f"until the time limit only differences of {answer.detectable_effect:.0%} or more will be found"
        )
    return answers
