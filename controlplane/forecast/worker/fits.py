"""What models have learned of each series, and whose turn it is to learn again.

The worker process owns one `Fits`. Fitting is dear and forecasting is frequent, so a fit is used until it is
`REFIT_SECONDS` old, and what is due is fitted oldest first within a budget of time: a refresh always takes
about as long, whether one series is new or a hundred are, and those still unfitted go without that model
until it is their turn.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from controlplane.forecast.port import Fitted, Forecaster
from controlplane.forecast.series import DAY, HOUR, Window

CHEAP = ("Naive", "SeasonalNaive", "WeeklyNaive", "Envelope", "Theta")
"""Fitted anew each time: they take about a millisecond, and have nothing to keep."""

NEVER = -(2**62)


def refit_seconds(step_seconds: int) -> int:
    """How old a fit may be, by data time: 6 hours at 5 minutes, a day at an hour."""
    return 6 * HOUR if step_seconds < HOUR else DAY


@dataclass(frozen=True, slots=True)
class Fit:
    """What a model has learned of one series, and the time of the last value that it has seen.

    Attributes:
        fitted: None where it failed; it is tried again when it is due.
        last: Seconds since the epoch.
    """

    fitted: Fitted | None
    last: int


@dataclass(frozen=True, slots=True)
class Due:
    """A fit to be made."""

    model: str
    index: int
    last: int


class Fits:
    """Keeps the fits of local models.

    Args:
        horizon: The furthest step ahead that is asked for.
        seed: Of all randomness.
        monotonic: Seconds that only grow.
        lasting: Never fit a series a second time.

    Attributes:
        failures: The newest failure of each model to learn a series, in words.
    """

    def __init__(
        self, *, horizon: int, seed: int, monotonic: Callable[[], float], lasting: bool = False
    ) -> None:
        self._lasting = lasting
        self._horizon = horizon
        self._seed = seed
        self._monotonic = monotonic
        self._fits: dict[tuple[str, str, int], Fit] = {}
        self.failures: dict[str, str] = {}

    def refresh(
        self, models: Mapping[str, Forecaster], windows: Sequence[Window], budget_seconds: float
    ) -> int:
        """Fit what is due, oldest first, within a budget; answer how many are still due."""
        until = self._monotonic() + budget_seconds
        waiting = self._due(models, windows)
        for done, due in enumerate(waiting):
            if self._monotonic() >= until:
                return len(waiting) - done
            window = windows[due.index]
            fitted = self._fitted(models[due.model], window)
            self._fits[_key(due.model, window)] = Fit(fitted, window.series.last)
        return 0

    def _fitted(self, model: Forecaster, window: Window) -> Fitted | None:
        try:
            return model.fit([window], horizon=self._horizon, seed=self._seed)
        except Exception as error:  # noqa: BLE001 - a library's fault costs one model of one series
            self.failures[model.name] = f"{window.series.id}: {type(error).__name__}: {error}"
            return None

    def fit_of(self, model: str, window: Window) -> Fitted | None:
        """Answer what a model has learned of a series; None where it has not yet."""
        fit = self._fits.get(_key(model, window))
        return None if fit is None else fit.fitted

    def keep(self, windows: Sequence[Window]) -> None:
        """Forget all series on the windows' grid that are not among them."""
        steps = {window.series.step_seconds for window in windows}
        known = {(window.series.id, window.series.step_seconds) for window in windows}
        self._fits = {
            key: fit for key, fit in self._fits.items() if key[2] not in steps or (key[1], key[2]) in known
        }

    def _due(self, models: Mapping[str, Forecaster], windows: Sequence[Window]) -> list[Due]:
        due = []
        for name in models:
            for index, window in enumerate(windows):
                fit = self._fits.get(_key(name, window))
                last = NEVER if fit is None else fit.last
                if fit is not None and self._lasting:
                    continue
                age = refit_seconds(window.series.step_seconds)
                if window.series.last - last >= age:
                    due.append(Due(name, index, last))
        return sorted(due, key=lambda each: each.last)


def _key(model: str, window: Window) -> tuple[str, str, int]:
    return model, window.series.id, window.series.step_seconds
