"""Forecasts at every step, made anew as the service does with each value that comes.

The benchmark calls it. Local models are fitted again every six hours and asked with new data in between, by
the worker's own code; what they forecast is kept every two hours and judged as it comes true; global models
learn once, before the first step. All series take a step together, so that what is pooled over series is.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from benchmarks.scaling.combining import Moment, combined, moment, word
from benchmarks.scaling.peering import points
from controlplane.forecast.backtest.driver import Tell
from controlplane.forecast.backtest.plan import Case, Plan, learnable
from controlplane.forecast.port import Fitted
from controlplane.forecast.registry import GLOBAL, forecaster
from controlplane.forecast.series import FloatArray
from controlplane.forecast.track import Track, empty
from controlplane.forecast.worker.members import Asker

KEEP_EVERY = 24
"""Steps after which forecasts are kept to be judged."""

KEPT = 32
"""Forecasts that are kept."""

WARM_STEPS = 288
"""Steps walked before the trial begins, so that it begins with models that were judged."""

TELL_EVERY = 100


@dataclass(frozen=True, slots=True, eq=False)
class Told:
    """What was forecast of one series at every step.

    Attributes:
        series: Its id.
        first: Index of the first value that was not known at the first step told of.
        quantiles: Shape (steps, horizon, len(LEVELS)).
        above: Shape (steps,): see `Sight`.
        known: Likewise.
        points: By other scalers' methods, shape (steps, horizon).
        every: How many steps lie between two of these moments.
    """

    series: str
    first: int
    quantiles: FloatArray
    above: FloatArray
    known: FloatArray
    points: Mapping[str, FloatArray]
    every: int = 1


def walk(
    cases: Sequence[Case],
    plan: Plan,
    first: Sequence[int],
    steps: int,
    members: Sequence[str],
    tell: Tell,
    every: int = 1,
) -> list[Told]:
    """Walk.

    Args:
        cases: All of one grid.
        plan: How much models are shown, and how far ahead they forecast.
        first: Of each series, the index of the first value that is not known when the trial begins.
        steps: How many steps the trial has.
        members: Of the combination.
        tell: Called with progress, in words.
        every: Forecasts are made anew after so many steps, a divisor of `KEEP_EVERY`; only these moments are
            told of.
    """
    warm = min(WARM_STEPS, *(each - plan.least for each in first))
    warm -= warm % every
    asker = Asker(horizon=plan.horizon, seed=plan.seed, monotonic=float)
    learned = _learned(cases, plan, [each - warm for each in first], members)
    tracks = [empty(tuple(members), plan.step_seconds, plan.horizon) for _ in cases]
    kept: list[tuple[int, FloatArray]] = []
    rows: list[tuple[FloatArray, FloatArray]] = []
    for at in range(-warm, steps, every):
        moments = [_moment(case, plan, start + at) for case, start in zip(cases, first, strict=True)]
        now = _asked(asker, moments, members, learned)
        quantiles = combined(moments, now, tracks)
        if at >= 0:
            words = [
                word(each.whole, [start + back for back, _ in kept], [told[index] for _, told in kept])
                for index, (each, start) in enumerate(zip(moments, first, strict=True))
            ]
            rows.append((quantiles, np.array([(each.above, each.known) for each in words])))
        if at % KEEP_EVERY == 0:
            tracks = [
                _kept(track, each, now, index)
                for index, (track, each) in enumerate(zip(tracks, moments, strict=True))
            ]
            kept = [*kept, (at, quantiles)][-KEPT:]
        if at % TELL_EVERY == 0:
            tell(f"step {at} of {steps}")
    return [
        _told(case, start, index, rows, plan, every)
        for index, (case, start) in enumerate(zip(cases, first, strict=True))
    ]


def _learned(
    cases: Sequence[Case], plan: Plan, first: Sequence[int], members: Sequence[str]
) -> dict[str, Fitted]:
    """Train the global models on what lies before the walk."""
    windows = learnable(cases, {case.series.id: start for case, start in zip(cases, first, strict=True)})
    return {
        name: forecaster(name).fit(windows, horizon=plan.horizon, seed=plan.seed)
        for name in members
        if name in GLOBAL
    }


def _moment(case: Case, plan: Plan, start: int) -> Moment:
    return moment(case.window(start, None).series, case.window(start, plan.history))


def _asked(
    asker: Asker, moments: Sequence[Moment], members: Sequence[str], learned: Mapping[str, Fitted]
) -> dict[str, FloatArray]:
    """Answer what each model forecasts now, shape (n, horizon, levels); NaN where it has nothing to say."""
    everybody = range(len(moments))
    asked = asker.ask(
        [each.cleaned.window for each in moments], dict.fromkeys(members, everybody), learned, 1.0
    )
    nothing = np.full_like(next(iter(asked.quantiles.values())), np.nan)
    return {name: asked.quantiles.get(name, nothing) for name in members}


def _kept(track: Track, each: Moment, now: Mapping[str, FloatArray], index: int) -> Track:
    """Keep what models forecast now of a series, and fill in what came of it before."""
    forecasts = {name: told[index] for name, told in now.items()}
    filled = track.with_actuals(each.cleaned.window.series)
    return filled.with_origin(each.whole.last, forecasts, bound=KEPT)


def _told(
    case: Case, first: int, index: int, rows: Sequence[tuple[FloatArray, FloatArray]], plan: Plan, every: int
) -> Told:
    words = np.array([counted[index] for _, counted in rows])
    return Told(
        series=case.series.id,
        first=first,
        quantiles=np.array([quantiles[index] for quantiles, _ in rows]),
        above=words[:, 0],
        known=words[:, 1],
        points=points(case, plan, range(first, first + len(rows) * every, every)),
        every=every,
    )
