"""The layers do what they say, and a Keras file of the network loads in safe mode."""

from pathlib import Path

import numpy as np
import pytest

from controlplane.forecast.features.inputs import CHANNELS, ENCODED
from controlplane.forecast.lstm.backend import keras
from controlplane.forecast.lstm.examples import CANDIDATES, WIDTH
from controlplane.forecast.lstm.layers import GatedCentre, MonotoneQuantiles, PinballLoss
from controlplane.forecast.lstm.network import network
from controlplane.forecast.lstm.settings import Settings
from controlplane.forecast.quantiles import LEVELS, MEDIAN


def inputs(count: int = 3, horizon: int = 5) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(0)
    return {
        "past": rng.normal(size=(count, ENCODED, len(CHANNELS))).astype(np.float32),
        "ahead": rng.normal(size=(count, horizon, WIDTH)).astype(np.float32),
    }


def test_an_untrained_gate_is_the_mean_of_the_candidates() -> None:
    given = inputs()

    centre = GatedCentre(len(CANDIDATES), 0.3)([given["ahead"], given["ahead"]])

    expected = given["ahead"][..., : len(CANDIDATES)].mean(axis=-1, keepdims=True)
    np.testing.assert_allclose(np.asarray(centre), expected, rtol=1e-5, atol=1e-6)


def test_quantiles_ascend_around_the_centre() -> None:
    given = inputs()["ahead"]
    layer = MonotoneQuantiles()
    layer.build([given.shape, (*given.shape[:2], 1)])
    layer.set_weights([np.random.default_rng(1).normal(size=each.shape) * 3 for each in layer.weights])

    told = np.asarray(layer([given, given[..., :1]]))

    assert told.shape == (*given.shape[:2], len(LEVELS))
    np.testing.assert_allclose(told[..., MEDIAN], given[..., 0], rtol=1e-5)
    assert (np.diff(told, axis=-1) >= 0).all()


def test_the_loss_is_that_of_the_quantiles_and_gaps_count_for_nothing() -> None:
    wanted = np.array([[1.0, np.nan, 3.0]], np.float32)
    told = np.broadcast_to(np.linspace(0, 4, len(LEVELS), dtype=np.float32), (1, 3, len(LEVELS)))

    loss = float(PinballLoss(near=1, near_weight=2.0)(wanted, told))

    def pinball(value: float) -> float:
        apart = value - told[0, 0].astype(np.float64)
        return float(np.maximum(LEVELS * apart, (LEVELS - 1) * apart).mean())

    assert np.isclose(loss, (2 * pinball(1.0) + pinball(3.0)) / 3, rtol=1e-5)
    assert float(PinballLoss(near=1, near_weight=2.0)(np.full((1, 3), np.nan, np.float32), told)) == 0.0


# Keras asks TensorFlow's variables for arrays in a way that numpy 2 deprecates; neither is ours.
@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")
def test_a_saved_network_loads_in_safe_mode(tmp_path: Path) -> None:
    made = network(Settings(units=4, width=8), WIDTH)
    path = tmp_path / "network.keras"
    made.save(path)

    again = keras.saving.load_model(path, safe_mode=True)

    expected, found = (np.asarray(each.predict_on_batch(inputs())) for each in (made, again))
    np.testing.assert_allclose(found, expected, rtol=1e-5)
    assert not any(isinstance(layer, keras.layers.Lambda) for layer in made.layers)


def test_without_the_gate_the_candidates_say_nothing_yet() -> None:
    gated, free = (network(Settings(units=4, width=8, gated=gate), WIDTH) for gate in (True, False))

    told = [np.asarray(each.predict_on_batch(inputs())) for each in (gated, free)]

    assert np.abs(told[0][..., MEDIAN]).max() > 0.1
    assert (told[1][..., MEDIAN] == 0).all()
    assert (np.diff(told[1], axis=-1) > 0).all()
