"""Fixtures: a forecasting leader on real etcd, a real history and real workers."""

import gc
import warnings
from collections.abc import AsyncIterator, Iterator
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


@pytest.fixture(autouse=True)
def _collected() -> Iterator[None]:
    """Collect what a test left behind within it.

    Under load a worker's pipes have been found unclosed after their event loop was; where that comes from is
    not known yet, and it must not fail whatever test runs later.
    """
    yield
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)
        gc.collect()
