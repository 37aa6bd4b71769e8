"""`python -m benchmarks.forecasting.refresh [--series 100] [--data DIR]`: what forecasting costs at scale.

Two weeks at 5 min of many series lie in a real history beside a real etcd. A leader's loop, driven by hand,
trains, fits everything, and then takes new values in; a real control plane is then started over the same
files and asked. Run it on a quiet machine. A goal that is missed is printed, and is no failure.
"""

import argparse
import asyncio
import json
import os
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from rich.console import Console

from benchmarks.forecasting.scale import making
from benchmarks.forecasting.scale.leading import Leading, Refresh
from benchmarks.forecasting.scale.reckoning import Row, rows, shown
from benchmarks.forecasting.scale.serving import Served, serve
from controlplane.demand.signals import CELL_SECONDS
from controlplane.forecast.grids import FINE
from enchain.chains.names import ForecastName
from enchain.state.etcd import open_store
from enchain.state.server import LocalEtcd

FITTING_MAX = 10
"""Refreshes after which everything must have been fitted and judged."""

STEADY = 3
SPARE_CELLS = 72
"""Cells that are measured while the loop is driven, and until the control plane starts."""

SEED = 7


@dataclass(slots=True)
class Measured:
    """Everything that was measured.

    Attributes:
        trained: Seconds of each global model.
        fitting: Refreshes from nothing until everything is fitted and judged.
        steady: Refreshes with new values, tracks short.
        long: The same with tracks as long as they become.
        keeping: One with them in which the forecasts are also kept and judged, as once an hour.
        judged: Of how many series each model was judged in the end.
        worker_mib: The most memory that the process that forecasts had.
        served: What a control plane over it did.
    """

    trained: dict[str, float] = field(default_factory=dict)
    fitting: list[Refresh] = field(default_factory=list)
    steady: list[Refresh] = field(default_factory=list)
    long: list[Refresh] = field(default_factory=list)
    keeping: list[Refresh] = field(default_factory=list)
    judged: dict[str, int] = field(default_factory=dict)
    worker_mib: float = 0.0
    served: Served | None = None


async def measure(count: int, data: Path | None, seeds: int, folder: Path) -> Measured:
    """Measure everything, telling how far it is on standard error."""
    series = making.many(count, making.traces(data), making.CELLS + SPARE_CELLS, SEED)
    names = [ForecastName(key.workload, f"{key.signal}-{FINE.id}") for key in series]
    end = int(time.time()) // CELL_SECONDS * CELL_SECONDS - SPARE_CELLS * CELL_SECONDS
    async with LocalEtcd(folder / "etcd") as etcd:
        store = await open_store([etcd.address])
        leading = Leading(store, folder, end, series, making.CELLS)
        try:
            measured = await _lead(leading, seeds)
            now = int(time.time()) // CELL_SECONDS * CELL_SECONDS
            await leading.measure(min(SPARE_CELLS, (now - leading.end) // CELL_SECONDS))
        finally:
            await leading.close()
        _tell("a control plane serves and forecasts")
        measured.served = await serve(store, etcd.address, folder, names)
        await store.close()
    return measured


async def _lead(leading: Leading, seeds: int) -> Measured:
    measured = Measured()
    await leading.open()
    if seeds:
        _tell("training")
        measured.trained = await leading.train(seeds)
    while len(measured.fitting) < FITTING_MAX:
        measured.fitting.append(await _refreshed(leading, "fitting"))
        if measured.fitting[-1].is_settled:
            break
        await leading.measure(1)
    measured.judged = leading.judged()
    for kind, refreshes in (("steady", measured.steady), ("long tracks", measured.long)):
        for _ in range(STEADY):
            await leading.measure(1)
            refreshes.append(await _refreshed(leading, kind))
        await asyncio.to_thread(leading.lengthen)
    await leading.measure(FINE.keep_every)
    measured.keeping.append(await _refreshed(leading, "keeping"))
    measured.worker_mib = leading.worker_mib()
    return measured


async def _refreshed(leading: Leading, kind: str) -> Refresh:
    refresh = await leading.refresh()
    parts: dict[str, float] = {}
    for each in refresh.asked:
        parts[each.kind] = parts.get(each.kind, 0.0) + each.wall
    said = ", ".join(f"{name} {wall:.1f} s" for name, wall in parts.items())
    models = {name: round(took, 2) for each in refresh.asked[:1] for name, took in each.seconds.items()}
    _tell(f"{kind}: {refresh.wall:.1f} s ({said}), CPU {refresh.cpu:.1f} s; {models}")
    for name, why in {name: why for each in refresh.asked for name, why in each.failures.items()}.items():
        _tell(f"  {name} failed: {' '.join(why)}")
    return refresh


def _tell(words: str) -> None:
    print(words, file=sys.stderr, flush=True)


def main() -> int:
    """Read the flags, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--series", type=int, default=100)
    parser.add_argument("--data", type=Path, default=None, help="folder of traces to make the series of")
    parser.add_argument("--seeds", type=int, default=1, help="networks to train; 0 trains nothing")
    parser.add_argument("--output", choices=["table", "json"], default="table")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="enchain-scale-") as folder:
        measured = asyncio.run(measure(asked.series, asked.data, asked.seeds, Path(folder)))
    found = rows(measured.trained, measured.fitting, measured.steady, measured.long, measured.keeping,
                 measured.worker_mib, measured.served)  # fmt: skip
    _print(found, measured, asked.series, asked.output)
    return 0


def _print(found: Sequence[Row], measured: Measured, series: int, output: str) -> None:
    if output == "json":
        said = {"series": series, "cores": os.cpu_count(), "judged": measured.judged}
        print(json.dumps({**said, "figures": [row.said() for row in found]}, indent=2))
        return
    Console().print(shown(found, f"{series} series of 2 weeks at 5 min, {os.cpu_count()} cores"))
    Console().print(f"series judged, by model: {measured.judged}")


if __name__ == "__main__":
    sys.exit(main())
