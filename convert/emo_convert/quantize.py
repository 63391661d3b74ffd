"""Full int8, with activation ranges measured here, and a say in which layers stay float."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence

import keras
import tensorflow as tf
from tensorflow.lite.python.convert import mlir_quantize
from tensorflow.lite.tools import flatbuffer_utils

from emo_convert.export import (
    QUANTIZATIONS,
    PixelType,
    refuse_recurrent,
    representative_dataset,
    require_integer,
    run_converter,
    save_frozen,
)
from emo_convert.ranges import activation_ranges
from emo_edge.contract import Image
from emo_edge.errors import ModelError
from emo_edge.spec import ModelSpec


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
        pixels: Type of the input: "uint8" (raw), "int8" (raw - 128), both with int8 outputs, or
            "float32", which makes the output float32 too.

    Raises:
        ModelError: the converter refuses the model, a float layer is unknown, or others are left
            in float.
        OutputError: the temporary folder has no room.
    """
    calibrated = calibrate(model, spec, calibration, percentile)
    if unknown := set(float_layers) - tensor_names(calibrated):
        raise ModelError(f"no layer writes {', '.join(sorted(unknown))}")
    flatbuffer = run_converter(
        lambda: mlir_quantize(
            calibrated,
            input_data_type=tf.as_dtype(pixels),
            output_data_type=tf.float32 if pixels == "float32" else tf.int8,
            denylisted_nodes=list(float_layers),
        )
    )
    if not float_layers:
        require_integer(flatbuffer, pixels)
    return flatbuffer


def calibrate(
    model: keras.Model, spec: ModelSpec, calibration: Image, percentile: float | None = None
) -> bytes:
    """Return `model` as float32 TFLite bytes that carry the range of every activation.

    The converter's own ranges are too wide where an operator works in place: it reads the input of
    an addition after the sum was written over it (TF 2.18: the rescaled pixels get -1 to 2). So it
    calibrates on one face, and the ranges that all faces show, read while nothing is overwritten,
    take the place of what it found. The arguments are those of `quantize`.
    """
    refuse_recurrent(model)
    with tempfile.TemporaryDirectory(prefix="emo-convert-") as folder:
        save_frozen(model, spec, folder)
        converter = tf.lite.TFLiteConverter.from_saved_model(folder)
        QUANTIZATIONS["int8"].configure(converter)
        converter.representative_dataset = lambda: representative_dataset(calibration[:1])
        converter._experimental_calibrate_only = True
        rough = run_converter(converter.convert)
    content = flatbuffer_utils.convert_bytearray_to_object(bytearray(rough))
    ranges = activation_ranges(content, rough, calibration, percentile)
    for index, (low, high) in ranges.items():
        record = content.subgraphs[0].tensors[index].quantization
        record.min, record.max = [low], [high]
    return bytes(flatbuffer_utils.convert_object_to_bytearray(content))


def tensor_names(flatbuffer: bytes) -> set[str]:
    """Return the names of all tensors of a TFLite model."""
    graph = flatbuffer_utils.convert_bytearray_to_object(bytearray(flatbuffer)).subgraphs[0]
    return {tensor.name.decode() for tensor in graph.tensors}
