"""How an experiment is concluded: for whom, and whether that is promoted. Pure.

`controlplane.catalog.experiment_life` calls it before it writes.
"""

from controlplane.experiments.changing import arm_named
from enchain.chains.errors import InvalidArgumentError, Violation
from enchain.v1.experiment_pb2 import Conclusion, Experiment

OPERATOR, GUARDRAIL, GOAL = "OPERATOR", "GUARDRAIL", "GOAL"
TIME_LIMIT, SAMPLE_RATIO = "TIME_LIMIT", "SAMPLE_RATIO"


def conclusion_of(experiment: Experiment, winner: str, *, promote: bool, reason: str) -> Conclusion:
    """Answer how it is to end.

    Raises:
        InvalidArgumentError: There is no such arm, or nobody is named who could be promoted.
    """
    if winner and arm_named(experiment, winner) is None:
        arms = ", ".join(arm.name for arm in experiment.arms)
        _refuse("winner", f"{experiment.name} has no arm {winner}; its arms are {arms}", "UNKNOWN_ARM")
    if promote and not winner:
        _refuse("winner", "say which arm is to be promoted", "REQUIRED")
    return Conclusion(winner=winner, reason=reason, promotion_pending=promote)


def _refuse(field: str, told: str, reason: str) -> None:
    raise InvalidArgumentError(told, reason=reason, violations=[Violation(field, told, reason)])
