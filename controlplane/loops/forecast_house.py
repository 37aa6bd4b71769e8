"""Puts the forecasting loops together; `controlplane.main` calls it once.

Two workers: one forecasts, so that no forecast waits for a training; the other does the long work.
"""

from pathlib import Path
from random import Random

from controlplane.demand.measured import Demand
from controlplane.forecast.serving import Desk
from controlplane.forecast.shelf import Shelf
from controlplane.forecast.trackbook import Trackbook
from controlplane.forecast.worker.client import Worker
from controlplane.loops.election import LeaderLoop
from controlplane.loops.forecast_jobs import ForecastJobsLoop
from controlplane.loops.forecasting import ForecastLoop
from enchain.process.clock import Clock

THREADS = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}
"""The models' libraries use every core they see; the services of this machine want some too."""


def forecast_loops(
    demand: Demand, learned: Path, desk: Desk, *, clock: Clock, rng: Random
) -> tuple[LeaderLoop, ...]:
    """Answer the loops that forecast and that learn.

    Args:
        demand: Measured demand.
        learned: Folder of what was learned: models, and how they did.
        desk: Where the service of this process finds what only the leader knows.
        clock: Time.
        rng: Jitter.
    """
    shelf = Shelf(learned / "models")
    forecasting = ForecastLoop(
        demand,
        Worker("forecasts", clock, environment=THREADS),
        shelf,
        Trackbook(learned / "tracks"),
        desk,
        clock=clock,
        rng=rng,
    )
    jobs = ForecastJobsLoop(demand, Worker("jobs", clock, environment=THREADS), shelf, clock=clock, rng=rng)
    return forecasting, jobs
