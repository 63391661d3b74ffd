"""Full int8 with more say in it than the converter gives: activation ranges, float layers."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray
from tensorflow.lite.python import schema_py_generated as schema
from tensorflow.lite.python.convert import mlir_quantize
from tensorflow.lite.tools import flatbuffer_utils

from emo_convert.export import (
    QUANTIZATIONS,
    PixelType,
    representative_dataset,
    require_integer,
    save_frozen,
)
from emo_edge.contract import Image
from emo_edge.errors import ModelError
from emo_edge.spec import ModelSpec

BINS = 8192  # of a histogram: 32 for each of the 256 levels of int8

_WEIGHTED = (
    schema.BuiltinOperator.CONV_2D,
    schema.BuiltinOperator.DEPTHWISE_CONV_2D,
    schema.BuiltinOperator.FULLY_CONNECTED,
)


def quantize(
    model: keras.Model,
    spec: ModelSpec,
    calibration: Image,
    percentile: float | None = None,
    float_layers: Sequence[str] = (),
    pixels: PixelType = "uint8",
) -> bytes:
    """Return `model` as int8 TFLite bytes that take raw pixels (scale 1).

    Args:
        model: Raw pixels float32[?,H,W,C] to outputs.
        spec: Gives the static input shape.
        calibration: uint8[N,H,W,C] faces of the training split.
        percentile: Share of the values, in percent, that the range of an activation covers, e.g.
            99.99: rare outliers are clipped and the others get finer steps. None covers all.
        float_layers: Names by `layer_errors` of layers that stay float32.
        pixels: Type of the input, as in `export`; the output is int8, or float32 with "float32".

    Raises:
        ModelError: the converter refuses the model, or leaves it with float pixels.
    """
    calibrated = set_ranges(calibrate(model, spec, calibration), calibration, percentile)
    try:
        flatbuffer = bytes(
            mlir_quantize(
                calibrated,
                input_data_type=tf.as_dtype(pixels),
                output_data_type=tf.float32 if pixels == "float32" else tf.int8,
                denylisted_nodes=list(float_layers),
            )
        )
    except (RuntimeError, ValueError) as error:
        reason = str(error).strip().splitlines()[0]
        raise ModelError(f"TFLite cannot express the repaired model: {reason}") from error
    if not float_layers:
        require_integer(flatbuffer, pixels)
    return flatbuffer


def calibrate(model: keras.Model, spec: ModelSpec, calibration: Image) -> bytes:
    """Return `model` as float32 TFLite bytes that carry the range of every activation."""
    with tempfile.TemporaryDirectory(prefix="emo-convert-") as folder:
        save_frozen(model, spec, folder)
        converter = tf.lite.TFLiteConverter.from_saved_model(folder)
        QUANTIZATIONS["int8"].configure(converter)
        converter.representative_dataset = lambda: representative_dataset(calibration)
        converter._experimental_calibrate_only = True
        try:
            return bytes(converter.convert())
        except (RuntimeError, ValueError) as error:
            reason = str(error).strip().splitlines()[0]
            raise ModelError(f"TFLite cannot express the model: {reason}") from error


def set_ranges(calibrated: bytes, calibration: Image, percentile: float | None = None) -> bytes:
    """Return `calibrated` with the ranges that the calibration faces show.

    The converter's own ranges are too wide where an operator works in place: it reads the input of
    an addition after the sum was written over it (TF 2.18: rescaled pixels get -1 to 2).
    Pixels and what is computed from them before the first convolution, and the answers of the
    model, are never clipped: their extremes matter.
    """
    content = flatbuffer_utils.convert_bytearray_to_object(bytearray(calibrated))
    graph = content.subgraphs[0]
    clipped = _behind_weights(content)
    histograms: dict[int, NDArray[np.int64]] = {}
    extremes: dict[int, tuple[float, float]] = {}
    activations = [op.outputs[0] for op in graph.operators]
    for values in _runs(calibrated, activations, calibration):
        for index, value in values.items():
            low, high = extremes.get(index, (0.0, 0.0))
            extremes[index] = min(low, float(value.min())), max(high, float(value.max()))
            if percentile is not None and index in clipped:
                counts = _histogram(value, graph.tensors[index].quantization)
                histograms[index] = histograms.get(index, 0) + counts
    for index, (low, high) in extremes.items():
        record = graph.tensors[index].quantization
        if percentile is not None and index in clipped:
            edges = _edges(histograms[index], record, percentile)
            low, high = max(low, edges[0]), min(high, edges[1])  # noqa: PLW2901
        record.min, record.max = [low], [high]
    return bytes(flatbuffer_utils.convert_object_to_bytearray(content))


def _behind_weights(content: Any) -> set[int]:
    """Return the tensors from the first convolution on, without the outputs of the model."""
    graph = content.subgraphs[0]
    codes = [content.operatorCodes[op.opcodeIndex].builtinCode for op in graph.operators]
    first = next((place for place, code in enumerate(codes) if code in _WEIGHTED), len(codes))
    inner = {int(op.outputs[0]) for op in graph.operators[first:]}
    return inner - {int(index) for index in graph.outputs}


def _runs(
    model: bytes, tensors: Sequence[int], calibration: Image
) -> Iterator[dict[int, NDArray[np.float32]]]:
    """Yield the named tensors of one face after the other."""
    interpreter = tf.lite.Interpreter(
        model_content=model, experimental_preserve_all_tensors=True, num_threads=1
    )
    interpreter.allocate_tensors()
    pixels = interpreter.get_input_details()[0]["index"]
    for (face,) in representative_dataset(calibration):
        interpreter.set_tensor(pixels, face)
        interpreter.invoke()
        yield {int(index): interpreter.get_tensor(int(index)) for index in tensors}


def _histogram(values: NDArray[np.float32], record: Any) -> NDArray[np.int64]:
    """Count values in equal bins between the converter's minimum and maximum."""
    low, high = float(record.min[0]), float(record.max[0])
    places = ((values - low) * (BINS / max(high - low, 1e-12))).astype(np.int64)
    return np.bincount(np.clip(places, 0, BINS - 1).ravel(), minlength=BINS)


def _edges(counts: NDArray[np.int64], record: Any, percentile: float) -> tuple[float, float]:
    """Return the percentiles (100 - p) and p, to the outer edge of their bins; they include 0."""
    low, high = float(record.min[0]), float(record.max[0])
    share = np.cumsum(counts) / counts.sum()
    first = int(np.searchsorted(share, 1 - percentile / 100, side="right"))
    last = int(np.searchsorted(share, percentile / 100))
    step = (high - low) / BINS
    return min(low + first * step, 0.0), max(low + (last + 1) * step, 0.0)
