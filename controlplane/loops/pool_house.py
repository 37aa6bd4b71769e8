"""The loop that keeps pools, put together from a control plane's settings. `controlplane.main` calls it."""

import os
from random import Random

from controlplane.loops.pools import PoolLoop
from controlplane.settings import ControlPlaneSettings
from controlplane.switching.launch_states import Patience
from controlplane.switching.launchers.process import ProcessLauncher, Surroundings
from controlplane.switching.launchers.static import StaticLauncher
from enchain.process.clock import SystemClock
from enchain.state.store import Store


def pool_loop(settings: ControlPlaneSettings, store: Store) -> PoolLoop:
    """Put the loop together: instances are started on this machine, those elsewhere are asked to end."""
    surroundings = Surroundings(
        scopes=settings.scopes,
        artifacts=settings.artifacts,
        etcd=",".join(settings.server.etcd.endpoints),
        environment=dict(os.environ),
    )
    return PoolLoop(
        ProcessLauncher(settings.launches, surroundings),
        StaticLauncher(store, settings.server.tls),
        clock=SystemClock(),
        rng=Random(),  # noqa: S311 - jitter
        patience=Patience(start=settings.start_seconds, drain=settings.drain_seconds),
    )
