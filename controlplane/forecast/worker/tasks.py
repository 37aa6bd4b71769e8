"""What a worker does: forecast, forecast the past, combine, train. Called by the worker's process alone.

Each task takes a frame's body and arrays and answers the same. Models are imported when they are first asked
for, never before.
"""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from controlplane.forecast.port import Fitted, Told
from controlplane.forecast.series import FloatArray, Window
from controlplane.forecast.worker.backtesting import backtest
from controlplane.forecast.worker.combining import answered
from controlplane.forecast.worker.frames import Frame
from controlplane.forecast.worker.members import Asker, Members
from controlplane.forecast.worker.training import load_learned, train
from controlplane.forecast.worker.wire import windows_in
from enchain.chains.errors import EnchainError, OurError

Answer = tuple[dict[str, Any], dict[str, FloatArray]]


class Tasks:
    """Does what is asked, and keeps what models have learned meanwhile.

    Args:
        monotonic: Seconds that only grow.
    """

    def __init__(self, *, monotonic: Callable[[], float]) -> None:
        self._monotonic = monotonic
        self._askers: dict[tuple[int, int], Asker] = {}
        self._learned: dict[str, tuple[str, Fitted]] = {}

    def do(self, frame: Frame, told: Told) -> Answer:
        """Do one task.

        Raises:
            OurError: There is no such task.
        """
        tasks: Mapping[str, Callable[[Mapping[str, Any], list[Window], Told], Answer]] = {
            "forecast": self._forecast,
            "rolling": self._rolling,
            "train": self._train,
            "backtest": self._backtest,
            "combine": lambda body, windows, _: answered(body, windows, dict(frame.arrays)),
        }
        if frame.kind not in tasks:
            raise OurError(f"the worker knows no task {frame.kind}", reason="UNKNOWN_TASK")
        windows = windows_in(frame.body["windows"], frame.arrays)
        return tasks[frame.kind](frame.body, windows, told)

    def _forecast(self, body: Mapping[str, Any], windows: list[Window], told: Told) -> Answer:
        """Forecast from the end of each window, fits kept between calls."""
        del told
        horizon, seed = int(body["horizon"]), int(body["seed"])
        asker = self._askers.setdefault(
            (horizon, seed), Asker(horizon=horizon, seed=seed, monotonic=self._monotonic)
        )
        learned, failures = self._load(body["artifacts"])
        members = asker.ask(windows, body["wanted"], learned, float(body["budget"]))
        return _said(members, failures), members.quantiles

    def _rolling(self, body: Mapping[str, Any], windows: list[Window], told: Told) -> Answer:
        """Forecast from past origins, each model fitted once, before the first of them.

        `back` are the origins, as steps before the end of the windows, furthest first.
        """
        horizon, seed = int(body["horizon"]), int(body["seed"])
        asker = Asker(horizon=horizon, seed=seed, monotonic=self._monotonic, lasting=True)
        learned, failures = self._load(body["artifacts"])
        arrays: dict[str, FloatArray] = {}
        members = Members()
        back: Sequence[int] = body["back"]
        for number, steps in enumerate(back):
            told(number / len(back), f"forecasting the past, origin {number + 1} of {len(back)}")
            budget = float(body["budget"]) if number == 0 else 0.0
            members = asker.ask([_cut(each, steps) for each in windows], body["wanted"], learned, budget)
            arrays |= {f"{name}@{number}": array for name, array in members.quantiles.items()}
        return _said(members, failures), arrays

    def _train(self, body: Mapping[str, Any], windows: list[Window], told: Told) -> Answer:
        """Train a global model, and save it as an artifact."""
        report = train(
            str(body["model"]),
            windows,
            horizon=int(body["horizon"]),
            seed=int(body["seed"]),
            seeds=int(body["seeds"]),
            holdout=int(body["holdout"]),
            directory=Path(body["directory"]),
            previous=Path(body["previous"]) if body.get("previous") else None,
            told=told,
        )
        return report, {}

    def _backtest(self, body: Mapping[str, Any], windows: list[Window], told: Told) -> Answer:
        """Backtest the first series; the others are there for global models to learn from."""
        scores = backtest(
            windows,
            body["models"],
            origins=int(body["origins"]),
            stride=int(body["stride"]),
            horizon=int(body["horizon"]),
            told=told,
        )
        return {"scores": scores}, {}

    def _load(self, artifacts: Mapping[str, str]) -> tuple[dict[str, Fitted], dict[str, tuple[str, str]]]:
        """Answer the global models that have learned, reading those that are new; and those refused."""
        failures: dict[str, tuple[str, str]] = {}
        for name, path in artifacts.items():
            if name in self._learned and self._learned[name][0] == path:
                continue
            try:
                self._learned[name] = (path, load_learned(name, Path(path)))
            except EnchainError as error:
                failures[name] = (error.reason, error.message)
            except ImportError as error:
                failures[name] = ("NOT_INSTALLED", f"{error}; install enchain[forecasting]")
            except Exception as error:  # noqa: BLE001 - a broken artifact costs one model
                failures[name] = ("ARTIFACT_UNREADABLE", f"{type(error).__name__}: {error}")
            if name in failures:
                self._learned.pop(name, None)
        return {name: self._learned[name][1] for name in artifacts if name in self._learned}, failures


def _cut(window: Window, steps: int) -> Window:
    """Answer a window as it was so many steps ago."""
    length = max(1, len(window.series) - steps)
    series = window.series.until(length)
    ahead = {name: array[: len(array) - steps] for name, array in window.covariates.items()}
    return Window(series, window.events, ahead)


def _said(members: Members, failures: Mapping[str, tuple[str, str]]) -> dict[str, Any]:
    return {
        "failures": {**members.failures, **failures},
        "seconds": members.seconds,
        "pending": members.pending,
    }
