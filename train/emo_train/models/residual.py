"""Residual nets of plain 3x3 convolutions that keep full resolution early.

Convolutions, batch norm, ReLU and addition: all of it folds, quantises and runs in int8 on every
TFLite runtime, and in few large operators, which is what runs fastest for its cost.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import keras
from keras import layers

from emo_train.models import blocks


@dataclass(frozen=True)
class Family:
    """Widths of a net: filters of the stem, then (filters, residual blocks) of each stage.

    Each stage but the first halves the resolution.
    """

    stem: int
    stages: tuple[tuple[int, int], ...]


ARCHITECTURES = {
    "plain-micro": Family(8, ((8, 1), (16, 1), (24, 1), (48, 1))),
    "plain-small": Family(16, ((16, 1), (24, 1), (48, 1), (112, 1))),
    "plain-base": Family(16, ((16, 1), (32, 2), (64, 2), (128, 1))),
    "large": Family(32, ((32, 1), (64, 2), (128, 2), (256, 1))),
}


def build(
    name: str, input_shape: tuple[int, int, int], classes: int, dropout: float
) -> keras.Model:
    """Return an untrained model: float32[?,H,W,C] of raw pixels 0-255 -> logits float32[?,n]."""
    family = ARCHITECTURES[name]
    inputs = keras.Input(input_shape, name="pixels")
    x = blocks.stem(inputs, family.stem)
    for stage, (filters, count) in enumerate(family.stages):
        for block in range(count):
            x = _residual(x, filters, 2 if stage > 0 and block == 0 else 1)
    return blocks.finish(inputs, x, classes, dropout, name)


def _residual(x: Any, filters: int, strides: int) -> Any:
    """Add a basic block (He et al. 2015).

    Where it halves the resolution, a 2x2 convolution is the shortcut: no pixel is skipped, as with
    average pooling, but LiteRT delegates it in int8, which it does not do with pooling.
    """
    shortcut = x
    if strides > 1 or x.shape[-1] != filters:
        shortcut = blocks.conv(shortcut, filters, kernel=strides, strides=strides)
    x = layers.ReLU()(blocks.conv(x, filters, kernel=3, strides=strides))
    x = blocks.conv(x, filters, kernel=3)
    return layers.ReLU()(layers.Add()([x, shortcut]))
