"""Batch norm folded into the layer before it: the form that the other repairs work on."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
from keras import layers

from emo_convert.repair.graph import WEIGHTED, Floats, clone, copy, weighted, wiring


def fold_batch_norm(model: keras.Model) -> keras.Model:
    """Return an equal model whose batch norms are folded into the layers before them.

    A batch norm is folded if it alone reads a convolution, depthwise convolution or dense layer
    without an activation; other batch norms stay. Every such layer of the result has a bias.
    The outputs are equal within float rounding.
    """
    original = copy(model)
    folds = _foldable(original)

    def make(layer: Any) -> Any:
        if not isinstance(layer, WEIGHTED):
            return clone(layer)
        return type(layer).from_config({**layer.get_config(), "use_bias": True})

    def call(layer: Any, *inputs: Any, **options: Any) -> Any:
        return inputs[0] if layer.name in folds else layer(*inputs, **options)

    folded = copy(original, make, call)
    norms = {source: original.get_layer(name) for name, source in folds.items()}
    for layer in weighted(folded):
        before = original.get_layer(layer.name)
        kernel = np.asarray(before.kernel, np.float32)
        bias = np.zeros(layer.bias.shape, np.float32)
        if before.use_bias:
            bias = np.asarray(before.bias, np.float32)
        if layer.name in norms:
            kernel, bias = _fold(kernel, bias, norms[layer.name])
        layer.set_weights([kernel, bias])
    return folded


def _foldable(model: keras.Model) -> dict[str, str]:
    """Return batch norm -> layer to fold it into."""
    wires = wiring(model)
    operations = {operation.name: operation for operation in model.operations}  # not all are layers
    found = {}
    for layer in weighted(model):
        readers = wires.consumers[layer.name]
        if len(readers) != 1 or layer.name in wires.outputs:
            continue
        reader = operations[readers[0]]
        if (
            isinstance(reader, layers.BatchNormalization)
            and reader.axis in (-1, len(layer.output.shape) - 1)
            and layer.activation is keras.activations.linear
        ):
            found[reader.name] = layer.name
    return found


def _fold(kernel: Floats, bias: Floats, norm: Any) -> tuple[Floats, Floats]:
    """Return W g and (b - mean) g + beta, where g = gamma / sqrt(variance + epsilon).

    Jacob et al. 2018, "Quantization and Training of Neural Networks", equation 14.
    """
    gain = 1.0 / np.sqrt(np.asarray(norm.moving_variance, np.float64) + norm.epsilon)
    if norm.scale:
        gain = gain * np.asarray(norm.gamma, np.float64)
    shift = (bias - np.asarray(norm.moving_mean, np.float64)) * gain
    if norm.center:
        shift = shift + np.asarray(norm.beta, np.float64)
    # The outputs of a depthwise kernel [h,w,input,multiplier] are its last two axes.
    width = kernel.shape[-1] if kernel.shape[-1] == len(gain) else kernel.shape[-2:]
    scaled = kernel * gain.reshape(width)
    return np.asarray(scaled, np.float32), np.asarray(shift, np.float32)
