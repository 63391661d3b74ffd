"""A net of the user's own: `module:function`, imported from the current folder or the path."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path
from typing import Any

import keras

from emo_edge.errors import UsageError
from emo_train.models.cost import flat_layers


def build(name: str, input_shape: tuple[int, int, int], classes: int) -> keras.Model:
    """Return what `function(input_shape, classes)` builds, if it keeps the house's contract.

    Raises `UsageError` if it cannot be imported, is no functional Keras model of these shapes, ends
    in a softmax, or has layers that Keras does not ship.
    """
    function = find(name)
    try:
        model = function(input_shape, classes)
    except TypeError as error:
        raise UsageError(f"{name} must take (input_shape, classes): {error}") from error
    for wrong, words in (
        (
            not isinstance(model, keras.Model) or not hasattr(model, "inputs"),
            "return a Keras model",
        ),
        (getattr(model, "input_shape", None) != (None, *input_shape), f"take {input_shape} pixels"),
        (getattr(model, "output_shape", None) != (None, classes), f"give {classes} logits"),
    ):
        if wrong:
            raise UsageError(f"{name} must {words}")
    foreign = sorted({type(x).__name__ for x in flat_layers(model) if not _shipped(x)})
    if foreign:
        raise UsageError(f"{name} has layers that the converter cannot load: {', '.join(foreign)}")
    last = model.layers[-1]
    if isinstance(last, keras.layers.Softmax) or (
        getattr(last, "activation", None) in (keras.activations.softmax, keras.activations.sigmoid)
    ):
        raise UsageError(f"{name} must give logits: take the activation off its last layer")
    return model


def _shipped(layer: Any) -> bool:
    module = type(layer).__module__
    return module.split(".")[0] == "keras" and not isinstance(layer, keras.layers.Lambda)


def find(name: str) -> Any:
    """Return the function that `module:function` names; raises `UsageError` if there is none."""
    module, _, function = name.partition(":")
    here = str(Path.cwd())
    if here not in sys.path:
        sys.path.insert(0, here)
    try:
        return getattr(importlib.import_module(module), function)
    except (ImportError, AttributeError, ValueError) as error:
        raise UsageError(f"cannot import {name}: {error}") from error
