"""The LSTM with one part of its recipe changed, as models that the backtest runs by name.

The command names them. All are trained once, from one seed, since training is dear; they are compared with
the LSTM of one seed. They differ from the service's by settings alone. Importing this imports no TensorFlow.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from controlplane.forecast.lstm.settings import Settings
from controlplane.forecast.port import Fitted, Told, silent
from controlplane.forecast.series import Window

Change = Callable[[Settings], Settings]
"""Changes settings of which what depends on the grid is decided."""

REFERENCE = "LSTM, 1 seed"
"""What variants are compared with."""

HERE = "benchmarks.forecasting.ablation.networks"
PLAIN = "benchmarks.forecasting.peers.plain_lstm:PlainLstm"


def settings(step_seconds: int) -> Settings:
    """Answer the service's settings on a grid, with one seed."""
    return replace(Settings(), seeds=1).on(step_seconds)


@dataclass(frozen=True, slots=True)
class Variant:
    """A forecaster: the LSTM with changed settings.

    Attributes:
        name: As it is shown.
        change: What is changed.
        needs: See the port.
        learns_over_all: It does.
    """

    name: str
    change: Change
    needs: int = 24
    learns_over_all: bool = True

    def fit(self, windows: Sequence[Window], *, horizon: int, seed: int, told: Told = silent) -> Fitted:
        """Train; see the port."""
        from controlplane.forecast.lstm.model import Lstm  # noqa: PLC0415 - imports TensorFlow

        step = windows[0].series.step_seconds if windows else 0
        return Lstm(self.change(settings(step))).fit(windows, horizon=horizon, seed=seed, told=told)


def one_seed(kept: Settings) -> Settings:
    """Change nothing."""
    return kept


def no_gate(kept: Settings) -> Settings:
    """Let the decoder say the centre freely."""
    return replace(kept, gated=False)


def other_ridge(kept: Settings) -> Settings:
    """Put ridges among the candidates where they are not, and leave them out where they are."""
    return replace(kept, ridge=not kept.ridge)


def other_mixtures(kept: Settings) -> Settings:
    """Learn from mixtures of series where it does not, and leave them out where it does."""
    return replace(kept, mixtures=0.0 if kept.mixtures else 1.0)


def alike(kept: Settings) -> Settings:
    """Let series that are hard to forecast weigh like their losses do."""
    return replace(kept, balance=0.0)


def OneSeed() -> Variant:  # noqa: N802 - models are asked for by the names of classes
    """Make the reference."""
    return Variant(REFERENCE, one_seed)


def NoGate() -> Variant:  # noqa: N802 - likewise
    """Make the LSTM without the gate."""
    return Variant("no gated centre", no_gate)


def OtherRidge() -> Variant:  # noqa: N802 - likewise
    """Make the LSTM with or without ridges, other than the service's."""
    return Variant("ridges the other way", other_ridge)


def OtherMixtures() -> Variant:  # noqa: N802 - likewise
    """Make the LSTM with or without mixtures, other than the service's."""
    return Variant("mixtures the other way", other_mixtures)


def Alike() -> Variant:  # noqa: N802 - likewise
    """Make the LSTM of which no series is kept from drowning others."""
    return Variant("hard series not held back", alike)


def models(step_seconds: int) -> dict[str, str]:
    """Answer the models on a grid, by what the table calls them; the reference first."""
    kept = settings(step_seconds)
    return {
        REFERENCE: f"{HERE}:OneSeed",
        "without the gated centre": f"{HERE}:NoGate",
        f"{_other(bool(kept.ridge))} ridges among the candidates": f"{HERE}:OtherRidge",
        f"{_other(bool(kept.mixtures))} mixtures of series": f"{HERE}:OtherMixtures",
        "hard series not held back": f"{HERE}:Alike",
        "plain LSTM: no gate, no seasonal inputs": PLAIN,
    }


def _other(has: bool) -> str:  # noqa: FBT001 - one argument, and it is what the name says
    return "without" if has else "with"
