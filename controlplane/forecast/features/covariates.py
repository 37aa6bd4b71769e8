"""What is known ahead, as learning models take it: events, peaks and holidays, free of the series' unit.

The LSTM and the boosted trees call it. Pure; numpy only. It never reads demand, so nothing in it can look
beyond an origin.
"""

import math
from collections.abc import Mapping

import numpy as np

from controlplane.forecast.events.windows import DURING, by_type, shares
from controlplane.forecast.peaks import PEAKS
from controlplane.forecast.series import FloatArray, Window

UNSTATED = math.log(1.5)
"""The logarithm of the uplift of an event for which none is stated: it marks the event, and the size of its
effect comes from earlier ones of the series."""

CLIPPED = 3.0
"""No event counts for more than a twentyfold."""


def covariates(window: Window, ahead: int) -> Mapping[str, FloatArray]:
    """Answer the covariates by the names that `features` knows.

    Args:
        window: What is known.
        ahead: Steps after its end.

    Returns:
        `event`: the logarithms of the uplifts of all events that cover a step, by the share of it that they
        cover; `peak`: the stated rate as a share of its largest; and those that the window brings itself.
        Each of shape (n + ahead,).
    """
    found = {name: values for name, values in window.covariates.items() if name != PEAKS}
    if PEAKS in window.covariates:
        rates = window.covariates[PEAKS]
        found["peak"] = rates / max(float(np.max(rates, initial=0.0)), 1e-12)
    if window.events:
        found["event"] = _events(window, ahead)
    return found


def _events(window: Window, ahead: int) -> FloatArray:
    times = window.series.times(ahead)
    total = np.zeros(len(times))
    for events in by_type(window.events).values():
        for uplift in {event.expected_uplift for event in events}:
            alike = [event for event in events if event.expected_uplift == uplift]
            size = UNSTATED if uplift is None else math.log(max(uplift, math.exp(-CLIPPED)))
            total += size * shares(alike, times, window.series.step_seconds)[:, DURING]
    return np.clip(total, -CLIPPED, CLIPPED)
