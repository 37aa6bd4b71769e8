"""What a training and a backtest do: read demand, let the worker work, keep what came of it.

The loop of jobs calls it, as leader. A trained model is taken into use where it is about as good as the one
before on the newest part of the data, which neither has learned from.
"""

import asyncio
from datetime import timedelta
from typing import Any

from google.protobuf.duration_pb2 import Duration
from ulid import ULID

from controlplane.demand.measured import Demand
from controlplane.forecast.documents import signal_and_step
from controlplane.forecast.grids import GRIDS, Grid, grid
from controlplane.forecast.port import Told
from controlplane.forecast.registry import GLOBAL, NAMES
from controlplane.forecast.series import HOUR, Window
from controlplane.forecast.shelf import Shelf
from controlplane.forecast.worker.client import Worker
from controlplane.forecast.worker.wire import windows_out
from controlplane.loops.forecast_inputs import gather, learnable
from enchain.chains.errors import PreconditionError
from enchain.chains.names import ForecastName
from enchain.process.clock import Clock
from enchain.state.store import Store
from enchain.v1 import forecast_pb2

DEADLINE_SECONDS = HOUR
WORSE_MAX = 1.1
"""How much worse than the one before a new model may be on the held-out part and still be adopted: the newer
data that it knows is worth something that the comparison does not see."""

BACKTEST_SERIES_MAX = 30
"""How many other series a backtest's global models learn from at most."""


class Trainings:
    """Trains and tests on measured demand.

    Args:
        demand: Measured demand.
        store: Planned events and profiles.
        worker: Does the work.
        shelf: Keeps what was learned.
        clock: Time.
    """

    def __init__(self, demand: Demand, store: Store, worker: Worker, shelf: Shelf, clock: Clock) -> None:
        self._demand = demand
        self._store = store
        self._worker = worker
        self._shelf = shelf
        self._clock = clock

    async def train(
        self, asked: forecast_pb2.TrainForecasterRequest, told: Told
    ) -> forecast_pb2.TrainingResult:
        """Train each global model on each grid asked for.

        Raises:
            PreconditionError: Too little was measured yet.
            UnavailableError: The worker died, or took too long.
        """
        grids = [grid(asked.grid)] if asked.grid else list(GRIDS)
        tasks = [(each, model) for each in grids for model in GLOBAL]
        result = forecast_pb2.TrainingResult()
        for number, (each, model) in enumerate(tasks):

            def part(progress: float, activity: str, number: int = number, label: str = model) -> None:
                told((number + progress) / len(tasks), f"{label}: {activity}")

            windows = learnable(await gather(self._demand, self._store, each, self._now()))
            if not windows:
                raise PreconditionError(
                    "nothing was measured yet that could be learned from",
                    reason="NO_DEMAND",
                    remedy="Export metrics, or wait for requests; see docs/demand.md.",
                )
            report = await self._train(each, model, windows, max(1, asked.seeds), part)
            _merge(result, report)
        return result

    async def backtest(self, asked: forecast_pb2.BacktestRequest, told: Told) -> forecast_pb2.BacktestResult:
        """Forecast the past of one series.

        Raises:
            NotFoundError: There is no such grid.
            PreconditionError: The series is too short.
        """
        name = ForecastName.parse(asked.forecast, "forecast")
        _, step_seconds = signal_and_step(name)
        each = next(one for one in GRIDS if one.step_seconds == step_seconds)
        inputs = await gather(self._demand, self._store, each, self._now())
        mine = [one for one in inputs if (one.key.workload, one.forecast) == (name.workload, name.forecast)]
        if not mine:
            raise PreconditionError(
                f"nothing was measured of {asked.forecast}", reason="NO_DEMAND", remedy="See docs/demand.md."
            )
        others = [one for one in inputs if one is not mine[0]][:BACKTEST_SERIES_MAX]
        said, arrays = windows_out([one.window for one in (mine[0], *others)])
        body = {
            "windows": said,
            "models": list(asked.models) or [*NAMES],
            "origins": asked.origins,
            "stride": asked.stride,
            "horizon": asked.horizon,
        }
        answer = await self._worker.ask(
            "backtest", body, arrays, deadline_seconds=DEADLINE_SECONDS, told=told
        )
        return forecast_pb2.BacktestResult(
            scores=[_score(asked.forecast, one) for one in answer.body["scores"]]
        )

    async def _train(
        self, each: Grid, model: str, windows: list[Window], seeds: int, told: Told
    ) -> dict[str, Any]:
        now = self._now()
        version = str(ULID.from_datetime(self._clock.now()))
        before = self._shelf.in_use(each.id, model)
        said, arrays = windows_out(windows)
        body = {
            "windows": said,
            "model": model,
            "horizon": each.horizon,
            "holdout": each.holdout,
            "seed": now % 2**31,
            "seeds": seeds,
            "directory": str(await asyncio.to_thread(self._shelf.place, each.id, model, version)),
            "previous": "" if before is None else str(before.path),
        }
        answer = await self._worker.ask("train", body, arrays, deadline_seconds=DEADLINE_SECONDS, told=told)
        report = dict(answer.body)
        report["version"] = version
        report["adopted"] = adopted(report.get("loss"), report.get("loss_before"))
        if report["adopted"]:
            await asyncio.to_thread(self._shelf.adopt, each.id, model, version, now, report)
        return report

    def _now(self) -> int:
        return int(self._clock.now().timestamp())


def adopted(loss: float | None, before: float | None) -> bool:
    """Decide whether a new model is taken into use, by its loss on the held-out part and the old one's.

    Where one of the two could not be judged, since the history is short, the newer one is taken.
    """
    return loss is None or before is None or loss <= WORSE_MAX * before


def _merge(result: forecast_pb2.TrainingResult, report: dict[str, Any]) -> None:
    """Add what one training told; the last one's digest and version stand, the losses one after the other."""
    result.digest = str(report["digest"])
    result.version = str(report["version"])
    result.series = max(result.series, int(report["series"]))
    result.windows += int(report["windows"])
    result.validation_losses.extend(float(loss) for loss in report["validation_losses"])
    result.adopted = result.adopted or bool(report["adopted"])
    total = result.time.ToTimedelta() + timedelta(seconds=float(report["seconds"]))
    result.time.FromTimedelta(total)


def _score(series: str, said: dict[str, Any]) -> forecast_pb2.BacktestScore:
    time = Duration()
    time.FromTimedelta(timedelta(seconds=float(said["seconds"])))
    buckets = [forecast_pb2.BucketAccuracy(**bucket) for bucket in said["buckets"]]
    accuracy = forecast_pb2.ModelAccuracy(model=said["model"], buckets=buckets)
    return forecast_pb2.BacktestScore(series=series, accuracy=accuracy, time=time)
