"""What other scalers' methods forecast at every step of a trial. Pure.

The walk calls it, and policies know the methods by the names that stand here.
"""

import numpy as np

from benchmarks.forecasting.peers import crane, phpa
from controlplane.forecast.backtest.plan import Case, Plan
from controlplane.forecast.gaps import whole
from controlplane.forecast.series import FloatArray

LINEAR = "benchmarks.forecasting.peers.phpa:Linear"
HOLT_WINTERS = "benchmarks.forecasting.peers.phpa:HoltWinters"
DSP = "benchmarks.forecasting.peers.crane:Dsp"
PEERS = (LINEAR, HOLT_WINTERS, DSP)
"""Models of the backtest whose points policies ask for."""

DSP_EVERY = 12
"""Steps after which Crane's forecast is made anew; in between it goes on. It is dear."""


def points(case: Case, plan: Plan, first: int, steps: int) -> dict[str, FloatArray]:
    """Answer what other scalers' methods forecast at each step, shape (steps, horizon)."""
    shown = [whole(case.window(first + at, plan.history).series) for at in range(steps)]
    far = plan.horizon + DSP_EVERY
    dsp = [crane.dsp(shown[at], far) for at in range(0, steps, DSP_EVERY)]
    return {
        LINEAR: np.array([phpa.line(each, plan.horizon) for each in shown]),
        HOLT_WINTERS: np.array([phpa.holt_winters(each, plan.horizon) for each in shown]),
        DSP: np.array([dsp[at // DSP_EVERY][at % DSP_EVERY :][: plan.horizon] for at in range(steps)]),
    }
