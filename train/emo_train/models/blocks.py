"""What our own nets share: raw pixels 0-255 go in (scaling is a layer), logits come out."""

from __future__ import annotations

from typing import Any

import keras
from keras import layers

LARGEST_FULL_RESOLUTION = 64


def stem(inputs: Any, filters: int, ceiling: float | None = None) -> Any:
    """Add the scaling of pixels and the first convolution, at full resolution."""
    # By 1/128 every pixel is exactly on the int8 grid (scale 1/128, zero point 0).
    x = layers.Rescaling(1 / 128, offset=-1, name="rescale")(inputs)
    strides = 1
    while max(inputs.shape[1:3]) / strides > LARGEST_FULL_RESOLUTION:
        strides *= 2  # large pictures are brought down before the costly first stage
    return layers.ReLU(ceiling)(conv(x, filters, kernel=max(3, strides + 1), strides=strides))


def conv(x: Any, filters: int, kernel: int, strides: int = 1) -> Any:
    """Add a convolution and its batch norm."""
    x = layers.Conv2D(
        filters, kernel, strides, padding="same", use_bias=False, kernel_initializer="he_normal"
    )(x)
    return layers.BatchNormalization(momentum=0.9)(x)


def finish(inputs: Any, x: Any, classes: int, dropout: float, name: str) -> keras.Model:
    """Return the model whose last feature map is `x`: averaged, dropped out, one logit a class."""
    x = layers.GlobalAveragePooling2D()(x)
    x = layers.Dropout(dropout)(x)
    return keras.Model(inputs, layers.Dense(classes, name="logits")(x), name=name)
