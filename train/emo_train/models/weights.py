"""Weights to start from: those of another model of the same architecture."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from emo_edge.errors import DataError, UsageError
from emo_edge.messages import warn
from emo_edge.runfolder import MODEL, SPEC
from emo_edge.spec import ModelSpec
from emo_train.loading import load_model
from emo_train.models.cost import flat_layers

AUTO, NONE, IMAGENET = "auto", "none", "imagenet"


def take_weights(
    model: keras.Model, architecture: str, source: str, *, keep_head: bool = False, beside: int = 0
) -> None:
    """Copy the weights of `source` into `model`, those of the last layer only if it is kept.

    Args:
        model: Of `architecture`.
        architecture: Its name, for the message.
        source: A run folder, or a .keras or .h5 file with a model; whatever its classes, unless
            the last layer is kept.
        keep_head: Take the last layer, too.
        beside: So many outputs of the model, the last, are none of the source's; they begin at 0.

    Raises `UsageError` if the layers are not the same, `DataError` if it cannot be read.
    """
    path = weights_file(source)
    other = load_model(path)
    if not _weighted(other):
        raise DataError(f"{path} was saved before its layers knew their input: it has no weights")
    (*ours, head), (*theirs, its_head) = _weighted(model), _weighted(other)
    if [_shapes(layer) for layer in ours] != [_shapes(layer) for layer in theirs]:
        raise UsageError(f"the layers of {path} are not those of {architecture} at this input")
    if keep_head:
        kept = [_widened(weight, beside) for weight in its_head.get_weights()]
        if _shapes(head) != [weight.shape for weight in kept]:
            raise UsageError(f"{path} knows other classes: leave --keep-head away")
        head.set_weights(kept)
    for mine, layer in zip(ours, theirs, strict=True):
        mine.set_weights(layer.get_weights())


def require_head(source: str, labels: tuple[str, ...]) -> None:
    """Raise `UsageError` unless the last layer of `source` may be one for `labels`.

    A run says what its classes are; a file that lies alone does not, which is said.
    """
    if source in (NONE, IMAGENET):
        raise UsageError("--keep-head goes with --weights RUN: there is no other last layer")
    try:
        known = ModelSpec.from_json(weights_file(source).with_name(SPEC).read_bytes()).labels
    except OSError:
        warn(f"{source} does not say what its classes are: taken for {', '.join(labels)}")
        return
    if known != labels:
        raise UsageError(
            f"{source} knows {', '.join(known)}, the data {', '.join(labels)}: leave --keep-head "
            "away"
        )


def weights_file(source: str) -> Path:
    """Return the model file of a run folder, or the file itself; raises `UsageError` without."""
    path = Path(source) / MODEL if Path(source).is_dir() else Path(source)
    if not path.is_file():
        raise UsageError(
            f"--weights {source}: no such file; choose from auto, none, imagenet, or give a run "
            "folder or a .keras file"
        )
    return path


def _widened(weight: NDArray[np.float32], more: int) -> NDArray[np.float32]:
    """Return a kernel or bias of a last layer with so many more outputs."""
    return np.pad(weight, [(0, 0)] * (weight.ndim - 1) + [(0, more)])


def _weighted(model: keras.Model) -> list[Any]:
    return [layer for layer in flat_layers(model) if layer.weights]


def _shapes(layer: Any) -> list[tuple[int, ...]]:
    return [tuple(weight.shape) for weight in layer.weights]
