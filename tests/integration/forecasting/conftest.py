"""Fixtures: a forecasting leader on real etcd, a real history and real workers."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from enchain.state.store import Store
from tests.harness.forecasting import ForecastingLeader


@pytest.fixture
async def leader(store: Store, tmp_path: Path) -> AsyncIterator[ForecastingLeader]:
    """A leader that forecasts nothing yet."""
    leader = ForecastingLeader(store, tmp_path)
    await leader.open()
    yield leader
    await leader.close()
