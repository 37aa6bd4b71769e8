"""Run one model over one or many series, in a process of a pool or in this one.

The driver starts it. A local model is fitted at each origin on what its series was until then. A global
model learns before the first origin that it is judged at, and is never judged on what it learned from. A
model that fails costs its forecasts, and is told; it never ends the backtest.
"""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from controlplane.forecast.backtest.members import MemberForecasts
from controlplane.forecast.backtest.plan import Case, Plan, learnable
from controlplane.forecast.port import Fitted, Forecaster
from controlplane.forecast.quantiles import LEVELS, usable
from controlplane.forecast.registry import GLOBAL, forecaster
from controlplane.forecast.series import FloatArray


@dataclass(frozen=True, slots=True)
class Task:
    """One model, and the series that it forecasts.

    Attributes:
        model: Name in the registry, or `module:Class`.
        cases: One for a local model; all for a global one.
        plan: How the backtest goes.
    """

    model: str
    cases: tuple[Case, ...]
    plan: Plan


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a task.

    Attributes:
        forecasts: One per series, in the task's order.
        failures: What went wrong, as sentences.
    """

    forecasts: tuple[MemberForecasts, ...]
    failures: tuple[str, ...] = ()


def learns_over_all(name: str) -> bool:
    """Say whether a model learns over all series at once.

    Models from elsewhere say so by an attribute `learns_over_all`.
    """
    if ":" not in name:
        return name in GLOBAL
    model = forecaster(name)
    return model.name in GLOBAL or bool(getattr(model, "learns_over_all", False))


def run(task: Task) -> Outcome:
    """Run a task."""
    began = time.perf_counter()
    model = forecaster(task.model)
    failures: list[str] = []
    if learns_over_all(task.model):
        arrays = _globally(model, task, failures)
    else:
        arrays = [_locally(model, case, task.plan, failures) for case in task.cases]
    share = (time.perf_counter() - began) / max(1, len(task.cases))
    forecasts = tuple(
        _kept(model.name, case, task.plan, array, share)
        for case, array in zip(task.cases, arrays, strict=True)
    )
    return Outcome(forecasts, tuple(failures))


def _locally(model: Forecaster, case: Case, plan: Plan, failures: list[str]) -> FloatArray:
    """Fit and forecast at each origin, shape (k, horizon, levels)."""
    starts = plan.starts(len(case.series))
    answers = _nothing(len(starts), plan)
    for index, start in enumerate(starts):
        window = case.shown(start, plan.history)
        try:
            fitted = model.fit([window], horizon=plan.horizon, seed=plan.seed)
            answer = fitted.forecast([window], plan.horizon)[0]
        except Exception as error:  # noqa: BLE001 - a model is anybody's code; it costs its own forecasts only
            failures.append(_failure(model, case, error))
            continue
        answers[index] = _checked(model, case, answer, failures)
    return answers


def _globally(model: Forecaster, task: Task, failures: list[str]) -> list[FloatArray]:
    """Learn before each fold of origins and forecast it; one array per series as in `_locally`."""
    plan = task.plan
    starts = [plan.starts(len(case.series)) for case in task.cases]
    answers = [_nothing(len(each), plan) for each in starts]
    for fold in _folds(starts, plan):
        first = {case.series.id: each[at[0]] for case, each, at in zip(task.cases, starts, fold, strict=True)}
        windows = learnable(task.cases, first)
        try:
            fitted = model.fit(windows, horizon=plan.horizon, seed=plan.seed)
        except Exception as error:  # noqa: BLE001 - likewise
            failures.append(f"{model.name} could not learn: {error!r}")
            continue
        for depth in range(max(len(at) for at in fold)):
            turn = {index: at[-1 - depth] for index, at in enumerate(fold) if depth < len(at)}
            _forecast_all(model, fitted, task, turn, answers, failures)
    return answers


def _folds(starts: Sequence[Sequence[int]], plan: Plan) -> list[list[list[int]]]:
    """Answer which origins are forecast with what was learned once: per fold and series their places."""
    everything = [list(range(len(each))) for each in starts]
    if not plan.refit:
        return [everything]
    before = [places[: len(places) - plan.origins] for places in everything]
    scored = [places[len(places) - plan.origins :] for places in everything]
    return [before, scored] if all(before) else [everything]


def _forecast_all(
    model: Forecaster,
    fitted: Fitted,
    task: Task,
    places: Mapping[int, int],
    answers: Sequence[FloatArray],
    failures: list[str],
) -> None:
    """Forecast at most one origin of each series in one call, as a server would.

    Args:
        model: Whose.
        fitted: What it learned.
        task: Its series.
        places: By the index of a series, which of its origins.
        answers: Where the forecasts are put.
        failures: Where what goes wrong is put.
    """
    cases = [task.cases[index] for index in places]
    starts = [task.plan.starts(len(case.series)) for case in cases]
    windows = [
        case.shown(each[at], task.plan.history)
        for case, each, at in zip(cases, starts, places.values(), strict=True)
    ]
    try:
        found = fitted.forecast(windows, task.plan.horizon)
    except Exception as error:  # noqa: BLE001 - likewise
        failures.append(f"{model.name} could not forecast: {error!r}")
        return
    for (index, at), answer in zip(places.items(), found, strict=True):
        answers[index][at] = _checked(model, task.cases[index], answer, failures)


def _checked(model: Forecaster, case: Case, answer: FloatArray, failures: list[str]) -> FloatArray:
    """Answer a forecast, or NaN where it breaks the port's promise."""
    if np.isnan(answer).all() or usable(answer):
        return answer
    failures.append(f"{model.name} on {case.series.id}: the forecast is not finite, or its quantiles cross")
    return np.full_like(answer, np.nan)


def _kept(name: str, case: Case, plan: Plan, array: FloatArray, seconds: float) -> MemberForecasts:
    starts = plan.starts(len(case.series))
    return MemberForecasts(
        series=case.series.id,
        model=name,
        step_seconds=plan.step_seconds,
        origins=case.times(starts),
        quantiles=array,
        actuals=case.actuals(starts, plan.horizon),
        seconds=seconds,
    )


def _nothing(origins: int, plan: Plan) -> FloatArray:
    return np.full((origins, plan.horizon, len(LEVELS)), np.nan)


def _failure(model: Forecaster, case: Case, error: Exception) -> str:
    return f"{model.name} on {case.series.id}: {error!r}"
