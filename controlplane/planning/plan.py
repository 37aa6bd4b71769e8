"""Planning: the door of the room. The planning loop, replays and offline recommendations call it. Pure.

It must never ask for anything that is not in the problem.
"""

from collections.abc import Sequence

from controlplane.planning.answering import answered
from controlplane.planning.checks import check
from controlplane.planning.problem import Plan, Problem
from controlplane.planning.together import answered_together


def plan(problem: Problem) -> Plan:
    """Answer the chain and the pool targets that cost least in expectation under the service level.

    Raises:
        InvalidArgumentError: The problem has no meaning.
    """
    check(problem)
    return answered([problem])[0]


def plan_together(problems: Sequence[Problem]) -> list[Plan]:
    """Plan for many workloads that share engines, each in view of what the others put on them.

    Args:
        problems: One for each workload, of one moment and one grid. What they put on each other's pools is
            worked out here; `other_load` names only work of workloads that are not among them.

    Returns:
        Their plans, in the order of the problems.

    Raises:
        InvalidArgumentError: A problem has no meaning.
    """
    for problem in problems:
        check(problem)
    return answered_together(problems)
