"""What a model costs, known before it is trained."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import keras
from keras import layers

# Measured on converted nets: bytes that a flatbuffer spends beside the weights.
BYTES_PER_CHANNEL = 12  # int32 bias; scale of the kernel and of the bias
BYTES_PER_OPERATOR = 400
BYTES_PER_PIXEL = 5.5  # eight golden faces, compressed


def flat_layers(model: keras.Model) -> Iterator[Any]:
    """Yield the layers of a model, those of models within it in their place."""
    for layer in model.layers:
        if isinstance(layer, keras.Model):
            yield from flat_layers(layer)
        else:
            yield layer


def count_macs(model: keras.Model) -> int:
    """Return the multiply-accumulates of one inference: convolutions and dense layers."""
    return sum(_macs(layer) for layer in flat_layers(model))


def _macs(layer: Any) -> int:
    if isinstance(layer, layers.Dense):
        return int(layer.input.shape[-1] * layer.units)
    if not isinstance(layer, (layers.Conv2D, layers.DepthwiseConv2D, layers.SeparableConv2D)):
        return 0
    _, height, width, filters = layer.output.shape
    window = layer.kernel_size[0] * layer.kernel_size[1]
    if isinstance(layer, layers.DepthwiseConv2D):
        return int(height * width * filters * window)
    channels = layer.input.shape[-1]
    if isinstance(layer, layers.SeparableConv2D):
        between = channels * layer.depth_multiplier
        return int(height * width * between * (window + filters))
    return int(height * width * filters * window * channels // layer.groups)


def estimate_int8_bytes(model: keras.Model) -> int:
    """Return about how large the int8 .tflite gets: kernels at a byte, batch norm folded away."""
    total: float = BYTES_PER_PIXEL * math.prod(model.input_shape[1:])
    for layer in flat_layers(model):
        kernels = [w for w in layer.weights if w.name.endswith("kernel")]
        total += sum(int(keras.ops.size(kernel)) for kernel in kernels)
        if kernels:
            total += BYTES_PER_CHANNEL * layer.output.shape[-1]
        if not isinstance(layer, (layers.BatchNormalization, layers.Dropout, layers.InputLayer)):
            total += BYTES_PER_OPERATOR
    return round(total)
