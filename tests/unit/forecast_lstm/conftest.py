"""A tiny network, trained once on waves, for the tests of the LSTM."""

import numpy as np
import pytest

from controlplane.forecast.lstm.model import FittedLstm, Lstm
from controlplane.forecast.lstm.settings import TINY
from controlplane.forecast.series import HOUR, Series, Window


def wave(name: str, length: int = 24 * 21, size: float = 20.0, seed: int = 0) -> Window:
    rng = np.random.default_rng(seed)
    times = np.arange(length) * HOUR
    values = 2.5 * size + size * np.sin(2 * np.pi * times / 86400) + rng.normal(0, 0.05 * size, length)
    return Window(Series(name, 0, HOUR, np.maximum(values, 0.0)))


@pytest.fixture(scope="session")
def waves() -> list[Window]:
    return [wave("small", size=2.0, seed=1), wave("middle", seed=2), wave("large", size=5e6, seed=3)]


@pytest.fixture(scope="session")
def tiny() -> Lstm:
    return Lstm(TINY)


@pytest.fixture(scope="session")
def fitted(tiny: Lstm, waves: list[Window]) -> FittedLstm:
    return tiny.fit(waves, horizon=12, seed=7)
