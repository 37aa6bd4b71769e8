"""Whether a guardrail stands against an arm: a one-sided test, with a tolerance. Pure.

`analysis.py` asks it. A guardrail stands when the arm is surely worse than the control, and by the best
estimate worse by more than is tolerated. So an arm that is as good as the control is stopped with at most the
chance of the level, over all looks, and one that does harm is stopped early. The alternative, to stop only
what is surely worse by more than is tolerated, would watch most of the harm being done: with half a point of
tolerance it takes more than four times as many operations to tell 3 % of failures from 2 %. The price is that
an arm that is worse by somewhat less than is tolerated may be stopped, too.
"""

from controlplane.experiments.contrasts import Contrast, holds


def log_worse(contrast: Contrast, sign: int) -> float:
    """Answer the logarithm of the evidence that an arm is worse, where 1 says that higher is better."""
    return contrast.log_below if sign > 0 else contrast.log_above


def stands(contrast: Contrast, sign: int, tolerance: float, level: float) -> bool:
    """Answer whether the guardrail stands against the arm."""
    return (
        contrast.enough
        and holds(log_worse(contrast, sign), level)
        and -sign * contrast.difference > tolerance
    )
