"""Fixtures: places on this machine where leaders start real engine servers, on real etcd."""

import os
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from controlplane.switching.launchers.process import ProcessLauncher, Surroundings
from enchain.process.detached import Detached
from enchain.state.store import Store
from tests.harness.pools import Leader
from tests.harness.replicas import Replicas
from tests.harness.trials import Trial, trial_site
from tests.harness.waiting import eventually


class Machine:
    """A folder of launches, and leaders that start instances there.

    Args:
        etcd: Address of the store, for the instances.
        store: The same, for leaders.
        folder: Where everything lies, as it does beside a control plane's artifacts.
    """

    def __init__(self, etcd: str, store: Store, folder: Path) -> None:
        self.etcd = etcd
        self.store = store
        self.programs = Detached(folder / "launches")
        self._folder = folder
        self._leaders: list[Leader] = []

    def lead(self, **environment: str) -> Leader:
        """Begin a term of a leader in this process, with more in its environment."""
        given = Surroundings(
            self._folder / "scopes",
            self._folder / "artifacts",
            self.etcd,
            {**os.environ, "ENCHAIN_LAUNCH_LEASE_SECONDS": "3", **environment},
        )
        leader = Leader(self.store, ProcessLauncher(self._folder / "launches", given))
        leader.start()
        self._leaders.append(leader)
        return leader

    async def close(self) -> None:
        """End the leaders, and leave no instance behind."""
        for leader in self._leaders:
            await leader.stop()
        for identifier in self.programs.running():
            self.programs.kill(identifier)
        await eventually(lambda: not self.programs.running())


@pytest.fixture
async def machine(etcd: str, store: Store, tmp_path: Path) -> AsyncIterator[Machine]:
    """A machine that starts instances; none is left at the end."""
    machine = Machine(etcd, store, tmp_path)
    yield machine
    await machine.close()


@pytest.fixture
async def replicas(etcd: str, tmp_path: Path) -> AsyncIterator[Replicas]:
    """Starts control planes as processes, which share the machine's folder; what still runs is killed."""
    replicas = Replicas(etcd, tmp_path)
    yield replicas
    await replicas.kill_all()


@pytest.fixture
async def trial(machine: Machine, tmp_path: Path) -> AsyncIterator[Trial]:
    """A site with a draft of an experiment; nobody leads."""
    async with trial_site(machine.store, tmp_path) as made:
        yield made
