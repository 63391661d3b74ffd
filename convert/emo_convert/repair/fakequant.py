"""A Keras model that rounds as its int8 TFLite twin will, and still has gradients.

The layers here exist for repairs only: their weights go back into plain layers before anything is
exported.
"""

from __future__ import annotations

import math
from typing import Any

import keras
import tensorflow as tf
from keras import layers, ops

from emo_convert.repair.graph import clone, copy, observe, stored, wiring
from emo_edge.contract import Image

TINIEST = 1e-8  # the narrowest range: a silent channel must not divide by zero
# TFLite rounds halves away from zero, the fake quantization rounds them up: pixels scaled to
# [-1, 1], which lie half a step beside every level, would all be shifted by it.
AWAY_FROM_ZERO = 1 + 1e-5


def _rounded_kernel(kernel: Any) -> Any:
    """Round to [-127, 127] x a scale per output channel (the last axis), as TFLite stores kernels.

    Gradients pass straight through.
    """
    axes = list(range(len(kernel.shape) - 1))
    reach = tf.maximum(tf.stop_gradient(tf.reduce_max(tf.abs(kernel), axis=axes)), TINIEST)
    return tf.quantization.fake_quant_with_min_max_vars_per_channel(
        kernel, -reach, reach, num_bits=8, narrow_range=True
    )


class RoundedConv2D(layers.Conv2D):  # type: ignore[misc]
    """A convolution whose kernel is rounded when it is used."""

    def convolution_op(self, inputs: Any, kernel: Any) -> Any:
        """Convolve with the rounded kernel."""
        return super().convolution_op(inputs, _rounded_kernel(ops.convert_to_tensor(kernel)))


class RoundedDepthwiseConv2D(layers.DepthwiseConv2D):  # type: ignore[misc]
    """A depthwise convolution whose kernel [h,w,input,multiplier] is rounded when it is used."""

    def call(self, inputs: Any) -> Any:
        """Convolve with the rounded kernel."""
        kernel = ops.convert_to_tensor(self.kernel)
        flat = tf.reshape(kernel, (*kernel.shape[:2], -1))
        rounded = tf.reshape(_rounded_kernel(flat), kernel.shape)
        outputs = ops.depthwise_conv(
            inputs, rounded, self.strides, self.padding, self.data_format, self.dilation_rate
        )
        return _finish(self, outputs)


class RoundedDense(layers.Dense):  # type: ignore[misc]
    """A dense layer whose kernel is rounded when it is used."""

    def call(self, inputs: Any, training: bool | None = None) -> Any:  # noqa: ARG002
        """Multiply with the rounded kernel."""
        kernel = _rounded_kernel(ops.convert_to_tensor(self.kernel))
        return _finish(self, ops.matmul(inputs, kernel))


def _finish(layer: Any, outputs: Any) -> Any:
    if layer.use_bias:
        outputs = ops.add(outputs, layer.bias)
    return layer.activation(outputs)


class Stored(layers.Layer):  # type: ignore[misc]
    """Rounds a tensor to the 256 levels of one range; what lies beyond has no gradient."""

    def __init__(self, low: float, high: float, **options: Any) -> None:
        super().__init__(**options)
        self.low, self.high = low, high

    def call(self, inputs: Any) -> Any:
        """Round and clip."""
        values = inputs * AWAY_FROM_ZERO
        return tf.quantization.fake_quant_with_min_max_args(values, self.low, self.high, 8)


_ROUNDED: dict[Any, Any] = {
    layers.Conv2D: RoundedConv2D,
    layers.DepthwiseConv2D: RoundedDepthwiseConv2D,
    layers.Dense: RoundedDense,
}


def simulate(model: keras.Model, calibration: Image) -> keras.Model:
    """Return a model that answers as the int8 TFLite model of `model` will, nearly.

    Kernels are rounded symmetrically per output channel; activations per tensor, to the range that
    the calibration faces show, where TFLite stores them (Jacob et al. 2018, "Quantization and
    Training of Neural Networks"). The layers keep their names and weights.

    Args:
        model: Made by `fold_batch_norm`, possibly equalized.
        calibration: uint8[N,H,W,C] faces.
    """
    model = copy(model)
    ranges = _ranges(model, calibration)

    def make(layer: Any) -> Any:
        rounded = _ROUNDED.get(type(layer))
        return rounded.from_config(layer.get_config()) if rounded else clone(layer)

    def call(layer: Any, *inputs: Any, **options: Any) -> Any:
        outputs = layer(*inputs, **options)
        if layer.name not in ranges:
            return outputs
        return Stored(*_on_grid(*ranges[layer.name]), name=f"{layer.name}_stored")(outputs)

    return copy(model, make, call)


def _on_grid(low: float, high: float) -> tuple[float, float]:
    """Shift a range by less than a step as TFLite does, so that 0 is one of its levels."""
    step = (high - low) / 255
    zero = -128 - low / step
    zero = math.copysign(math.floor(abs(zero) + 0.5), zero)  # std::round: halves away from zero
    return (-128 - zero) * step, (127 - zero) * step


def _ranges(model: keras.Model, calibration: Image) -> dict[str, tuple[float, float]]:
    """Return (low, high) of every stored tensor; both ranges reach 0, as TFLite wants."""
    faces = calibration.copy()
    faces[0, 0, 0], faces[0, 0, 1] = 0, 255  # as `representative_dataset` does
    names = stored(model)
    ranges = dict.fromkeys(names, (0.0, TINIEST))
    for outputs in observe(model, names, faces):
        for name, output in outputs.items():
            low, high = ranges[name]
            ranges[name] = min(low, float(output.min())), max(high, float(output.max()))
    feeding = wiring(model).sources
    for layer in model.operations:
        # The kernel of this one writes with the scale that it reads.
        if isinstance(layer, layers.AveragePooling2D) and feeding[layer.name][0] in ranges:
            ranges[layer.name] = ranges[feeding[layer.name][0]]
    return ranges
