"""A classifier's head: with a softmax inside, or ending in logits."""

from __future__ import annotations

from typing import Any

import keras


def without_softmax(model: keras.Model) -> keras.Model | None:
    """Return a copy of `model` that ends in logits; None if it does not end in a softmax layer.

    A last layer of its own (Softmax, Activation) is left out; the softmax of a Dense layer becomes
    linear. The weights are shared with `model`.
    """
    if not isinstance(model, keras.Model) or not model.layers:
        return None
    last = model.layers[-1]
    if isinstance(last, keras.Model):  # a model as the last layer of another
        inner = without_softmax(last)
        if inner is None:
            return None
        return keras.Model(model.inputs, inner(model.layers[-2].output), name=model.name)
    if isinstance(last, keras.layers.Softmax) or (
        isinstance(last, keras.layers.Activation) and _is_softmax(last)
    ):
        return keras.Model(model.inputs, last.input, name=model.name)
    if isinstance(last, keras.layers.Dense) and _is_softmax(last):
        linear = keras.layers.Dense.from_config({**last.get_config(), "activation": "linear"})
        logits = keras.Model(model.inputs, linear(last.input), name=model.name)
        linear.set_weights(last.get_weights())
        return logits
    return None


def _is_softmax(layer: Any) -> bool:
    return layer.activation is keras.activations.softmax
