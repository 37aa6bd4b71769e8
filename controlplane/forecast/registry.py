"""Which models there are, by the names they are shown under; each is imported only when it is asked for.

The worker, the backtest and the conformance suite call it. Importing this file imports no model, so that an
API process may know the names without their libraries.
"""

import importlib
from typing import cast

from controlplane.forecast.port import Forecaster

COMBINED = "Combined"
"""What the combination of all models is shown as."""

LIGHT = {
    "Naive": "controlplane.forecast.models.naive:Naive",
    "SeasonalNaive": "controlplane.forecast.models.naive:SeasonalNaive",
    "WeeklyNaive": "controlplane.forecast.models.naive:WeeklyNaive",
    "Envelope": "controlplane.forecast.models.envelope:Envelope",
    "Theta": "controlplane.forecast.models.theta:Theta",
    "Ridge": "controlplane.forecast.models.ridge:Ridge",
}
"""Models that need numpy alone: an API process may run them."""

HEAVY = {
    "MSTL": "controlplane.forecast.models.mstl:Mstl",
    "Prophet": "controlplane.forecast.models.prophet:ProphetModel",
    "LightGBM": "controlplane.forecast.models.boosting:Boosting",
    "LSTM": "controlplane.forecast.lstm.model:Lstm",
}
"""Models of which only the worker imports the libraries."""

NAMES = (*LIGHT, *HEAVY)

GLOBAL = ("LightGBM", "LSTM")
"""Models that learn over all series at once."""


def forecaster(name: str) -> Forecaster:
    """Answer a model by its name, or by `module:Class`.

    Raises:
        KeyError: There is none of that name.
        ImportError: Its library is not installed.
    """
    place = {**LIGHT, **HEAVY}.get(name, name)
    module, colon, kind = place.partition(":")
    if not colon:
        raise KeyError(name)
    return cast("Forecaster", getattr(importlib.import_module(module), kind)())
