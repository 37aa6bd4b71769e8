"""Which series are looked back for: those with models never judged, a few at a time, never twice."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from controlplane.demand.measured import Freshness
from controlplane.demand.signals import DemandKey, Signal
from controlplane.forecast.grids import FINE
from controlplane.forecast.port import Told, silent
from controlplane.forecast.quantiles import LEVELS
from controlplane.forecast.series import FloatArray, Series, Window
from controlplane.forecast.trackbook import Trackbook
from controlplane.forecast.worker.client import Worker
from controlplane.forecast.worker.frames import Frame
from controlplane.forecast.worker.members import Members
from controlplane.loops.forecast_asked import Asked
from controlplane.loops.forecast_inputs import Input
from controlplane.loops.forecast_past import FEW, LOOK_BACK_SECONDS, LookingBack
from enchain.process.clock import ManualClock

SHAPE = (FINE.horizon, len(LEVELS))


class _Answering(Worker):
    """A worker that answers each question at once, with one figure for all; its clock moves meanwhile."""

    def __init__(self, takes: float) -> None:
        super().__init__("test", ManualClock())
        self.now, self.takes = 0.0, takes
        self.asked: list[Mapping[str, Any]] = []

    async def ask(
        self,
        kind: str,
        body: Mapping[str, Any],
        arrays: Mapping[str, FloatArray],
        *,
        deadline_seconds: float,
        told: Told = silent,
    ) -> Frame:
        del arrays, deadline_seconds, told
        self.asked.append(body)
        self.now += self.takes
        count = len(body["windows"])
        answers = {
            f"{name}@{number}": np.full((count, *SHAPE), 3.0)
            for name in body["wanted"]
            if name != "Prophet"
            for number in range(len(body["back"]))
        }
        return Frame(kind, 1, {}, answers)


def _input(number: int, length: int) -> Input:
    key = DemandKey(f"w{number}", Signal.CPU)
    window = Window(Series(f"w{number}/cpu-5m", 0, FINE.step_seconds, np.ones(length)))
    return Input(key, FINE, window, window, {}, Freshness(points=length))


def _inputs(count: int, length: int = 3 * 288) -> list[Input]:
    return [_input(number, length) for number in range(count)]


def _members(count: int, *names: str) -> Members:
    return Members({name: np.full((count, *SHAPE), 3.0) for name in names})


def _asked(count: int, *names: str, artifacts: Mapping[str, str] | None = None) -> Asked:
    return Asked({name: list(range(count)) for name in names}, artifacts or {})


def _looking(worker: _Answering, folder: Path) -> tuple[LookingBack, Trackbook]:
    book = Trackbook(folder)
    return LookingBack(worker, book, monotonic=lambda: worker.now), book


async def test_a_refresh_spends_so_much_time_on_it_and_the_rest_waits_for_the_next(tmp_path: Path) -> None:
    worker, count = _Answering(LOOK_BACK_SECONDS / 2), 3 * FEW
    looking, book = _looking(worker, tmp_path)
    inputs, members, asked = _inputs(count), _members(count, "Naive"), _asked(count, "Naive")

    assert await looking.look_back(inputs, members, asked, FINE) == FEW
    assert await looking.look_back(inputs, members, asked, FINE) == 0
    assert await looking.look_back(inputs, members, asked, FINE) == 0

    assert [len(body["windows"]) for body in worker.asked] == [FEW] * 3
    for each in inputs:
        track = book.get(each.cleaned.series.id)
        assert track is not None
        assert len(track) == len(FINE.back)
        assert np.isfinite(track.forecasts).all()


async def test_a_model_that_comes_later_is_judged_on_the_past_too(tmp_path: Path) -> None:
    worker = _Answering(0.0)
    looking, book = _looking(worker, tmp_path)
    inputs = _inputs(1)
    await looking.look_back(inputs, _members(1, "Naive"), _asked(1, "Naive", "LSTM"), FINE)

    both = _asked(1, "Naive", "LSTM", artifacts={"LSTM": "/somewhere"})
    await looking.look_back(inputs, _members(1, "Naive", "LSTM"), both, FINE)

    entry = book.entry("w0/cpu-5m")
    assert entry is not None
    assert entry.members >= {"Naive", "LSTM"}


async def test_a_model_that_fails_on_the_past_is_not_tried_at_each_refresh(tmp_path: Path) -> None:
    worker = _Answering(0.0)
    looking, _ = _looking(worker, tmp_path)
    inputs, asked = _inputs(1), _asked(1, "Naive", "Prophet")

    for _ in range(3):
        await looking.look_back(inputs, _members(1, "Naive", "Prophet"), asked, FINE)

    assert len(worker.asked) == 1


async def test_a_series_of_a_day_has_no_past_to_look_at(tmp_path: Path) -> None:
    worker = _Answering(0.0)
    looking, _ = _looking(worker, tmp_path)

    assert await looking.look_back(_inputs(1, 288), _members(1, "Naive"), _asked(1, "Naive"), FINE) == 0
    assert worker.asked == []
