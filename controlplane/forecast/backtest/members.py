"""What each model forecast from each origin, and how that is kept in a folder between runs.

The driver fills it; whoever tunes the combination reads it without running a model again. A file's name holds
a digest of all that its forecasts depend on, so that a stale one is never read. It never unpickles anything.
"""

import hashlib
import re
import zipfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from controlplane.forecast.backtest.plan import Case, Plan
from controlplane.forecast.quantiles import LEVELS
from controlplane.forecast.series import FloatArray

FORMAT = 1


@dataclass(frozen=True, slots=True, eq=False)
class MemberForecasts:
    """One model's forecasts of one series.

    Attributes:
        series: The series' id.
        model: As it is shown.
        step_seconds: Distance of the steps.
        origins: Shape (k,), ascending: times of the last values seen. Calibration origins come first.
        quantiles: Shape (k, horizon, len(LEVELS)); NaN throughout where the model had no forecast.
        actuals: Shape (k, horizon); NaN where there is a gap.
        seconds: How long fitting and forecasting took. Of a global model, this series' share.
    """

    series: str
    model: str
    step_seconds: int
    origins: NDArray[np.int64]
    quantiles: FloatArray
    actuals: FloatArray
    seconds: float

    def save(self, path: Path) -> None:
        """Write it to a file, which is there whole or not at all."""
        path.parent.mkdir(parents=True, exist_ok=True)
        beside = path.with_suffix(".part")
        with beside.open("wb") as file:
            np.savez_compressed(
                file,
                series=np.array(self.series),
                model=np.array(self.model),
                step_seconds=np.int64(self.step_seconds),
                origins=self.origins,
                quantiles=self.quantiles,
                actuals=self.actuals,
                seconds=np.float64(self.seconds),
            )
        beside.replace(path)


def load(path: Path) -> MemberForecasts | None:
    """Read a file; None where there is none, or it cannot be used."""
    try:
        # Opened here, since `np.load` leaves a torn file open.
        with path.open("rb") as file, np.load(file, allow_pickle=False) as stored:
            found = MemberForecasts(
                str(stored["series"]),
                str(stored["model"]),
                int(stored["step_seconds"]),
                stored["origins"],
                stored["quantiles"],
                stored["actuals"],
                float(stored["seconds"]),
            )
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile):
        return None
    return found if found.quantiles.shape == (*found.actuals.shape, len(LEVELS)) else None


def place(folder: Path, name: str, sources: str, case: Case, others: str, plan: Plan) -> Path:
    """Answer where a model's forecasts of a series are kept.

    Args:
        folder: Of the cache.
        name: The model, as the registry knows it.
        sources: Digest of what the model is made of.
        case: The series.
        others: Digest of what else it learned from; empty for a model that learns from this series alone.
        plan: How the backtest goes.
    """
    starts = plan.starts(len(case.series))
    parts = (FORMAT, name, sources, data_digest(case), others, starts, plan.horizon, plan.history, plan.seed)
    digest = hashlib.sha256(repr(parts).encode()).hexdigest()[:16]
    stem = re.sub(r"[^A-Za-z0-9_.-]+", "+", f"{case.series.id}--{name}")
    return folder / f"{plan.step_seconds}s" / f"{stem}--{digest}.npz"


def data_digest(case: Case) -> str:
    """Answer a digest of a series and its events."""
    series = case.series
    digest = hashlib.sha256(repr((series.id, case.source, series.start, series.step_seconds)).encode())
    digest.update(repr((series.upper, case.events)).encode())
    digest.update(np.ascontiguousarray(series.values).tobytes())
    return digest.hexdigest()


def set_digest(cases: list[Case], plan: Plan) -> str:
    """Answer a digest of all that a global model learns from."""
    parts = sorted(data_digest(case) + repr(plan.starts(len(case.series))) for case in cases)
    return hashlib.sha256(repr((parts, plan.refit)).encode()).hexdigest()
