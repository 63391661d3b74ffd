"""Which layers suffer from int8, and how much: a report by layer and its plot."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras
import matplotlib as mpl
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray
from tensorflow.lite.python.convert import mlir_quantize

from emo_convert.export import representative_dataset
from emo_convert.quantize import calibrate, tensor_names
from emo_edge.artifacts import atomic_path
from emo_edge.contract import Image
from emo_edge.spec import ModelSpec

mpl.use("Agg")
from matplotlib import pyplot as plt

FACES = 64  # enough for means over faces and places
LARGEST_SQNR = 100.0  # dB; stands for "no error at all"


@dataclass(frozen=True)
class LayerError:
    """How far one int8 layer is from its float32 twin, both fed the same inputs.

    Attributes:
        name: The tensor that it writes; `quantize(float_layers=...)` takes it.
        label: Short name, for people.
        operator: Of TFLite, e.g. "CONV_2D".
        scale: Step between two of its 256 levels.
        rmse: Root of the mean squared error, in steps; rounding alone gives 0.29.
        sqnr: Signal-to-quantization-noise ratio in dB, all channels together.
        channel_sqnr: The same for each channel, mean over channels and faces in dB. Far below
            `sqnr` if channels of small range drown in a scale made for large ones.
    """

    name: str
    label: str
    operator: str
    scale: float
    rmse: float
    sqnr: float
    channel_sqnr: float


def layer_errors(model: keras.Model, spec: ModelSpec, calibration: Image) -> list[LayerError]:
    """Compare each int8 layer of `model` with its float twin; the worst channels come first.

    Args:
        model: Raw pixels float32[?,H,W,C] to outputs.
        spec: Gives the static input shape.
        calibration: uint8[N,H,W,C] faces of the training split; the first of them are run.
    """
    calibrated = calibrate(model, spec, calibration)
    debugger = tf.lite.experimental.QuantizationDebugger(
        quant_debug_model_content=mlir_quantize(calibrated, enable_numeric_verify=True),
        debug_dataset=lambda: representative_dataset(calibration[:FACES]),
        debug_options=tf.lite.experimental.QuantizationDebugOptions(
            layer_direct_compare_metrics={"sqnr": _sqnr, "channel_sqnr": _channel_sqnr}
        ),
    )
    debugger.run()
    names = tensor_names(calibrated)
    errors = [
        _layer_error(debugger, verified, metrics, names)
        for verified, metrics in debugger.layer_statistics.items()
    ]
    return sorted(errors, key=lambda error: error.channel_sqnr)


def _layer_error(
    debugger: Any, verified: str, metrics: Mapping[str, float], names: set[str]
) -> LayerError:
    """Translate one entry of the debugger's statistics, "NumericVerify/NAME:INDEX"."""
    interpreter = debugger._quant_interpreter
    written, index = verified.removeprefix("NumericVerify/").rsplit(":", 1)
    # The quantizer makes names unique by a digit at their end.
    name = written if written in names else re.sub(r"\d$", "", written)
    operation = interpreter._get_op_details(debugger._defining_op[int(index)])
    tensor = interpreter._get_tensor_details(int(index), subgraph_index=0)
    scale = float(tensor["quantization_parameters"]["scales"][0])
    return LayerError(
        name=name,
        label=_label(name),
        operator=operation["op_name"],
        scale=scale,
        rmse=float(np.sqrt(metrics["mean_squared_error"])) / scale,
        sqnr=float(metrics["sqnr"]),
        channel_sqnr=float(metrics["channel_sqnr"]),
    )


def _label(name: str) -> str:
    """Shorten "net/re_lu/Relu;net/batch_norm/add;net/conv2d/convolution" to "conv2d + re_lu"."""
    parts = [part.split("/") for part in name.split(";")]
    scopes = [part[1] for part in parts if len(part) > 2]
    kept = [scope for scope in dict.fromkeys(scopes) if "batch_norm" not in scope]
    return " + ".join(reversed(kept or scopes)) or "output"


def _sqnr(
    floats: NDArray[np.float32], stored: NDArray[np.int8], scale: float, zero_point: int
) -> float:
    noise = (stored.astype(np.float32) - zero_point) * scale - floats
    return float(_decibels(np.square(floats).sum(), np.square(noise).sum()))


def _channel_sqnr(
    floats: NDArray[np.float32], stored: NDArray[np.int8], scale: float, zero_point: int
) -> float:
    """Mean over the channels that say anything; NaN, which the debugger skips, if none does."""
    noise = (stored.astype(np.float32) - zero_point) * scale - floats
    axes = tuple(range(floats.ndim - 1))
    signals, noises = np.square(floats).sum(axis=axes), np.square(noise).sum(axis=axes)
    heard = signals > 0
    return float(_decibels(signals[heard], noises[heard]).mean()) if heard.any() else float("nan")


def _decibels(signal: Any, noise: Any) -> NDArray[np.float32]:
    ratio = signal / np.maximum(noise, signal * 10 ** (-LARGEST_SQNR / 10) + 1e-30)
    return np.asarray(10 * np.log10(np.maximum(ratio, 1e-30)), np.float32)


def plot_layer_errors(path: Path, errors: Sequence[LayerError]) -> None:
    """Draw the report as horizontal bars, the worst layer on top; writes a PNG."""
    figure, axis = plt.subplots(figsize=(9, 1.5 + 0.28 * len(errors)))
    places = range(len(errors))
    axis.barh(places, [error.channel_sqnr for error in errors], color="tab:blue")
    axis.plot([error.sqnr for error in errors], places, "k|", markersize=9)
    axis.set_yticks(places, [f"{error.label}  ({error.operator})" for error in errors], fontsize=8)
    axis.invert_yaxis()
    axis.set_xlabel("signal to quantization noise in dB; bar: mean over channels, mark: all")
    axis.set_title("int8 against float32, layer by layer (the shorter, the worse)")
    axis.grid(axis="x", alpha=0.3)
    with atomic_path(path) as temporary:
        figure.savefig(temporary, dpi=120, bbox_inches="tight")
    plt.close(figure)
