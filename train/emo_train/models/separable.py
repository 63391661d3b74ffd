"""Residual nets of depthwise separable convolutions (Chollet 2017): most right for their cost.

For as many multiply-accumulates they are several times as deep as those of plain convolutions, with
fewer weights; they take longer to train, and more time for each multiply-accumulate.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import keras
from keras import layers

from emo_train.models import blocks


@dataclass(frozen=True)
class Family:
    """Widths of a net: filters of the stem, then (filters, residual pairs) of each stage.

    A stage begins with a separable convolution of its own, which halves the resolution in all but
    the first; pairs of them with a shortcut follow.
    """

    stem: int
    stages: tuple[tuple[int, int], ...]


ARCHITECTURES = {
    "micro": Family(8, ((16, 0), (32, 3), (48, 2), (72, 1))),
    "small": Family(16, ((24, 0), (48, 3), (96, 3), (128, 1))),
    "base": Family(16, ((32, 0), (64, 4), (128, 4), (192, 1))),
}


def build(
    name: str, input_shape: tuple[int, int, int], classes: int, dropout: float
) -> keras.Model:
    """Return an untrained model: float32[?,H,W,C] of raw pixels 0-255 -> logits float32[?,n]."""
    family = ARCHITECTURES[name]
    inputs = keras.Input(input_shape, name="pixels")
    x = blocks.stem(inputs, family.stem)
    for stage, (filters, pairs) in enumerate(family.stages):
        x = layers.ReLU()(_separable(x, filters, 2 if stage > 0 else 1))
        for _ in range(pairs):
            inner = layers.ReLU()(_separable(x, filters))
            x = layers.ReLU()(layers.Add()([x, _separable(inner, filters)]))
    return blocks.finish(inputs, x, classes, dropout, name)


def _separable(x: Any, filters: int, strides: int = 1) -> Any:
    """Add a 3x3 convolution of each channel and one across channels.

    Batch norm between them keeps the channels in one range, which int8 shares between them.
    """
    x = layers.DepthwiseConv2D(
        3, strides, padding="same", use_bias=False, depthwise_initializer="he_normal"
    )(x)
    x = layers.BatchNormalization(momentum=0.9)(x)
    return blocks.conv(x, filters, kernel=1)
