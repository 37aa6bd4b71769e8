"""The network: an LSTM reads the newest past, and a small decoder says for each step ahead what comes.

`training` builds it. Inputs and outputs are compressed by asinh around a centre, in units of the series' own
scale, so that one network serves series of any unit.
"""

from typing import Any

from controlplane.forecast.features.inputs import CHANNELS, ENCODED
from controlplane.forecast.lstm.backend import keras
from controlplane.forecast.lstm.examples import CANDIDATES
from controlplane.forecast.lstm.layers import GatedCentre, MonotoneQuantiles
from controlplane.forecast.lstm.settings import Settings

layers = keras.layers


def network(settings: Settings, features: int) -> Any:
    """Build an untrained network.

    Inputs are `past` (n, ENCODED, len(CHANNELS)) and `ahead` (n, horizon, features), of which the first
    len(CANDIDATES) are the candidates; it answers (n, horizon, len(LEVELS)). The LSTM's arguments are those
    that cuDNN takes.

    Args:
        settings: Its widths.
        features: How many features a step ahead has.
    """
    past = keras.Input((ENCODED, len(CHANNELS)), name="past")
    ahead = keras.Input((None, features), name="ahead")
    state = layers.LSTM(settings.units, name="encoder")(past)
    state = layers.Dropout(settings.dropout)(state)
    seen = layers.Dense(settings.width, use_bias=False, name="seen")(state)
    seen = layers.Reshape((1, settings.width))(seen)
    first = layers.Activation("gelu")(layers.Add()([layers.Dense(settings.width, name="first")(ahead), seen]))
    first = layers.Dropout(settings.dropout)(first)
    second = layers.Dense(settings.width, activation="gelu", name="second")(first)
    second = layers.Dropout(settings.dropout)(layers.Add()([first, second]))
    if settings.gated:
        centre = GatedCentre(len(CANDIDATES), settings.residual, name="centre")([second, ahead])
    else:
        centre = layers.Dense(1, kernel_initializer="zeros", name="centre")(second)
    quantiles = MonotoneQuantiles(name="quantiles")([second, centre])
    return keras.Model({"past": past, "ahead": ahead}, quantiles, name="quantile_lstm")
