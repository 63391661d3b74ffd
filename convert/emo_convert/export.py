"""The only code that touches the TFLite converter."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from emo_edge.contract import Image
from emo_edge.errors import ModelError
from emo_edge.spec import ModelSpec


def _float32(converter: Any, calibration: Image) -> None:
    """Leave weights and arithmetic in float32."""


def _fp16(converter: Any, calibration: Image) -> None:  # noqa: ARG001
    """Store weights in float16 (half the size); arithmetic stays float32."""
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    converter.target_spec.supported_types = [tf.float16]


def _dynamic(converter: Any, calibration: Image) -> None:  # noqa: ARG001
    """Store weights in int8; activations are quantised while running."""
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    # Per-channel dense layers become FULLY_CONNECTED version 12, which tflite-runtime 2.14 refuses.
    converter._experimental_disable_per_channel_quantization_for_dense_layers = True


def _int8(converter: Any, calibration: Image) -> None:
    """Make the whole graph integer: uint8 pixels in, int8 logits out."""
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    converter.representative_dataset = lambda: representative_dataset(calibration)
    converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
    converter.inference_input_type = tf.uint8
    converter.inference_output_type = tf.int8


QUANTIZATIONS: dict[str, Callable[[Any, Image], None]] = {
    "none": _float32,
    "fp16": _fp16,
    "dynamic": _dynamic,
    "int8": _int8,
}


def export(model: keras.Model, spec: ModelSpec, quantization: str, calibration: Image) -> bytes:
    """Return `model` as TFLite bytes.

    Args:
        model: Raw pixels float32[?,H,W,C] to outputs.
        spec: Gives the static input shape.
        quantization: A key of `QUANTIZATIONS`.
        calibration: uint8[N,H,W,C] faces of the training split; used by int8.

    Raises:
        ModelError: the converter refuses the model, or leaves an int8 model with float pixels.
    """
    with tempfile.TemporaryDirectory(prefix="emo-convert-") as folder:
        _save(model, spec, folder)
        converter = tf.lite.TFLiteConverter.from_saved_model(folder)
        QUANTIZATIONS[quantization](converter, calibration)
        try:
            flatbuffer = bytes(converter.convert())
        except (RuntimeError, ValueError) as error:
            reason = str(error).strip().splitlines()[0]
            raise ModelError(f"TFLite cannot express the model: {reason}") from error
    if quantization == "int8":
        _refuse_scaled_pixels(flatbuffer)
    return flatbuffer


def representative_dataset(calibration: Image) -> Iterator[list[NDArray[np.float32]]]:
    """Yield calibration faces one by one as the model takes them: float32[1,H,W,C], 0-255.

    The first face gets one black and one white pixel: the input must span the whole range, or its
    scale would not be 1 and the device would have to requantise every pixel.
    """
    for number, face in enumerate(calibration):
        pixels = face[None].astype(np.float32)
        if number == 0:
            pixels[0, 0, 0], pixels[0, 0, 1] = 0.0, 255.0
        yield [pixels]


def _save(model: keras.Model, spec: ModelSpec, folder: str) -> None:
    """Write a SavedModel with a batch of one (the route that freezes weights on every TF here)."""
    archive = keras.export.ExportArchive()
    archive.track(model)
    archive.add_endpoint(
        "serve",
        lambda pixels: model(pixels, training=False),
        input_signature=[tf.TensorSpec(spec.input_shape, tf.float32)],
    )
    archive.write_out(folder, verbose=False)


def _refuse_scaled_pixels(flatbuffer: bytes) -> None:
    """Raise unless the model takes pixels as they are: uint8, scale 1, zero point 0."""
    details = tf.lite.Interpreter(model_content=flatbuffer).get_input_details()[0]
    scale, zero_point = details["quantization"]
    if details["dtype"] is not np.uint8 or zero_point != 0 or abs(scale - 1) > 1e-6:
        raise ModelError(
            f"the int8 model takes {np.dtype(details['dtype'])} with scale {scale}, zero point "
            f"{zero_point}, not raw pixels: it must scale the values 0-255 inside"
        )
