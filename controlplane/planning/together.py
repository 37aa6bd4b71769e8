"""Problems of workloads that share engines, answered together. Pure.

`plan` calls it with problems that were checked.
"""

from collections.abc import Sequence

from controlplane.planning.answering import answered
from controlplane.planning.problem import Plan, Problem


def answered_together(problems: Sequence[Problem]) -> list[Plan]:
    """Answer problems, each in view of what the others put on its pools."""
    return answered(problems)
