"""Which models a series may be forecast with, by how much of its past is known. Pure; a table.

The leader asks per series before it combines, and shows the reason. A model that needs a season is not asked
before it has seen one come again; the envelope works from the first minute. It must never leave a series
without any model.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from controlplane.forecast.series import DAY, HOUR, WEEK, Series

_REACTIVE = ("Envelope", "Naive")
_LEARNED = ("LSTM", "LightGBM")
_DAILY = ("SeasonalNaive", "Theta", "MSTL", "Ridge", "Prophet")
_WEEKLY = ("WeeklyNaive",)


@dataclass(frozen=True, slots=True)
class Rung:
    """One rung of the ladder.

    Attributes:
        name: As it is shown.
        least: From how many seconds of measured history on it is stood upon.
        models: Who may have weight.
        peaks: Whether the stated peaks of a workload are the prior here; above they are an input of models.
        reason: Why no further models are asked, as a sentence; empty on the highest rung.
    """

    name: str
    least: int
    models: tuple[str, ...]
    peaks: bool
    reason: str


LADDER = (
    Rung(
        "minutes",
        0,
        _REACTIVE,
        peaks=True,
        reason="Less than 2 hours are known: only the reactive envelope and stated peaks are used.",
    ),
    Rung(
        "hours",
        2 * HOUR,
        (*_REACTIVE, *_LEARNED),
        peaks=True,
        reason="Less than 2 days are known: only models that learned from other series are used as well.",
    ),
    Rung(
        "days",
        2 * DAY,
        (*_REACTIVE, *_LEARNED, *_DAILY),
        peaks=False,
        reason="Less than 2 weeks are known: no model of the week is used.",
    ),
    Rung("weeks", 2 * WEEK, (*_REACTIVE, *_LEARNED, *_DAILY, *_WEEKLY), peaks=False, reason=""),
)
"""From the lowest to the highest."""


def measured(series: Series) -> int:
    """Answer how many seconds of a series are known, gaps not counted."""
    return int(np.isfinite(series.values).sum()) * series.step_seconds


def rung(seconds: int) -> Rung:
    """Answer the highest rung that so much known history reaches."""
    return max((each for each in LADDER if each.least <= seconds), key=lambda each: each.least)


def allowed(rungs: Sequence[Rung], members: Sequence[str]) -> NDArray[np.bool_]:
    """Answer which members may have weight, shape (len(rungs), len(members)).

    A member that no rung names is a plug-in, and may from the first rung on which learned models may.
    """
    named = LADDER[-1].models
    return np.array(
        [
            [
                name in each.models or (name not in named and set(_LEARNED) <= set(each.models))
                for name in members
            ]
            for each in rungs
        ],
        dtype=np.bool_,
    ).reshape(len(rungs), len(members))
