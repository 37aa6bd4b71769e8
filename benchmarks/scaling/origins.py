"""The trial at the origins of the backtest: every policy sees the same past, and forecasts by all models.

The benchmark calls it. Forecasts come from the backtest's own driver and cache; earlier origins, those of
calibration among them, say how the forecast kept its word, never later ones.
"""

from collections.abc import Mapping, Sequence

import numpy as np

from benchmarks.scaling.combining import Moment, combined, moment, word
from benchmarks.scaling.peering import PEERS
from benchmarks.scaling.policies import Sight
from benchmarks.scaling.trials import Trial, trial
from controlplane.forecast.backtest.driver import Resources, Tell, forecasts
from controlplane.forecast.backtest.members import MemberForecasts
from controlplane.forecast.backtest.plan import Case, Plan
from controlplane.forecast.backtest.pooled import track
from controlplane.forecast.quantiles import MEDIAN
from controlplane.forecast.series import FloatArray

Found = Mapping[tuple[str, str], MemberForecasts]


def at_origins(
    cases: Sequence[Case], plan: Plan, members: Sequence[str], resources: Resources, tell: Tell
) -> Trial:
    """Run the trial at the scored origins.

    Args:
        cases: All of one grid.
        plan: Which origins.
        members: Of the combination.
        resources: What may be used.
        tell: Called with progress, in words.
    """
    found = forecasts(cases, [*members, *PEERS], plan, resources, tell)
    depth = min(len(plan.starts(len(case.series))) for case in cases)
    told = np.stack([_told(cases, plan, members, found, back) for back in range(-depth, 0)], axis=1)
    sights = [
        [_sight(case, plan, found, told[index], back) for back in range(-plan.origins, 0)]
        for index, case in enumerate(cases)
    ]
    demand = np.stack([case.actuals(plan.scored(len(case.series)), plan.horizon) for case in cases])
    return trial([case.series.id for case in cases], demand, sights)


def _told(cases: Sequence[Case], plan: Plan, members: Sequence[str], found: Found, back: int) -> FloatArray:
    """Combine at one origin of each series, counted from the end, shape (n, horizon, levels)."""
    tracks = [track(case, members, found) for case in cases]
    now = {
        name: np.stack([each.forecasts[back, place] for each in tracks]) for place, name in enumerate(members)
    }
    return combined([_moment(case, plan, back) for case in cases], now, tracks)


def _moment(case: Case, plan: Plan, back: int) -> Moment:
    start = plan.starts(len(case.series))[back]
    return moment(case.window(start, None).series, case.window(start, plan.history))


def _sight(case: Case, plan: Plan, found: Found, told: FloatArray, back: int) -> Sight:
    starts = plan.starts(len(case.series))[-len(told) :]
    past = case.window(starts[back], None).series
    earlier = len(told) + back
    kept = word(past, starts[:earlier], list(told[:earlier]))
    return Sight(
        series=past,
        begun=plan.scored(len(case.series))[0],
        quantiles=told[back],
        points={name: found[case.series.id, name].quantiles[back, :, MEDIAN] for name in PEERS},
        above=kept.above,
        known=kept.known,
    )
