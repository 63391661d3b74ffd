"""Our own family: small residual nets that keep full resolution early.

Plain 3x3 convolutions, batch norm, ReLU and addition: all of it folds, quantises and runs in int8
on every TFLite runtime. Pixels 0-255 go in (scaling is a layer), logits come out.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import keras
from keras import layers

LARGEST_FULL_RESOLUTION = 64


@dataclass(frozen=True)
class Family:
    """Widths of a net: filters of the stem, then (filters, residual blocks) of each stage.

    Each stage but the first halves the resolution.
    """

    stem: int
    stages: tuple[tuple[int, int], ...]


ARCHITECTURES = {
    "micro": Family(8, ((8, 1), (16, 1), (24, 1), (48, 1))),
    "small": Family(16, ((16, 1), (24, 1), (48, 1), (112, 1))),
    "base": Family(16, ((16, 1), (32, 2), (64, 2), (128, 1))),
    "large": Family(32, ((32, 1), (64, 2), (128, 2), (256, 1))),
}


def build(
    name: str, input_shape: tuple[int, int, int], classes: int, dropout: float
) -> keras.Model:
    """Return an untrained model: float32[?,H,W,C] of raw pixels 0-255 -> logits float32[?,n]."""
    family = ARCHITECTURES[name]
    inputs = keras.Input(input_shape, name="pixels")
    # By 1/128 every pixel is exactly on the int8 grid (scale 1/128, zero point 0).
    x = layers.Rescaling(1 / 128, offset=-1, name="rescale")(inputs)
    strides = 1
    while max(input_shape[:2]) / strides > LARGEST_FULL_RESOLUTION:
        strides *= 2  # large pictures are brought down before the costly first stage
    x = _conv(x, family.stem, kernel=max(3, strides + 1), strides=strides)
    x = layers.ReLU()(x)
    for stage, (filters, blocks) in enumerate(family.stages):
        for block in range(blocks):
            x = _residual(x, filters, 2 if stage > 0 and block == 0 else 1)
    x = layers.GlobalAveragePooling2D()(x)
    x = layers.Dropout(dropout)(x)
    return keras.Model(inputs, layers.Dense(classes, name="logits")(x), name=name)


def _conv(x: Any, filters: int, kernel: int, strides: int = 1) -> Any:
    x = layers.Conv2D(
        filters, kernel, strides, padding="same", use_bias=False, kernel_initializer="he_normal"
    )(x)
    return layers.BatchNormalization(momentum=0.9)(x)


def _residual(x: Any, filters: int, strides: int) -> Any:
    """Add a basic block (He et al. 2015).

    Where it halves the resolution, a 2x2 convolution is the shortcut: no pixel is skipped, as with
    average pooling, but LiteRT delegates it in int8, which it does not do with pooling.
    """
    shortcut = x
    if strides > 1 or x.shape[-1] != filters:
        shortcut = _conv(shortcut, filters, kernel=strides, strides=strides)
    x = layers.ReLU()(_conv(x, filters, kernel=3, strides=strides))
    x = _conv(x, filters, kernel=3)
    return layers.ReLU()(layers.Add()([x, shortcut]))
