"""Run all models over all series and origins, from the cache where it can, and combine them.

The backtest's command calls it, and so does whoever compares further models. Local models run series by
series in a pool of processes, global ones as one task each. It never runs a model whose forecasts of this
very data, by this very source, are kept already.
"""

import multiprocessing
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from pathlib import Path

from controlplane.forecast.backtest.members import MemberForecasts, load, place, set_digest
from controlplane.forecast.backtest.plan import Case, Plan
from controlplane.forecast.backtest.running import Outcome, Task, learns_over_all, run
from controlplane.forecast.backtest.sources import model_digest
from enchain.chains.errors import UnavailableError

Tell = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Resources:
    """What a run may use.

    Attributes:
        jobs: How many processes; 1 runs everything in this one.
        cache: Folder in which forecasts are kept; None keeps none.
    """

    jobs: int = 1
    cache: Path | None = None


def forecasts(
    cases: Sequence[Case], models: Sequence[str], plan: Plan, resources: Resources, tell: Tell
) -> dict[tuple[str, str], MemberForecasts]:
    """Answer what each model forecasts of each series, by the series' id and the model's name as asked for.

    Args:
        cases: All of one grid. Global models learn from all of them.
        models: Names in the registry, or `module:Class`.
        plan: How the backtest goes.
        resources: What it may use.
        tell: Called with progress and failures, in words.

    Raises:
        UnavailableError: A process of the pool died.
    """
    found: dict[tuple[str, str], MemberForecasts] = {}
    places = _places(cases, models, plan, resources.cache)
    for key, path in places.items():
        if (kept := load(path)) is not None:
            found[key] = kept
    tasks = _tasks(cases, models, plan, found)
    if found:
        tell(f"{len(found)} of {len(cases) * len(models)} forecasts are kept already")
    for number, (task, outcome) in enumerate(_outcomes(tasks, resources.jobs), start=1):
        for case, made in zip(task.cases, outcome.forecasts, strict=True):
            key = case.series.id, task.model
            found[key] = made
            if key in places and not outcome.failures:
                made.save(places[key])
        _tell(tell, f"{number}/{len(tasks)}", task, outcome)
    return found


def _places(
    cases: Sequence[Case], models: Sequence[str], plan: Plan, cache: Path | None
) -> dict[tuple[str, str], Path]:
    """Answer where each forecast is kept; nothing without a cache."""
    if cache is None:
        return {}
    everything = set_digest(list(cases), plan)
    places = {}
    for model in models:
        sources, others = model_digest(model), everything if learns_over_all(model) else ""
        for case in cases:
            places[case.series.id, model] = place(cache, model, sources, case, others, plan)
    return places


def _tasks(
    cases: Sequence[Case], models: Sequence[str], plan: Plan, found: dict[tuple[str, str], MemberForecasts]
) -> list[Task]:
    """Answer what is left to do, the longest first."""
    missing = {model: [case for case in cases if (case.series.id, model) not in found] for model in models}
    over_all = [model for model in models if missing[model] and learns_over_all(model)]
    tasks = [Task(model, tuple(cases), plan) for model in over_all]
    local = [model for model in models if model not in over_all]
    return tasks + [Task(model, (case,), plan) for model in reversed(local) for case in missing[model]]


def _outcomes(tasks: Sequence[Task], jobs: int) -> Iterator[tuple[Task, Outcome]]:
    """Run tasks and answer each as it is done."""
    if jobs <= 1 or len(tasks) <= 1:
        yield from ((task, run(task)) for task in tasks)
        return
    # A fresh process inherits no threads and no half-loaded library, as a forked one would.
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(min(jobs, len(tasks)), mp_context=context) as pool:
        futures = {pool.submit(run, task): task for task in tasks}
        try:
            for future in as_completed(futures):
                yield futures[future], future.result()
        except BrokenProcessPool as error:
            raise UnavailableError(
                "a process that ran a model died",
                reason="MODEL_PROCESS_DIED",
                remedy="Give it more memory, or fewer --jobs; with --cache what was forecast is kept.",
            ) from error
        finally:
            pool.shutdown(cancel_futures=True)


def _tell(tell: Tell, done: str, task: Task, outcome: Outcome) -> None:
    what = task.cases[0].series.id if len(task.cases) == 1 else f"{len(task.cases)} series"
    seconds = sum(made.seconds for made in outcome.forecasts)
    tell(f"{done} {task.model} on {what}: {seconds:.1f} s")
    for failure in dict.fromkeys(outcome.failures):
        tell(f"  {failure}")
