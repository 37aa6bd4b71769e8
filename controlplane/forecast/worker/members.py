"""The forecasts of all members for many series at once, and why a member has none.

The worker process calls it on each refresh; the control plane itself calls it for the models that need numpy
alone while the worker is down. A model that fails costs itself and no other.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from controlplane.forecast import registry
from controlplane.forecast.port import Fitted, Forecaster, StandsOn
from controlplane.forecast.quantiles import LEVELS
from controlplane.forecast.series import FloatArray, Window
from controlplane.forecast.worker.fits import CHEAP, Fits


@dataclass(slots=True)
class Members:
    """What came of asking the members.

    Attributes:
        quantiles: By model, shape (n, horizon, len(LEVELS)); NaN throughout where it has none for a series.
        failures: By model that failed: a stable reason and words.
        seconds: What each model took.
        pending: Fits that are still due.
    """

    quantiles: dict[str, FloatArray] = field(default_factory=dict)
    failures: dict[str, tuple[str, str]] = field(default_factory=dict)
    seconds: dict[str, float] = field(default_factory=dict)
    pending: int = 0


class Asker:
    """Asks models, keeping what they have learned between calls.

    Args:
        horizon: Steps ahead.
        seed: Of all randomness.
        monotonic: Seconds that only grow.
        lasting: Never fit a series a second time.
    """

    def __init__(
        self, *, horizon: int, seed: int, monotonic: Callable[[], float], lasting: bool = False
    ) -> None:
        self._horizon = horizon
        self._seed = seed
        self._monotonic = monotonic
        self._fits = Fits(horizon=horizon, seed=seed, monotonic=monotonic, lasting=lasting)

    def ask(
        self,
        windows: Sequence[Window],
        wanted: Mapping[str, Sequence[int]],
        learned: Mapping[str, Fitted],
        budget_seconds: float,
    ) -> Members:
        """Ask each model for the series that it is wanted for.

        Args:
            windows: All of one grid step.
            wanted: By model, the indices of the windows it is asked for.
            learned: The global models that have learned, by name; a wanted one not here is left out.
            budget_seconds: How long local models may learn in all.
        """
        members = Members()
        self._fits.keep(windows)
        self._refit(windows, wanted, budget_seconds, members)
        for name, indices in wanted.items():
            began = self._monotonic()
            try:
                answer = self._one(name, [windows[index] for index in indices], learned.get(name))
            except Exception as error:  # noqa: BLE001 - one model's fault is its own
                members.failures[name] = ("MODEL_FAILED", f"{type(error).__name__}: {error}")
                continue
            finally:
                members.seconds[name] = self._monotonic() - began
            if answer is None:
                continue
            whole = np.full((len(windows), self._horizon, len(LEVELS)), np.nan)
            whole[list(indices)] = answer
            members.quantiles[name] = whole
        return members

    def _refit(
        self, windows: Sequence[Window], wanted: Mapping[str, Sequence[int]], budget: float, members: Members
    ) -> None:
        local: dict[str, Forecaster] = {}
        for name in wanted:
            if name in registry.GLOBAL or name in CHEAP:
                continue
            try:
                local[name] = registry.forecaster(name)
            except ImportError as error:
                members.failures[name] = ("NOT_INSTALLED", str(error))
        members.pending = self._fits.refresh(local, windows, budget)
        for name, words in self._fits.failures.items():
            members.failures.setdefault(name, ("FIT_FAILED", words))
        self._fits.failures.clear()

    def _one(self, name: str, windows: list[Window], learned: Fitted | None) -> FloatArray | None:
        if name in registry.GLOBAL:
            return None if learned is None else self._globally(windows, learned)
        if name in CHEAP:
            fitted = registry.forecaster(name).fit(windows, horizon=self._horizon, seed=self._seed)
            return fitted.forecast(windows, self._horizon)
        nothing = np.full((1, self._horizon, len(LEVELS)), np.nan)
        answers = []
        for window in windows:
            fit = self._fits.fit_of(name, window)
            answers.append(nothing if fit is None else fit.forecast([window], self._horizon))
        return np.concatenate(answers) if answers else np.empty((0, self._horizon, len(LEVELS)))

    def _globally(self, windows: list[Window], learned: Fitted) -> FloatArray:
        """Ask a global model. One that stands on each series' own fit is given those that there are."""
        if not isinstance(learned, StandsOn):
            return learned.forecast(windows, self._horizon)
        fits = [self._fits.fit_of(learned.stands_on, window) for window in windows]
        answers = np.full((len(windows), self._horizon, len(LEVELS)), np.nan)
        there = [place for place, fit in enumerate(fits) if fit is not None]
        if there:
            whole = learned.standing([fit for fit in fits if fit is not None])
            answers[there] = whole.forecast([windows[place] for place in there], self._horizon)
        return answers
