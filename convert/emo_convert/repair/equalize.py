"""Cross-layer equalization: channels of unequal range share one int8 scale fairly afterwards.

TFLite gives every output channel of a kernel its own scale, but an activation tensor has only one:
a channel whose values are a hundred times smaller than its neighbour's is left with two or three
of the 256 levels. As convolutions, ReLUs, additions and pooling commute with a positive factor per
channel, a factor can move from the activations into the kernels that read them without changing
the float function (Nagel et al. 2019, "Data-Free Quantization Through Weight Equalization and Bias
Correction").
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import keras
import numpy as np
from keras import layers

from emo_convert.repair.graph import WEIGHTED, Floats, copy, is_relu, observe, stored, wiring
from emo_edge.contract import Image

# A channel (nearly) silent on the calibration faces counts as this share of the loudest: its
# factor stays finite, and should it speak on another face, it is not cut off too early.
FLOOR = 1e-5

_COMMUTING = (
    layers.Add, layers.Dropout, layers.SpatialDropout2D, layers.Identity, layers.ZeroPadding2D,
    layers.AveragePooling2D, layers.MaxPooling2D, layers.GlobalAveragePooling2D,
    layers.GlobalMaxPooling2D,
)  # fmt: skip


@dataclass
class _Group:
    """Tensors whose channels must be scaled together, with the kernels that write and read them."""

    members: list[str] = field(default_factory=list)
    writers: list[Any] = field(default_factory=list)
    readers: list[Any] = field(default_factory=list)
    frozen: bool = False


def equalize(model: keras.Model, calibration: Image) -> keras.Model:
    """Return an equal model with balanced channels.

    Args:
        model: Made by `fold_batch_norm`.
        calibration: uint8[N,H,W,C] faces; they show how far each channel reaches.

    Returns:
        A model that gives the same outputs within float rounding. A residual trunk, whose additions
        tie many tensors together, is scaled as a whole. `model` itself where no channel may be
        scaled, as between activations that are cut off at a fixed value (ReLU6).
    """
    twin = copy(model)
    groups = [group for group in _groups(twin) if not group.frozen and group.readers]
    if not groups:
        return model
    reach = _reach(twin, [name for group in groups for name in group.members], calibration)
    for group in groups:
        heights = [reach[name] for name in group.members if name in reach]
        if not heights or not group.writers:
            continue
        factors = _factors(np.max(heights, axis=0), group.readers)
        for layer in group.writers:
            kernel, bias = layer.get_weights()
            shape = kernel.shape[-1] if kernel.shape[-1] == len(factors) else kernel.shape[-2:]
            layer.set_weights([kernel / factors.reshape(shape), bias / factors])
        for layer in group.readers:
            kernel, *rest = layer.get_weights()
            layer.set_weights([kernel * _along_inputs(factors, kernel), *rest])
    return twin


def _factors(reach: Floats, readers: Sequence[Any]) -> Floats:
    """Return what each channel is divided by: sqrt(reach of activations / reach of weights).

    Xiao et al. 2023, "SmoothQuant", equation 4 with alpha = 0.5: activations and the kernels that
    read them share the unevenness. A depthwise kernel has a scale for every input channel: if there
    is no other reader, it takes all of it (alpha = 1).
    """
    activations = np.maximum(reach, FLOOR * reach.max())
    mixing = [layer for layer in readers if not isinstance(layer, layers.DepthwiseConv2D)]
    if not mixing:
        factors = activations
    else:
        rows = []
        for layer in mixing:
            row = np.abs(np.asarray(layer.kernel, np.float32))
            row = row.max(axis=tuple(axis for axis in range(row.ndim) if axis != row.ndim - 2))
            rows.append(row / max(float(row.max()), np.finfo(np.float32).tiny))
        weights = np.maximum(np.max(rows, axis=0), FLOOR)
        factors = np.sqrt(activations / weights)
    # Their geometric mean is 1, so that tensors keep the size they had.
    return np.asarray(factors / np.exp(np.log(factors).mean()), np.float32)


def _along_inputs(factors: Floats, kernel: Floats) -> Floats:
    """Lay factors along the input axis: the last but one of every kernel, depthwise included."""
    return factors.reshape([-1 if axis == kernel.ndim - 2 else 1 for axis in range(kernel.ndim)])


def _reach(model: keras.Model, names: Sequence[str], calibration: Image) -> dict[str, Floats]:
    """Return max |x| float32[channels] of those tensors that TFLite stores."""
    kept = [name for name in stored(model) if name in set(names)]
    reach: dict[str, Floats] = {}
    for outputs in observe(model, kept, calibration):
        for name, output in outputs.items():
            highest = np.abs(output).max(axis=tuple(range(output.ndim - 1)))
            reach[name] = np.maximum(reach.get(name, highest), highest)
    return {name: highest for name, highest in reach.items() if highest.max() > 0}


def _groups(model: keras.Model) -> list[_Group]:
    """Tie every tensor to those that it shares channels with."""
    wires = wiring(model)
    group_of: dict[str, _Group] = {}
    for operation in model.operations:
        name = operation.name
        feeding = [group_of[source] for source in wires.sources[name]]
        group = _Group()
        if isinstance(operation, WEIGHTED):
            for source in feeding:
                source.readers.append(operation)
                source.frozen |= getattr(operation, "groups", 1) > 1
            group.writers.append(operation)
            group.frozen = not _homogeneous(operation) or not operation.use_bias
        elif _commutes(operation):
            group = _merged(feeding, group_of)
        else:
            for other in (group, *feeding):
                other.frozen = True
        group.members.append(name)
        group.frozen |= name in wires.outputs
        group_of[name] = group
    return list({id(group): group for group in group_of.values()}.values())


def _merged(groups: Sequence[_Group], group_of: dict[str, _Group]) -> _Group:
    first, *others = list({id(group): group for group in groups}.values())
    for other in others:
        first.members += other.members
        first.writers += other.writers
        first.readers += other.readers
        first.frozen |= other.frozen
        group_of.update(dict.fromkeys(other.members, first))
    return first


def _commutes(operation: Any) -> bool:
    if isinstance(operation, layers.Add):  # one that spreads a vector over channels does not
        return len({tensor.shape[-1] for tensor in operation.input}) == 1
    return isinstance(operation, _COMMUTING) or is_relu(operation, capped=False)


def _homogeneous(layer: Any) -> bool:
    return layer.activation in (keras.activations.linear, keras.activations.relu)
