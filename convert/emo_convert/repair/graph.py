"""Reading and copying Keras graphs: who feeds whom, and what TFLite stores in between."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import keras
import numpy as np
from keras import layers
from numpy.typing import NDArray

from emo_edge.contract import Image
from emo_edge.errors import ModelError

Floats = NDArray[np.float32]

WEIGHTED = (layers.Conv2D, layers.DepthwiseConv2D, layers.Dense)
BATCH = 32

# TFLite drops these, or runs them on int8 values without a scale of their own.
_SAME_SCALE = (
    layers.Dropout, layers.SpatialDropout2D, layers.Identity, layers.Flatten, layers.Reshape,
    layers.MaxPooling2D, layers.GlobalMaxPooling2D, layers.ZeroPadding2D, layers.InputLayer,
)  # fmt: skip


class Wiring(NamedTuple):
    """Names of operations: what feeds each, what each feeds, and which give the model's output."""

    sources: Mapping[str, tuple[str, ...]]
    consumers: Mapping[str, tuple[str, ...]]
    outputs: frozenset[str]


def copy(
    model: keras.Model,
    make: Callable[[Any], Any] | None = None,
    call: Callable[..., Any] | None = None,
) -> keras.Model:
    """Return a copy of a functional or sequential model with the same weights.

    Args:
        model: Left as it is.
        make: Layer -> its replacement in the copy (same name, same weights); None copies it.
        call: (replacement, *inputs) -> outputs; None calls it.

    Raises:
        ModelError: the model was not built from layers (a subclassed `keras.Model`).
    """
    if isinstance(model, keras.Sequential):
        model = keras.Model(model.inputs, model.outputs, name=model.name)
    try:
        twin = keras.models.clone_model(model, clone_function=make or clone, call_function=call)
    except ValueError as error:
        raise ModelError(f"only a functional Keras model can be repaired: {error}") from error
    copy_weights(model, twin)
    return twin


def clone(layer: Any) -> Any:
    """Return a new layer like `layer`, without its weights."""
    return type(layer).from_config(layer.get_config())


def copy_weights(source: keras.Model, target: keras.Model) -> None:
    """Give the layers of `target` the weights of their namesakes in `source`.

    A bias that only `target` has is zero. Raises `ModelError` if other weights do not fit.
    """
    own = {layer.name: layer for layer in source.layers}
    for layer in target.layers:
        weights = own[layer.name].get_weights() if layer.name in own else []
        if isinstance(layer, WEIGHTED) and layer.use_bias and len(weights) == 1:
            weights.append(np.zeros(layer.bias.shape, np.float32))
        try:
            layer.set_weights(weights)
        except ValueError as error:
            raise ModelError(f"the layer {layer.name} cannot be copied: {error}") from error
        _finalize(layer)


def _finalize(layer: Any) -> None:
    """Let layers, also those inside, take up what they compute from their weights.

    An adapted `Normalization` keeps mean and variance beside its weights.
    """
    for inner in layer._flatten_layers():
        if hasattr(inner, "finalize_state"):
            inner.finalize_state()


def wiring(model: keras.Model) -> Wiring:
    """Read the wiring of a model fresh from `copy`.

    Raises `ModelError` if it shares a layer or holds another model as one of its layers.
    """
    makers = {}
    for operation in model.operations:
        if isinstance(operation, keras.Model):
            raise ModelError(f"{operation.name} is a model inside the model: it cannot be repaired")
        if len(operation._inbound_nodes) != 1:
            raise ModelError(f"{operation.name} is used twice: the model cannot be repaired")
        makers.update({id(t): operation.name for t in keras.tree.flatten(operation.output)})
    sources = {
        operation.name: tuple(
            makers[id(tensor)]
            for tensor in keras.tree.flatten(operation.input)
            if id(tensor) in makers and makers[id(tensor)] != operation.name
        )
        for operation in model.operations
    }
    consumers: dict[str, tuple[str, ...]] = dict.fromkeys(sources, ())
    for name, feeders in sources.items():
        for feeder in feeders:
            consumers[feeder] += (name,)
    return Wiring(sources, consumers, frozenset(makers[id(tensor)] for tensor in model.outputs))


def weighted(model: keras.Model) -> list[Any]:
    """Return the convolutions and dense layers, in the order of computation."""
    return [layer for layer in model.operations if isinstance(layer, WEIGHTED)]


def is_relu(layer: Any, *, capped: bool = True) -> bool:
    """Tell whether a layer is a ReLU; with `capped`, ReLU6 and its like count too."""
    if isinstance(layer, layers.ReLU):
        plain = not layer.negative_slope and not layer.threshold
        return plain and (layer.max_value is None or (capped and layer.max_value == 6))
    if isinstance(layer, layers.Activation):
        return layer.activation is keras.activations.relu
    return False


def stored(model: keras.Model) -> list[str]:
    """Name the operations whose output TFLite rounds to int8 with a scale of its own.

    A ReLU behind a convolution, a dense layer or an addition is fused into it: what is stored is
    the output of the ReLU.
    """
    wires = wiring(model)
    operations = {operation.name: operation for operation in model.operations}

    def fused(operation: Any) -> bool:
        linear = getattr(operation, "activation", None) in (None, keras.activations.linear)
        readers = wires.consumers[operation.name]
        return (
            isinstance(operation, (*WEIGHTED, layers.Add))
            and linear
            and len(readers) == 1
            and is_relu(operations[readers[0]])
        )

    return [o.name for o in model.operations if not isinstance(o, _SAME_SCALE) and not fused(o)]


def observe(model: keras.Model, names: Sequence[str], faces: Image) -> Iterator[dict[str, Floats]]:
    """Yield the outputs float32[B,...] of the named operations, batch by batch of `faces`."""
    operations = {operation.name: operation for operation in model.operations}
    probe = keras.Model(model.inputs, [operations[name].output for name in names])
    for start in range(0, len(faces), BATCH):
        pixels = keras.ops.convert_to_tensor(faces[start : start + BATCH].astype(np.float32))
        outputs = keras.tree.flatten(probe(pixels, training=False))
        yield {
            name: np.asarray(output, np.float32)
            for name, output in zip(names, outputs, strict=True)
        }
