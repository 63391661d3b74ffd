"""The stacked net of the tutorials: two 3x3 convolutions, pooling, dropout, and again; dense last.

Batch norm comes before the ReLU, where the converter folds it into the convolution.
"""

from __future__ import annotations

import keras
from keras import layers

FIRST_FILTERS, MOST_FILTERS = 32, 256
DENSE = 256
SMALLEST_MAP = 8  # pooling goes on until the map is no larger, whatever the input's size
DROPOUT_BETWEEN = 0.5  # share of the last dropout that each stage has


def build(input_shape: tuple[int, int, int], classes: int, dropout: float) -> keras.Model:
    """Return an untrained model: float32[?,H,W,C] of raw pixels 0-255 -> logits float32[?,n]."""
    inputs = keras.Input(input_shape, name="pixels")
    x = layers.Rescaling(1 / 127.5, offset=-1, name="rescale")(inputs)
    filters = FIRST_FILTERS
    while max(x.shape[1:3]) > SMALLEST_MAP:
        for _ in range(2):
            x = layers.Conv2D(
                filters, 3, padding="same", use_bias=False, kernel_initializer="he_normal"
            )(x)
            x = layers.ReLU()(layers.BatchNormalization(momentum=0.9)(x))
        x = layers.MaxPooling2D()(x)
        x = layers.Dropout(DROPOUT_BETWEEN * dropout)(x)
        filters = min(2 * filters, MOST_FILTERS)
    x = layers.Flatten()(x)
    x = layers.Dense(DENSE, use_bias=False, kernel_initializer="he_normal")(x)
    x = layers.ReLU()(layers.BatchNormalization(momentum=0.9)(x))
    x = layers.Dropout(dropout)(x)
    return keras.Model(inputs, layers.Dense(classes, name="logits")(x), name="classic")
