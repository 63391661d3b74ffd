"""The ladder: repairs in the order of what they cost, each tried only if the one before failed."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial

import keras

from emo_convert.export import PixelType
from emo_convert.quantize import quantize
from emo_convert.repair.biases import correct_biases
from emo_convert.repair.equalize import equalize
from emo_convert.repair.fold import fold_batch_norm
from emo_convert.repair.layers import layer_errors
from emo_convert.repair.tuning import fine_tune
from emo_edge.contract import Image
from emo_edge.spec import ModelSpec

PERCENTILES = (99.99, 99.9)
FLOAT_LAYERS = (1, 3)
# A float pooling or addition between int8 neighbours would gain nothing.
FALLBACK = ("CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED")


@dataclass(frozen=True)
class Step:
    """One rung: its name, and one line that says what it does and why."""

    name: str
    description: str


def ladder(
    model: keras.Model,
    spec: ModelSpec,
    calibration: Image,
    seed: int,
    pixels: PixelType = "uint8",
) -> Iterator[tuple[Step, bytes]]:
    """Yield int8 TFLite bytes, from the cheapest repair to the dearest.

    Nothing is computed before it is asked for: stop at the first candidate that passes the gate.

    Args:
        model: Raw pixels float32[?,H,W,C] to outputs; left as it is.
        spec: Gives the static input shape.
        calibration: uint8[N,H,W,C] faces of the training split.
        seed: Of the fine-tuning.
        pixels: Type of the input, as in `quantize`.

    Raises:
        ModelError: the model is not made of layers, or the converter refuses a candidate.
    """
    make = partial(quantize, spec=spec, calibration=calibration, pixels=pixels)
    for percentile in PERCENTILES:
        yield (
            Step(
                f"percentile {percentile:g}",
                "activation ranges measured anew and clipped there: rare outliers cost the other "
                "values their resolution",
            ),
            make(model, percentile=percentile),
        )
    folded = fold_batch_norm(model)
    equalized = equalize(folded, calibration)
    before = ""
    if equalized is not folded:
        yield (
            Step(
                "equalize", "channels of unequal range rescaled across layers: they share one scale"
            ),
            make(equalized),
        )
        before = "equalize + "
    corrected = correct_biases(equalized, calibration)
    yield (
        Step(f"{before}bias correction", "the mean error of rounding taken out of each bias"),
        make(corrected),
    )
    errors = layer_errors(corrected, spec, calibration)
    worst = [error.name for error in errors if error.operator in FALLBACK]
    for count in FLOAT_LAYERS:
        yield (
            Step(
                f"float fallback of {count}",
                f"the worst {f'{count} layers stay' if count > 1 else 'layer stays'} float32, "
                "which costs size and speed there",
            ),
            make(corrected, float_layers=worst[:count]),
        )
    tuned = fine_tune(equalized, calibration, seed)
    yield (
        Step(
            "quantization-aware fine-tuning",
            "weights trained under simulated rounding to give the float model's answers",
        ),
        make(tuned),
    )
