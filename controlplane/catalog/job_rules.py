"""What a backtest and a training may ask for, with defaults filled in; and when a job has ended. Pure.

`controlplane.catalog.forecast_jobs` and `controlplane.rpc.forecasts` call it.
"""

from collections.abc import Iterable, Sequence

from controlplane.demand.signals import GRIDS
from controlplane.forecast.backtest.plan import STRIDES, frequency_of
from controlplane.forecast.registry import COMBINED, NAMES
from enchain.chains.digests import fingerprint_of
from enchain.chains.errors import InvalidArgumentError, Violation
from enchain.v1 import forecast_pb2

JOBS_KEPT = 100
"""Jobs that are remembered: the oldest that have ended go first, and their request ids with them."""

JOBS_OPEN_MAX = 8
"""Jobs that may wait or run: the leader runs them one after the other."""

ORIGINS_DEFAULT = 8
ORIGINS_MAX = 64
STRIDE_MAX = 2016
HORIZON_DEFAULT = 48
HORIZON_MAX = 288
SEEDS_DEFAULT = 2
SEEDS_MAX = 8

_ENDED = frozenset(
    {forecast_pb2.JOB_STATE_SUCCEEDED, forecast_pb2.JOB_STATE_FAILED, forecast_pb2.JOB_STATE_CANCELLED}
)


def ended(job: forecast_pb2.ForecastJob) -> bool:
    """Say whether nothing more happens to a job."""
    return job.state in _ENDED


def backtest_job(asked: forecast_pb2.BacktestRequest, step_seconds: int) -> forecast_pb2.ForecastJob:
    """Make the job of a backtest, on a grid of so many seconds.

    Raises:
        InvalidArgumentError: It asks for too much, or for models that there are not; every fault is listed.
    """
    task = forecast_pb2.BacktestRequest()
    task.CopyFrom(asked)
    task.origins = asked.origins or ORIGINS_DEFAULT
    task.stride = asked.stride or STRIDES[frequency_of(step_seconds)]
    task.horizon = asked.horizon or HORIZON_DEFAULT
    _refuse(
        [
            *_outside("origins", task.origins, ORIGINS_MAX),
            *_outside("stride", task.stride, STRIDE_MAX),
            *_outside("horizon", task.horizon, HORIZON_MAX),
            *_unknown_models(task.models),
        ]
    )
    return forecast_pb2.ForecastJob(backtest=task)


def training_job(asked: forecast_pb2.TrainForecasterRequest) -> forecast_pb2.ForecastJob:
    """Make the job of a training.

    Raises:
        InvalidArgumentError: There is no such grid, or it asks for too many seeds; every fault is listed.
    """
    task = forecast_pb2.TrainForecasterRequest()
    task.CopyFrom(asked)
    task.seeds = asked.seeds or SEEDS_DEFAULT
    faults = [*_outside("seeds", task.seeds, SEEDS_MAX)]
    if task.grid and task.grid not in GRIDS.values():
        told = f"there is no grid “{task.grid[:16]}”; there are {', '.join(GRIDS.values())}"
        faults.append(Violation("grid", told, "NO_SUCH_GRID"))
    _refuse(faults)
    return forecast_pb2.ForecastJob(training=task)


def request_id_of(job: forecast_pb2.ForecastJob) -> str:
    """Answer the request id that a job was begun with; empty where there was none."""
    return job.training.request_id if job.WhichOneof("task") == "training" else job.backtest.request_id


def fingerprint(job: forecast_pb2.ForecastJob) -> str:
    """Answer a digest of what a job is to do, the same for the same task."""
    return fingerprint_of(job.training if job.WhichOneof("task") == "training" else job.backtest)


def _outside(field: str, value: int, most: int) -> Iterable[Violation]:
    if not 1 <= value <= most:
        yield Violation(field, f"it is {value}; write 1 to {most}, or leave it out", "OUT_OF_RANGE")


def _unknown_models(models: Sequence[str]) -> Iterable[Violation]:
    known = (COMBINED, *NAMES)
    for index, model in enumerate(models):
        if model not in known:
            told = f"there is no model “{model[:32]}”; there are {', '.join(known)}"
            yield Violation(f"models[{index}]", told, "NO_SUCH_MODEL")


def _refuse(faults: Sequence[Violation]) -> None:
    if faults:
        raise InvalidArgumentError(faults[0].description, reason=faults[0].reason, violations=faults)
