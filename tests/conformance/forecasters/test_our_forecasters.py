"""Every model of the registry keeps to every rule of the port."""

import functools
from collections.abc import Callable

import pytest

from controlplane.forecast.lstm.model import Lstm
from controlplane.forecast.lstm.settings import TINY
from controlplane.forecast.models.boosting import Boosting
from controlplane.forecast.port import Forecaster
from controlplane.forecast.registry import GLOBAL, NAMES, forecaster
from tests.conformance.forecasters.forecaster_rules import RULES, Subject

SMALL: dict[str, Forecaster] = {"LSTM": Lstm(TINY), "LightGBM": Boosting(rows=6_000)}
"""Models that learn in seconds: the rules say nothing of accuracy."""

UNPICKLED = ("LSTM",)
"""What they learn is kept as an artifact, not pickled."""

SINGLE_PRECISION = 1e-4
"""How far the order of sums may move a global model's forecast, which is counted in single precision."""


@functools.cache
def _subject(name: str) -> Subject:
    """Make the subject once, so that a global model learns once."""
    learns_over_all = name in GLOBAL
    return Subject(
        SMALL.get(name) or forecaster(name),
        learns_over_all=learns_over_all,
        pickles=name not in UNPICKLED,
        tolerance=SINGLE_PRECISION if learns_over_all else 1e-9,
    )


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.__name__)
@pytest.mark.parametrize("name", NAMES)
def test_a_model_keeps_to_a_rule(name: str, rule: Callable[[Subject], None]) -> None:
    rule(_subject(name))


@pytest.mark.parametrize("name", NAMES)
def test_a_model_is_called_what_the_registry_calls_it(name: str) -> None:
    assert _subject(name).model.name == name
    assert _subject(name).model.needs >= 1
