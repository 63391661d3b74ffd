"""Architectures by name; `module:function` names one of the user's own.

All take raw pixels 0-255 (scaling is a layer) and give logits, in layers that Keras ships, so that
the converter needs none of this code.
"""

from __future__ import annotations

import keras

from emo_edge.errors import UsageError
from emo_train.models import applications, classic, custom, mobilenet, residual, separable
from emo_train.models.weights import AUTO, IMAGENET, NONE, take_weights, weights_file

DESCRIPTIONS = {
    "micro": "residual separable convolutions: most often right for their cost",
    "small": "the same, wider and deeper: the default",
    "base": "the same, wider and deeper yet",
    "plain-micro": "residual 3x3 convolutions, quicker to train and to run: for a first look",
    "plain-small": "the same, at about the cost of small",
    "plain-base": "the same, at about the cost of base",
    "mobilenet-small": "a MobileNet at the cost of small, for weights that have seen other faces",
    "mobilenet-base": "the same, at the cost of base",
    "large": "twice as wide as plain-base: a teacher for the others",
    "classic": "stacked Conv-BN-ReLU-Pool-Dropout-Dense, as in the tutorials",
    **{name: net.description for name, net in applications.NETS.items()},
}


def architecture_names() -> tuple[str, ...]:
    """Return the names that `build_model` knows."""
    return tuple(DESCRIPTIONS)


def require_architecture(name: str) -> None:
    """Raise `UsageError` unless `name` is known or a `module:function` that can be imported."""
    if ":" in name:
        custom.find(name)
    elif name not in DESCRIPTIONS:
        raise UsageError(
            f"unknown architecture {name!r}; choose from {', '.join(DESCRIPTIONS)}, or give "
            "module:function"
        )


def resolve_weights(architecture: str, weights: str) -> str:
    """Return what "auto" means for an architecture, anything else as it is.

    Raises `UsageError` for what the architecture cannot have, or for a file that is not there.
    """
    transfer = architecture in applications.NETS
    if weights == AUTO:
        return IMAGENET if transfer else NONE
    if weights == IMAGENET and not transfer:
        names = ", ".join(applications.NETS)
        raise UsageError(f"{architecture} has no ImageNet weights; these have: {names}")
    if weights not in (NONE, IMAGENET):
        weights_file(weights)
    return weights


def build_model(
    name: str,
    input_shape: tuple[int, int, int],
    classes: int,
    dropout: float,
    weights: str = NONE,
    keep_head: bool = False,
    beside: int = 0,
) -> keras.Model:
    """Return a model: float32[?,H,W,C] of raw pixels 0-255 -> logits float32[?,n].

    Args:
        name: One of `architecture_names`, or module:function.
        input_shape: Height, width, channels (1 or 3).
        classes: Number of logits.
        dropout: Share dropped before the last layer (`custom` decides for itself).
        weights: "none" starts from random weights, "imagenet" from those of keras.applications,
            anything else from a file; the last layer is new.
        keep_head: Take the last layer from the file, too.
        beside: Outputs behind the logits, for a training alone.

    Raises `UsageError` for a name or weights that do not exist or do not fit.
    """
    require_architecture(name)
    outputs = classes + beside
    if name in residual.ARCHITECTURES:
        model = residual.build(name, input_shape, outputs, dropout)
    elif name in separable.ARCHITECTURES:
        model = separable.build(name, input_shape, outputs, dropout)
    elif name in mobilenet.ARCHITECTURES:
        model = mobilenet.build(name, input_shape, outputs, dropout)
    elif name == "classic":
        model = classic.build(input_shape, outputs, dropout)
    elif name in applications.NETS:
        model = applications.build(name, input_shape, outputs, dropout, weights)
    else:
        model = custom.build(name, input_shape, outputs)
    if weights not in (NONE, IMAGENET):
        take_weights(model, name, weights, keep_head=keep_head, beside=beside)
    return model
