"""Ranges of the activations of a float TFLite model on the calibration faces."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray
from tensorflow.lite.python import schema_py_generated as schema

from emo_convert.export import representative_dataset
from emo_edge.contract import Image

Range = tuple[float, float]

BINS = 8192  # of a histogram: 32 for each of the 256 levels of int8

_WEIGHTED = (
    schema.BuiltinOperator.CONV_2D,
    schema.BuiltinOperator.DEPTHWISE_CONV_2D,
    schema.BuiltinOperator.FULLY_CONNECTED,
)


def activation_ranges(
    content: Any, model: bytes, calibration: Image, percentile: float | None = None
) -> dict[int, Range]:
    """Return tensor index -> (low, high) of what the operators write; every range includes 0.

    Args:
        content: `model` as an object of the flatbuffer schema.
        model: Float32 TFLite bytes.
        calibration: uint8[N,H,W,C] faces.
        percentile: See `quantize`; None gives the extremes.
    """
    tensors = content.subgraphs[0].tensors
    written = [int(index) for op in content.subgraphs[0].operators for index in op.outputs]
    floats = [index for index in written if tensors[index].type == schema.TensorType.FLOAT32]
    ranges = _extremes(model, floats, calibration)
    if percentile is not None:
        clipped = {index: ranges[index] for index in _behind_weights(content) if index in ranges}
        ranges |= _percentiles(model, clipped, calibration, percentile)
    return ranges


def _extremes(model: bytes, tensors: Sequence[int], calibration: Image) -> dict[int, Range]:
    """Return (min, max) of each tensor, which include 0 as TFLite wants."""
    ranges = dict.fromkeys(tensors, (0.0, 0.0))
    for values in _runs(model, tensors, calibration):
        for index, value in values.items():
            low, high = ranges[index]
            ranges[index] = min(low, float(value.min())), max(high, float(value.max()))
    return ranges


def _percentiles(
    model: bytes, ranges: Mapping[int, Range], calibration: Image, percentile: float
) -> dict[int, Range]:
    """Return the percentiles (100 - p, p) of each tensor, to the outer edge of a histogram's bin.

    They are sought between the extremes `ranges`, and include 0.
    """
    counts = {index: np.zeros(BINS, np.int64) for index in ranges}
    steps = {index: max(high - low, 1e-12) / BINS for index, (low, high) in ranges.items()}
    for values in _runs(model, list(ranges), calibration):
        for index, value in values.items():
            bins = ((value - ranges[index][0]) / steps[index]).astype(np.int64)
            counts[index] += np.bincount(np.minimum(bins, BINS - 1).ravel(), minlength=BINS)
    found = {}
    for index, (low, _) in ranges.items():
        share = 100 * np.cumsum(counts[index]) / counts[index].sum()
        first = int(np.searchsorted(share, 100 - percentile, side="right"))
        last = int(np.searchsorted(share, percentile)) + 1
        found[index] = min(low + first * steps[index], 0.0), max(low + last * steps[index], 0.0)
    return found


def _behind_weights(content: Any) -> set[int]:
    """Return the tensors from the first convolution on, without the outputs of the model.

    The others are never clipped: extreme pixels and extreme answers matter.
    """
    graph = content.subgraphs[0]
    codes = [content.operatorCodes[op.opcodeIndex].builtinCode for op in graph.operators]
    first = next((place for place, code in enumerate(codes) if code in _WEIGHTED), len(codes))
    inner = {int(op.outputs[0]) for op in graph.operators[first:]}
    return inner - {int(index) for index in graph.outputs}


def _runs(
    model: bytes, tensors: Sequence[int], calibration: Image
) -> Iterator[dict[int, NDArray[np.float32]]]:
    """Yield the values of `tensors` for one face after the other."""
    interpreter = tf.lite.Interpreter(
        model_content=model, experimental_preserve_all_tensors=True, num_threads=1
    )
    interpreter.allocate_tensors()
    pixels = interpreter.get_input_details()[0]["index"]
    for (face,) in representative_dataset(calibration):
        interpreter.set_tensor(pixels, face)
        interpreter.invoke()
        yield {index: interpreter.get_tensor(index) for index in tensors}
