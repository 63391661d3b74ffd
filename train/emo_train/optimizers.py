"""Optimizers and learning-rate schedules of a recipe."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import keras

from emo_train.recipe import Recipe

MOMENTUM = 0.9
RATES = {"sgd": 0.05, "adam": 1e-3, "adamw": 1e-3}  # peak where the recipe leaves it open
NO_DECAY = ["bias", "gamma", "beta"]
PLATEAU_FACTOR = 0.3


def make_optimizer(recipe: Recipe, rate: float, steps: int) -> keras.optimizers.Optimizer:
    """Return the optimizer of a training of `steps` steps with the peak learning rate `rate`.

    Weight decay is decoupled (Loshchilov & Hutter 2019) and spares biases and batch norm; plain
    Adam has none. With `ema` the optimizer keeps the averages too, so that a backup holds them.
    """
    common = {"use_ema": recipe.ema > 0, "ema_momentum": recipe.ema or 0.99}
    schedule: Any = rate  # which `Plateau` sets
    if recipe.schedule != "plateau":
        lowest = 1.0 if recipe.schedule == "constant" else 0.0
        schedule = _cosine(rate, steps, recipe.warmup, lowest)
    if recipe.optimizer == "adam":
        return keras.optimizers.Adam(schedule, **common)
    if recipe.optimizer == "adamw":
        optimizer = keras.optimizers.AdamW(schedule, weight_decay=recipe.weight_decay, **common)
    else:
        optimizer = keras.optimizers.SGD(
            schedule, MOMENTUM, nesterov=True, weight_decay=recipe.weight_decay, **common
        )
    optimizer.exclude_from_weight_decay(var_names=NO_DECAY)
    return optimizer


def _cosine(
    rate: float, steps: int, warmup: float, lowest: float
) -> keras.optimizers.schedules.LearningRateSchedule:
    """Rise linearly, fall along a cosine to a share `lowest` (Loshchilov & Hutter 2017)."""
    rising = max(1, round(steps * warmup))
    return keras.optimizers.schedules.CosineDecay(
        initial_learning_rate=0.0,
        decay_steps=max(1, steps - rising),
        warmup_target=rate,
        warmup_steps=rising,
        alpha=lowest,
    )


def rate_on_plateau(losses: Sequence[float], rate: float, rising: int, patience: int) -> float:
    """Return the learning rate of the next epoch.

    It rises linearly over the first `rising` epochs; then every `patience` epochs without a new
    lowest loss multiply it by `PLATEAU_FACTOR`.

    Args:
        losses: Validation losses of the epochs before.
        rate: Peak.
        rising: Epochs of the warm-up.
        patience: Epochs.
    """
    if len(losses) < rising:
        return rate * (len(losses) + 1) / (rising + 1)
    lowest, waited = float("inf"), 0
    for loss in losses:
        waited = 0 if loss < lowest else waited + 1
        lowest = min(lowest, loss)
        if waited == patience:
            rate, waited = rate * PLATEAU_FACTOR, 0
    return rate


class Plateau(keras.callbacks.Callback):  # type: ignore[misc]
    """Set the learning rate of every epoch by `rate_on_plateau`.

    What was recorded decides, so that a resumed training goes on at the same rate.

    Args:
        losses: Returns the validation losses of the epochs before.
        rate: Peak.
        rising: Epochs of the warm-up.
        patience: Epochs.
    """

    def __init__(
        self, losses: Callable[[], Sequence[float]], rate: float, rising: int, patience: int
    ) -> None:
        super().__init__()
        self._losses, self._rate, self._rising, self._patience = losses, rate, rising, patience

    def on_epoch_begin(self, epoch: int, logs: dict[str, float] | None = None) -> None:  # noqa: ARG002
        """Set the rate."""
        rate = rate_on_plateau(self._losses(), self._rate, self._rising, self._patience)
        self.model.optimizer.learning_rate = rate


def add_l2(model: keras.Model, strength: float) -> None:
    """Add strength x the sum of squared kernels to the loss, which no saved model remembers."""
    for variable in model.trainable_variables:
        if variable.name.endswith("kernel"):
            variable.regularizer = keras.regularizers.L2(strength)
