"""Evaluating and keeping the moving average of the weights, with statistics of its own."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from emo_edge.contract import Image
from emo_edge.messages import warn
from emo_train.models.cost import flat_layers

STATISTICS_FACES, STATISTICS_BATCH = 2048, 128
LONGEST_AVERAGE = 0.25  # of the training


def statistics_sample(pixels: Image, seed: int) -> Image:
    """Return the training faces that batch norm is measured on."""
    rows = np.random.default_rng(seed).permutation(len(pixels))[:STATISTICS_FACES]
    return np.asarray(pixels[rows], np.uint8)


def warn_if_slow(ema: float, steps: int) -> None:
    """Say so where the average reaches back too far to follow the training."""
    if ema and 1 / (1 - ema) > LONGEST_AVERAGE * steps:
        warn(
            f"--ema {ema:g} averages over about {1 / (1 - ema):.0f} steps of {steps}: "
            "the average will lag behind; lower it or train longer"
        )


class Averaged(keras.callbacks.Callback):  # type: ignore[misc]
    """From validation to the end of the epoch, let the model be the average of its weights.

    The average needs batch-norm statistics of its own: those of the training belong to weights that
    it left behind. They are measured anew on training faces as they are, without augmentation
    (Izmailov et al. 2018, "Averaging Weights Leads to Wider Optima", section 3.2).

    In the list of callbacks it stands behind what keeps the best model and before what keeps the
    training's own weights.

    Args:
        faces: uint8[N,H,W,C] from the training split, in random order.
    """

    def __init__(self, faces: Image) -> None:
        super().__init__()
        self._faces = faces
        self._own: list[NDArray[Any]] = []

    def on_test_begin(self, logs: dict[str, float] | None = None) -> None:  # noqa: ARG002
        """Put the average in the place of the weights."""
        self._own = [keras.ops.convert_to_numpy(v).copy() for v in self.model.variables]
        self.model.optimizer.finalize_variable_values(self.model.trainable_variables)
        for variable in self.model.trainable_variables:
            # JAX shares the average's memory, and frees what a step was given.
            variable.assign(keras.ops.convert_to_numpy(variable).copy())
        measure_statistics(self.model, self._faces)

    def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:  # noqa: ARG002
        """Put the weights back."""
        self._put_back()

    def on_train_end(self, logs: dict[str, float] | None = None) -> None:  # noqa: ARG002
        """Put the weights back: Keras ends with the average, and another stage may follow."""
        self._put_back()

    def _put_back(self) -> None:
        for variable, value in zip(self.model.variables, self._own, strict=True):
            variable.assign(value)


def measure_statistics(model: keras.Model, faces: Image) -> None:
    """Set the statistics of every trainable batch norm to those of `faces` uint8[N,H,W,C].

    They stand in random order: each batch should look like all of them.
    """
    norms = [
        layer
        for layer in flat_layers(model)
        if isinstance(layer, keras.layers.BatchNormalization) and layer.trainable
    ]
    momenta = [layer.momentum for layer in norms]
    count = len(faces) // STATISTICS_BATCH or 1
    for number, batch in enumerate(np.array_split(faces, count) if norms else ()):
        for layer in norms:
            layer.momentum = number / (number + 1)  # the mean of all batches so far
        model(batch.astype(np.float32), training=True)
    for layer, momentum in zip(norms, momenta, strict=True):
        layer.momentum = momentum
