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


def points(case: Case, plan: Plan, starts: range) -> dict[str, FloatArray]:
    """Answer what other scalers' methods forecast, shape (len(starts), horizon).

    Args:
        case: The series.
        plan: How much they are shown, and how far ahead they forecast.
        starts: Index of the first value that is not known, at each moment.
    """
    shown = [whole(case.window(start, plan.history).series) for start in starts]
    far = plan.horizon + DSP_EVERY
    each_dsp = -(-DSP_EVERY // starts.step)
    dsp = [crane.dsp(series, far) for series in shown[::each_dsp]]
    back = [place % each_dsp * starts.step for place in range(len(starts))]
    return {
        LINEAR: np.array([phpa.line(each, plan.horizon) for each in shown]),
        HOLT_WINTERS: np.array([phpa.holt_winters(each, plan.horizon) for each in shown]),
        DSP: np.array([dsp[place // each_dsp][gone:][: plan.horizon] for place, gone in enumerate(back)]),
    }
