"""Planning: the door of the room. The planning loop, replays and offline recommendations call it. Pure.

It must never ask for anything that is not in the problem.
"""

from collections.abc import Sequence

from controlplane.planning.problem import Option, Plan, Problem, Reason


def plan(problem: Problem) -> Plan:
    """Answer the chain and the pool targets that cost least in expectation under the service level."""
    return plan_together([problem])[0]


def plan_together(problems: Sequence[Problem]) -> tuple[Plan, ...]:
    """Plan for many workloads that share engines, each in view of what the others put on them.

    Args:
        problems: One for each workload, of one moment and one grid. What they put on each other's pools is
            worked out here; `other_load` names only work of workloads that are not among them.

    Returns:
        Their plans, in the order of the problems.
    """
    return tuple(_stay(problem) for problem in problems)


def _stay(problem: Problem) -> Plan:
    del problem
    nothing: Option | None = None
    return Plan(nothing, (), switches=False, reasons=(Reason("NO_CANDIDATE", "no chain can be taken"),))
