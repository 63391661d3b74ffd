"""MobileNets (Howard et al. 2017) at the resolution of faces: for weights that know more than ours.

Such a net without shortcuts is hard to train from nothing. `train/teachers/narrow.py` gives it what
a wider net learned from millions of faces.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import keras
from keras import layers

from emo_train.models import blocks

HALVING = (2, 4, 6, 12)  # the blocks that halve the resolution, as in the paper
CEILING = 6.0


@dataclass(frozen=True)
class Widths:
    """Filters of the stem, and of each block: a 3x3 convolution of each channel, a 1x1 across."""

    stem: int
    blocks: tuple[int, ...]


ARCHITECTURES = {
    "mobilenet-small": Widths(16, (24, 48, 56, 96, 96, *[184] * 6, 160)),
    "mobilenet-base": Widths(16, (40, 88, 88, 176, 192, *[352] * 6, 256)),
}


def build(
    name: str, input_shape: tuple[int, int, int], classes: int, dropout: float
) -> keras.Model:
    """Return an untrained model: float32[?,H,W,C] of raw pixels 0-255 -> logits float32[?,n]."""
    return build_widths(ARCHITECTURES[name], input_shape, classes, dropout, name)


def build_widths(
    widths: Widths, input_shape: tuple[int, int, int], classes: int, dropout: float, name: str
) -> keras.Model:
    """Return `build`'s model of any widths."""
    inputs = keras.Input(input_shape, name="pixels")
    x = blocks.stem(inputs, widths.stem, CEILING)
    for number, filters in enumerate(widths.blocks, 1):
        strides = 2 if number in HALVING else 1
        x = layers.DepthwiseConv2D(
            3, strides, padding="same", use_bias=False, depthwise_initializer="he_normal"
        )(x)
        x = _clipped(layers.BatchNormalization(momentum=0.9)(x))
        x = _clipped(blocks.conv(x, filters, kernel=1))
    return blocks.finish(inputs, x, classes, dropout, name)


def _clipped(x: Any) -> Any:
    return layers.ReLU(CEILING)(x)
