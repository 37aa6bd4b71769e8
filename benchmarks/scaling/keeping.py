"""Keeps what a walk forecast in a folder between runs, so that policies can be tried again at no cost.

The benchmark calls it. A file's name holds a digest of the data, of the sources of models and walk, and of
the steps, so that a stale one is never read. It never unpickles anything.
"""

import hashlib
import re
import zipfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from benchmarks.scaling.walking import Told, walk
from controlplane.forecast.backtest.driver import Tell
from controlplane.forecast.backtest.members import data_digest
from controlplane.forecast.backtest.plan import Case, Plan
from controlplane.forecast.backtest.sources import model_digest
from controlplane.planning.envelope import LEVEL

WALK = "benchmarks.scaling.walking:walk"
POINT = "point "


def kept_walk(
    cases: Sequence[Case],
    plan: Plan,
    first: Sequence[int],
    steps: int,
    members: Sequence[str],
    cache: Path | None,
    tell: Tell,
    every: int = 1,
) -> list[Told]:
    """Read a walk from the folder, or walk and keep it; arguments as in `walk`."""
    if cache is None:
        return walk(cases, plan, first, steps, members, tell, every)
    sources = map(model_digest, [*members, WALK])
    parts = [sorted(map(data_digest, cases)), first, steps, every, repr(plan), LEVEL, *sources]
    digest = hashlib.sha256(repr(parts).encode()).hexdigest()[:16]
    paths = [cache / "walks" / f"{_stem(case.series.id)}--{digest}.npz" for case in cases]
    found = [_load(path) for path in paths]
    there = [each for each in found if each is not None]
    if len(there) == len(cases):
        tell(f"the walk of {len(cases)} series is kept already")
        return there
    told = walk(cases, plan, first, steps, members, tell, every)
    for path, each in zip(paths, told, strict=True):
        _save(path, each)
    return told


def _stem(series: str) -> str:
    return re.sub(r"[^A-Za-z0-9_.-]+", "+", series)


def _save(path: Path, told: Told) -> None:
    """Write a file, which is there whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_suffix(".part")
    arrays = {f"{POINT}{name}": each.astype(np.float32) for name, each in told.points.items()}
    with beside.open("wb") as file:
        np.savez_compressed(
            file,
            series=np.array(told.series),
            first=np.int64(told.first),
            quantiles=told.quantiles.astype(np.float32),
            above=told.above,
            known=told.known,
            every=np.int64(told.every),
            **arrays,  # type: ignore[arg-type]  # numpy types its further flags as arrays' names
        )
    beside.replace(path)


def _load(path: Path) -> Told | None:
    try:
        # Opened here, since `np.load` leaves a torn file open.
        with path.open("rb") as file, np.load(file, allow_pickle=False) as stored:
            return Told(
                series=str(stored["series"]),
                first=int(stored["first"]),
                quantiles=stored["quantiles"].astype(np.float64),
                above=stored["above"],
                known=stored["known"],
                points={
                    name.removeprefix(POINT): stored[name].astype(np.float64)
                    for name in stored.files
                    if name.startswith(POINT)
                },
                every=int(stored["every"]),
            )
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile):
        return None
