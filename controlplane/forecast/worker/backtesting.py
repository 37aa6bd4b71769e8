"""A backtest of one measured series, as the service asks for it. The worker's process calls it.

It is the offline backtest on what the history holds: the same origins, the same rule that nothing learns from
what it is judged on. It keeps no cache and starts no further process.
"""

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

import numpy as np

from controlplane.forecast.accuracy import judged
from controlplane.forecast.backtest.driver import Resources, forecasts
from controlplane.forecast.backtest.members import MemberForecasts
from controlplane.forecast.backtest.plan import SPACINGS, Case, Plan, frequency_of
from controlplane.forecast.backtest.pooled import combined
from controlplane.forecast.port import Told
from controlplane.forecast.registry import COMBINED, GLOBAL
from controlplane.forecast.rules import SEASONAL
from controlplane.forecast.scores import seasonal_error
from controlplane.forecast.series import Window
from controlplane.forecast.track import Track
from enchain.chains.errors import PreconditionError

CALIBRATION = 6


def backtest(
    windows: Sequence[Window],
    models: Sequence[str],
    *,
    origins: int,
    stride: int,
    horizon: int,
    told: Told,
) -> list[dict[str, Any]]:
    """Answer the scores of each model on the first series, `Combined` first, as JSON.

    Raises:
        PreconditionError: The series is too short for so many origins.
    """
    cases = [Case(each.series, f"{index}", each.events) for index, each in enumerate(windows)]
    plan = _plan(windows[0], origins, stride, horizon)
    fitting = [case for case in cases if plan.scored(len(case.series))[0] >= plan.least]
    if not fitting or fitting[0] is not cases[0]:
        raise PreconditionError(
            f"{len(windows[0].series)} values are too few for {origins} origins {stride} apart",
            reason="TOO_SHORT",
            remedy="Ask for fewer origins or a smaller stride, or wait until more was measured.",
        )
    wanted = [*dict.fromkeys([*(name for name in models if name != COMBINED), SEASONAL])]
    found: dict[tuple[str, str], MemberForecasts] = {}
    for number, model in enumerate(wanted):
        told(number / len(wanted), f"forecasting the past with {model}")
        over = fitting if model in GLOBAL else fitting[:1]
        found |= forecasts(over, [model], plan, Resources(), lambda _: None)
    found |= combined(fitting[:1], plan, wanted, found)
    return [_scores(cases[0], plan, [COMBINED, *wanted], found)[name] for name in (COMBINED, *wanted)]


def _plan(window: Window, origins: int, stride: int, horizon: int) -> Plan:
    step = window.series.step_seconds
    return Plan(
        step_seconds=step,
        horizon=horizon,
        origins=origins,
        stride=stride,
        calibration=CALIBRATION,
        spacing=SPACINGS[frequency_of(step)],
        history=len(window.series),
    )


def _scores(
    case: Case, plan: Plan, names: Sequence[str], found: dict[tuple[str, str], MemberForecasts]
) -> dict[str, dict[str, Any]]:
    scored = slice(-plan.origins, None)
    mine = {name: found[case.series.id, name] for name in names}
    first = mine[COMBINED]
    track = Track(
        members=tuple(names),
        step_seconds=plan.step_seconds,
        origins=first.origins[scored],
        forecasts=np.stack([each.quantiles[scored] for each in mine.values()], axis=1),
        actuals=first.actuals[scored],
    )
    scale = seasonal_error(case.series.until(plan.scored(len(case.series))[0]))
    return {
        each.model: {
            "model": each.model,
            "seconds": mine[each.model].seconds / max(1, len(mine[each.model].origins)),
            "buckets": [asdict(bucket) for bucket in each.buckets],
        }
        for each in judged(track, scale)
    }
