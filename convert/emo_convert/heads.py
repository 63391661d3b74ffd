"""A classifier's head: with a softmax inside, or ending in logits."""

from __future__ import annotations

from typing import Any

import keras


def without_softmax(model: keras.Model) -> keras.Model | None:
    """Return a copy of `model` that ends in logits; None if its output is not that of a softmax.

    A last layer of its own (Softmax, Activation) is left out; the softmax of a Dense layer becomes
    linear. A softmax that anything follows, be it an average or a smoothing, stays. The other
    weights are shared with `model`.
    """
    if not isinstance(model, keras.Model) or len(model.outputs or ()) != 1:
        return None
    # Not the last of `model.layers`: operators (`x / 127.5`, `a + b`) are not among them.
    made = model.outputs[0]._keras_history
    taken = made.operation._inbound_nodes[made.node_index].input_tensors
    logits = _logits(made.operation, taken[0]) if len(taken) == 1 else None
    return None if logits is None else keras.Model(model.inputs, logits, name=model.name)


def _logits(last: Any, tensor: Any) -> Any:
    """Return what `last` makes of `tensor`, less its softmax; None if it has none."""
    if isinstance(last, keras.Model):  # a model as the last layer of another
        inner = without_softmax(last)
        return None if inner is None else inner(tensor)
    if isinstance(last, keras.layers.Softmax) or (
        isinstance(last, keras.layers.Activation) and _is_softmax(last)
    ):
        return tensor
    if isinstance(last, keras.layers.Dense) and _is_softmax(last):
        linear = keras.layers.Dense.from_config({**last.get_config(), "activation": "linear"})
        logits = linear(tensor)
        linear.set_weights(last.get_weights())
        return logits
    return None


def _is_softmax(layer: Any) -> bool:
    return layer.activation is keras.activations.softmax
