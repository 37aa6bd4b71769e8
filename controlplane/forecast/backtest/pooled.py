"""The combination, origin by origin, as the leader would have made it. Pure.

The driver calls it with what the members forecast. At each origin the combination sees the members' forecasts
from there, and of earlier origins those actuals that were measured by then; never more.
"""

from collections.abc import Mapping, Sequence

import numpy as np

from controlplane.forecast.backtest.members import MemberForecasts
from controlplane.forecast.backtest.plan import Case, Plan
from controlplane.forecast.combination import Present, combine
from controlplane.forecast.events.adjust import Cleaned, clean
from controlplane.forecast.ladder import allowed, measured, rung
from controlplane.forecast.planned import planned_for
from controlplane.forecast.quantiles import LEVELS
from controlplane.forecast.registry import COMBINED
from controlplane.forecast.rules import RULES, Rules
from controlplane.forecast.series import FloatArray, Window
from controlplane.forecast.track import Track

Found = Mapping[tuple[str, str], MemberForecasts]
"""Forecasts by series and model."""


def track(case: Case, members: Sequence[str], found: Found) -> Track:
    """Answer all that the members forecast of a series, and all that came."""
    each = [found[case.series.id, member] for member in members]
    return Track(
        members=tuple(members),
        step_seconds=case.series.step_seconds,
        origins=each[0].origins,
        forecasts=np.stack([one.quantiles for one in each], axis=1),
        actuals=each[0].actuals,
    )


def combined(
    cases: Sequence[Case], plan: Plan, members: Sequence[str], found: Found, rules: Rules = RULES
) -> Found:
    """Answer the combined forecasts of the scored origins, by series and `Combined`; seconds are 0."""
    tracks = [track(case, members, found) for case in cases]
    answers = np.full((len(cases), plan.origins, plan.horizon, len(LEVELS)), np.nan)
    for index in range(plan.origins):
        answers[:, index] = _at(cases, plan, tracks, index - plan.origins, rules)
    return {
        (case.series.id, COMBINED): MemberForecasts(
            series=case.series.id,
            model=COMBINED,
            step_seconds=plan.step_seconds,
            origins=past.origins[-plan.origins :],
            quantiles=quantiles,
            actuals=past.actuals[-plan.origins :],
            seconds=0.0,
        )
        for case, past, quantiles in zip(cases, tracks, answers, strict=True)
    }


def _at(cases: Sequence[Case], plan: Plan, tracks: Sequence[Track], index: int, rules: Rules) -> FloatArray:
    """Combine at one origin of each series, counted from the end; shape (n, horizon, levels)."""
    origins = np.array([past.origins[index] for past in tracks])
    windows = [case.window(plan.starts(len(case.series))[index], plan.history) for case in cases]
    pasts = [case.window(plan.starts(len(case.series))[index], None).series for case in cases]
    present = Present(
        members=tracks[0].members,
        forecasts=np.stack([past.forecasts[index] for past in tracks]),
        origins=origins,
        highest=np.array([_highest(window.series.values) for window in windows]),
        upper=np.array([_upper(window) for window in windows]),
        allowed=allowed([rung(measured(past)) for past in pasts], tracks[0].members),
    )
    # Members forecast demand without events, and are judged on that; what is planned is put on afterwards.
    cleaned = [clean(window) if window.events else Cleaned(window, {}) for window in windows]
    known = [
        _known(past, int(origin), each.window)
        for past, origin, each in zip(tracks, origins, cleaned, strict=True)
    ]
    quantiles = combine(known, present, rules).quantiles
    planned = [
        planned_for(window, made, each.learned, peaks=False)
        for window, made, each in zip(windows, quantiles, cleaned, strict=True)
    ]
    return np.stack([each.quantiles for each in planned])


def _known(past: Track, origin: int, cleaned: Window) -> Track:
    """Answer what was known of a track at an origin, events taken out of what came."""
    return past.known_at(origin).with_actuals(cleaned.series)


def _upper(window: Window) -> float:
    """Answer what no value exceeds."""
    return np.inf if window.series.upper is None else window.series.upper


def _highest(values: FloatArray) -> float:
    """Answer the largest value seen, 0 where nothing was measured."""
    seen = values[np.isfinite(values)]
    return float(seen.max()) if seen.size else 0.0
