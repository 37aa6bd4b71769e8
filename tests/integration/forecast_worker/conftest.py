"""Fixtures of the worker's tests."""

import gc
import warnings
from collections.abc import Iterator

import pytest


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
