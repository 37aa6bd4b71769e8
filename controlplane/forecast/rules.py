"""The constants of the combination, in one place. Pure.

`controlplane.forecast.combination` and its parts read them; a backtest may try others. Those of the weights
were compared on the origins that a backtest scores, where most of them make less than 1 % of a difference, so
what is measured there is a little too good. Those of agreement, spread and calibration were settled on other
traces, other columns and origins before the scored ones. It must hold no rule itself.
"""

from dataclasses import dataclass

BUCKETS = (3, 12, 24, 48)
"""Last step of each horizon bucket; the last bucket takes all steps beyond."""

SEASONAL = "SeasonalNaive"
"""What no combination may be worse than."""

NAIVE = "Naive"
"""What no combination may be worse than within `Rules.naive_within` steps."""


@dataclass(frozen=True, slots=True)
class Rules:
    """Constants. Counts of origins are effective ones: weighted by age, and less where they overlap.

    Attributes:
        half_life: Steps after which an origin counts half.
        power: Weights are the inverse of the loss to this power.
        weight_prior: How many origins the weights pooled over series count as, beside a series' own.
        equal_prior: How many origins equal weights count as, beside the pooled ones.
        equal_share: Share of the weight that is always spread equally, so that no member is ever lost.
        pooled: How many members, the heaviest, have weight at all.
        apart: So many times as far from the other members as is usual, a member's weight is halved.
        apart_prior: How many origins it takes until that is done by half.
        spread_prior: How many origins the spread factors pooled over series count as.
        clip: No forecast exceeds so many times the largest value seen.
        bad: A member that loses so many times more than the seasonal naive is dropped.
        bad_after: So many origins are needed for that, and for the guard.
        naive_within: Up to this step the naive model is a bar as well.
        guard_slope: By how much a loss above the simple model's must exceed it to hand over all the weight.
        shape_prior: How many origins an already calibrated pool counts as, for the levels over all series.
        shift: How much of the median's error over all series is put right: it rarely stays.
        width_prior: How many origins the width pooled over series counts as, beside a series' own.
        skew_prior: How many origins no skew counts as.
        doubt: How much of Student's widening for few origins is applied; 0 is none.
        adaptation: Step of the online adaptation of the width to the last errors of coverage.
        adaptation_steps: So many steps within the band an origin is thought to have had besides, so that a
            bucket of few steps adapts more slowly.
        widest: The width of a series is at most so many times the pooled one, and at least its inverse.
        mixed: Whether distributions are mixed, the linear pool; otherwise their quantiles are averaged.
        stretched: Whether the width of each member is set right before it is mixed.
    """

    half_life: float = 1500.0
    power: float = 4.0
    weight_prior: float = 4.0
    equal_prior: float = 10.0
    equal_share: float = 0.03
    pooled: int = 6
    apart: float = 0.7
    apart_prior: float = 3.0
    spread_prior: float = 8.0
    clip: float = 3.0
    bad: float = 1.5
    bad_after: float = 3.0
    naive_within: int = 12
    guard_slope: float = 0.25
    shape_prior: float = 16.0
    shift: float = 0.5
    width_prior: float = 25.0
    skew_prior: float = 30.0
    doubt: float = 0.25
    adaptation: float = 0.05
    adaptation_steps: float = 3.0
    widest: float = 2.0
    mixed: bool = True
    stretched: bool = True


RULES = Rules()
