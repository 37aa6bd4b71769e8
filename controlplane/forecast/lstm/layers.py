"""The layers that Keras does not have: the gate between candidates, quantiles that never cross, their loss.

`network` builds with them. They are written in `keras.ops`, so that any backend can train them, and
registered, so that a saved network loads without running code from the file.
"""

from typing import Any

from controlplane.forecast.lstm.backend import keras
from controlplane.forecast.quantiles import LEVELS, MEDIAN

ops = keras.ops
register = keras.saving.register_keras_serializable(package="enchain")

NARROWEST, WIDEST = -7.0, 3.0
"""Bounds of the logarithm of the learned scale."""


@register
class GatedCentre(keras.layers.Layer):  # type: ignore[misc]  # Keras ships no types
    """The median: a mixture of the candidates, weighted for each step ahead, plus a small learned residual.

    Takes (what the decoder made of the step, its features), of shapes (n, horizon, width) and (n, horizon,
    features); the first of the features are the candidates, compressed around what counts as 0. Answers
    (n, horizon, 1).

    Args:
        candidates: How many there are.
        residual: How far the residual reaches; 0 for none.
    """

    def __init__(self, candidates: int, residual: float, **rest: Any) -> None:
        super().__init__(**rest)
        self.candidates = candidates
        self.residual = residual

    def build(self, shapes: Any) -> None:
        """Make the weights; all candidates begin alike, and the residual at 0."""
        self.gate = keras.layers.Dense(self.candidates, kernel_initializer="zeros", name="gate")
        self.apart = keras.layers.Dense(1, kernel_initializer="zeros", name="apart")
        self.gate.build(shapes[0])
        self.apart.build(shapes[0])

    def call(self, inputs: Any) -> Any:
        """Answer the centre."""
        made, features = inputs
        weights = ops.softmax(self.gate(made), axis=-1)
        mixture = ops.sum(weights * features[..., : self.candidates], axis=-1, keepdims=True)
        return mixture + self.residual * ops.tanh(self.apart(made))

    def get_config(self) -> dict[str, Any]:
        """Answer what it was made with."""
        return {**super().get_config(), "candidates": self.candidates, "residual": self.residual}


@register
class MonotoneQuantiles(keras.layers.Layer):  # type: ignore[misc]  # Keras ships no types
    """All quantiles around a centre: positive increments on both sides, times a learned scale.

    Takes (what the decoder made of the step, centre), of shapes (n, horizon, width) and (n, horizon, 1);
    answers (n, horizon, len(LEVELS)).
    """

    def build(self, shapes: Any) -> None:
        """Make the weights; increments begin alike."""
        self.increments = keras.layers.Dense(len(LEVELS) - 1, kernel_initializer="zeros", name="increments")
        self.scale = keras.layers.Dense(
            1, kernel_initializer="zeros", bias_initializer=keras.initializers.Constant(-1.5), name="scale"
        )
        self.increments.build(shapes[0])
        self.scale.build(shapes[0])

    def call(self, inputs: Any) -> Any:
        """Answer the quantiles."""
        made, centre = inputs
        scale = ops.exp(ops.clip(self.scale(made), NARROWEST, WIDEST))
        wide = ops.softplus(self.increments(made)) * scale
        below, above = wide[..., :MEDIAN], wide[..., MEDIAN:]
        under = centre - ops.flip(ops.cumsum(ops.flip(below, axis=-1), axis=-1), axis=-1)
        over = centre + ops.cumsum(above, axis=-1)
        return ops.concatenate([under, centre, over], axis=-1)


@register
class PinballLoss(keras.losses.Loss):  # type: ignore[misc]  # Keras ships no types
    """The quantile loss (Koenker and Bassett 1978), gaps left out, near steps weighing more.

    Targets have shape (n, horizon), NaN in gaps; predictions (n, horizon, len(LEVELS)).

    Args:
        near: Steps ahead that weigh more.
        near_weight: How much more.
    """

    def __init__(self, near: int, near_weight: float, **rest: Any) -> None:
        super().__init__(**{"reduction": "sum_over_batch_size", "name": "pinball", **rest})
        self.near = near
        self.near_weight = near_weight

    def call(self, y_true: Any, y_pred: Any) -> Any:
        """Answer the loss of each stretch, shape (n,)."""
        there = ops.isfinite(y_true)
        wanted = ops.where(there, y_true, ops.zeros_like(y_true))
        apart = wanted[..., None] - y_pred
        levels = ops.convert_to_tensor(LEVELS, dtype=y_pred.dtype)
        loss = ops.mean(ops.maximum(levels * apart, (levels - 1) * apart), axis=-1)
        ahead = ops.arange(y_pred.shape[1])
        weight = ops.where(ahead < self.near, self.near_weight, 1.0) * ops.cast(there, y_pred.dtype)
        return ops.sum(loss * weight, axis=-1) / ops.maximum(ops.sum(weight, axis=-1), 1.0)

    def get_config(self) -> dict[str, Any]:
        """Answer what it was made with."""
        return {**super().get_config(), "near": self.near, "near_weight": self.near_weight}
