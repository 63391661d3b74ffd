"""The only code that touches the TFLite converter."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from typing import Any, Literal, NamedTuple, get_args

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray
from tensorflow.lite.python.convert_phase import ConverterError

from emo_convert.anatomy import dissect
from emo_edge.contract import Image
from emo_edge.errors import ModelError, OutputError
from emo_edge.spec import ModelSpec

PixelType = Literal["uint8", "int8", "float32"]
PIXEL_TYPES: tuple[PixelType, ...] = get_args(PixelType)


class Quantization(NamedTuple):
    """A kind of export: what it is called in file names, how it is asked for."""

    suffix: str
    configure: Callable[[Any], None]
    calibrated: bool


def _float32(converter: Any) -> None:
    """Leave weights and arithmetic in float32."""


def _fp16(converter: Any) -> None:
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    converter.target_spec.supported_types = [tf.float16]


def _dynamic(converter: Any) -> None:
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    # Per-channel dense layers become FULLY_CONNECTED version 12, which tflite-runtime 2.14 refuses.
    converter._experimental_disable_per_channel_quantization_for_dense_layers = True


def _int8(converter: Any) -> None:
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]


def _int16x8(converter: Any) -> None:
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    sixteen = tf.lite.OpsSet.EXPERIMENTAL_TFLITE_BUILTINS_ACTIVATIONS_INT16_WEIGHTS_INT8
    converter.target_spec.supported_ops = [sixteen]


QUANTIZATIONS = {
    "none": Quantization("float32", _float32, calibrated=False),
    "fp16": Quantization("fp16", _fp16, calibrated=False),
    "dynamic": Quantization("dynamic", _dynamic, calibrated=False),
    "int8": Quantization("int8", _int8, calibrated=True),
    "int16x8": Quantization("int16x8", _int16x8, calibrated=True),
}


def export(model: keras.Model, spec: ModelSpec, quantization: str, calibration: Image) -> bytes:
    """Return `model` as TFLite bytes that take float32 pixels 0-255.

    Args:
        model: Raw pixels float32[?,H,W,C] to outputs.
        spec: Gives the static input shape.
        quantization: A key of `QUANTIZATIONS`; "int8" is for `emo_convert.quantize`.
        calibration: uint8[N,H,W,C] faces of the training split; used where it is `calibrated`.

    Raises:
        ModelError: the converter refuses the model, or leaves float where integers were asked for.
        OutputError: the temporary folder has no room.
    """
    kind = QUANTIZATIONS[quantization]
    if kind.calibrated:
        refuse_recurrent(model)
    with tempfile.TemporaryDirectory(prefix="emo-convert-") as folder:
        save_frozen(model, spec, folder)
        converter = tf.lite.TFLiteConverter.from_saved_model(folder)
        kind.configure(converter)
        if kind.calibrated:
            converter.representative_dataset = lambda: representative_dataset(calibration)
        flatbuffer = run_converter(converter.convert)
    if kind.calibrated:  # pixels and answers are float, nothing between them may be
        refuse_floats(dissect(flatbuffer).inner_float_tensors)
    return flatbuffer


def run_converter(convert: Callable[[], bytes]) -> bytes:
    """Return what the converter makes; raises `ModelError` with the first line of its complaint."""
    try:
        return bytes(convert())
    except (ConverterError, RuntimeError, ValueError) as error:
        lines = str(error).strip().splitlines() or [type(error).__name__]
        # The line that says which operator is at fault, where there is one.
        reason = next((line for line in lines if "error:" in line.lower()), lines[0])
        raise ModelError(
            f"TFLite cannot express the model, replace the layer at fault: {reason.strip()}"
        ) from error


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


def save_frozen(model: keras.Model, spec: ModelSpec, folder: str) -> None:
    """Write a SavedModel with a batch of one (the route that freezes weights on every TF here).

    Raises `OutputError` if the folder has no room.
    """
    archive = keras.export.ExportArchive()
    archive.track(model)
    archive.add_endpoint(
        "serve",
        lambda pixels: model(pixels, training=False),
        input_signature=[tf.TensorSpec(spec.input_shape, tf.float32)],
    )
    try:
        archive.write_out(folder, verbose=False)
    except (tf.errors.OpError, OSError) as error:
        reason = getattr(error, "message", None) or error
        raise OutputError(
            f"cannot write the model to {folder}, free some space: {reason}"
        ) from error


def refuse_recurrent(model: keras.Model) -> None:
    """Raise `ModelError` for recurrent layers, which crash TensorFlow's calibration."""
    kinds = (keras.layers.RNN, keras.layers.Bidirectional)
    found = next((layer for layer in model._flatten_layers() if isinstance(layer, kinds)), None)
    if found is not None:
        raise ModelError(
            f"{found.name} is a recurrent layer, which TFLite cannot calibrate: use --quantize "
            "dynamic, fp16 or none"
        )


def require_integer(flatbuffer: bytes, pixels: PixelType = "uint8") -> None:
    """Raise `ModelError` unless the whole graph is integer and takes pixels as they are."""
    anatomy = dissect(flatbuffer)
    refuse_floats(anatomy.inner_float_tensors if pixels == "float32" else anatomy.float_tensors)
    details = tf.lite.Interpreter(model_content=flatbuffer).get_input_details()[0]
    scale, zero_point = details["quantization"]
    expected = {"uint8": (1.0, 0), "int8": (1.0, -128), "float32": (0.0, 0)}[pixels]
    if abs(scale - expected[0]) > 1e-6 or zero_point != expected[1]:
        raise ModelError(
            f"the int8 model takes pixels with scale {scale} and zero point {zero_point}, not raw "
            "ones: its scaling of 0-255 must be a layer inside"
        )


def refuse_floats(tensors: tuple[str, ...]) -> None:
    """Raise `ModelError` if tensors were left in float where integers were asked for."""
    if tensors:
        raise ModelError(
            f"TFLite left {len(tensors)} tensors in float, {tensors[0]} first; replace the layer "
            "that makes it, or use --quantize dynamic"
        )
