"""A student that begins with what its teacher knows: the MobileNet of `vggface2.py`, made narrow.

    python narrow.py teachers/vggface2 FER2013_FOLDER narrow.keras
    emo-train --architecture mobilenet-base --input-size 56 --weights narrow.keras ...

Of each layer those channels stay from which the next layer's outputs are told best, chosen as the
optimal brain surgeon does (Hassibi & Stork 1993), a whole channel at a time. Then, from the first
layer to the last, each 1x1 convolution is fitted anew to what the teacher computes there (least
squares; He et al. 2017, "Channel pruning for accelerating very deep neural networks").

The teacher sees faces enlarged, and halves them at once. The student does neither: linear
interpolation to twice the size, and a convolution of every second pixel of it, are one convolution.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import keras
import numpy as np
import typer
from keras import layers
from numpy.typing import NDArray
from vggface2 import EPSILON, FILTERS, MEAN_BGR, settle, training_faces

from emo_edge.artifacts import atomic_path
from emo_edge.commands import errors_as_lines
from emo_edge.errors import DataError, UsageError
from emo_edge.messages import say
from emo_edge.runfolder import MODEL
from emo_train.loading import load_model
from emo_train.models import mobilenet
from emo_train.models.mobilenet import ARCHITECTURES, CEILING, Widths

FACES = 2400
SETTLING = 1200  # of them
POSITIONS = 16  # of each face's feature map
RIDGE = 1e-4  # of the mean variance of a channel: some channels are nearly constant
STEM = 32
# Rows 2p, 2p+1, 2p+2 of a picture enlarged to twice its size, from its rows p-1, p, p+1.
ENLARGED = np.array([[0.25, 0.75, 0], [0, 0.75, 0.25], [0, 0.25, 0.75]])

Array = NDArray[np.float32]
Samples = NDArray[np.float64]
Pair = tuple[Any, Any]  # a convolution and its batch norm


def pairs(model: keras.Model) -> list[Pair]:
    """Return the convolutions and their batch norms: the first, then two for each block."""
    weighted = [layer for layer in model.layers if layer.weights][:-1]
    return list(zip(weighted[::2], weighted[1::2], strict=True))


def unenlarged(teacher: keras.Model, side: int) -> keras.Model:
    """Return the teacher as a student of full width, for grey faces of `side` pixels.

    Raises `DataError` if `teacher` is another net.
    """
    classes = teacher.output_shape[-1]
    wide = mobilenet.build_widths(Widths(STEM, FILTERS), (side, side, 1), classes, 0.0, "wide")
    try:
        for (conv, norm), (taught, its_norm) in zip(pairs(wide), pairs(teacher), strict=True):
            if conv.weights[0].shape[2] == 1 and taught.weights[0].shape[2] == 3:
                _take_stem(conv, norm, taught, its_norm)
            else:
                conv.set_weights(taught.get_weights())
                norm.set_weights(its_norm.get_weights())
        wide.layers[-1].set_weights(teacher.layers[-1].get_weights())
    except (IndexError, ValueError) as error:
        raise DataError(f"the teacher is not the MobileNet of vggface2.py: {error}") from error
    return wide


def _take_stem(conv: Any, norm: Any, taught: Any, its_norm: Any) -> None:
    """Let one convolution of grey pixels, scaled to [-1, 1), do what the teacher's first do."""
    (kernel,) = taught.get_weights()
    grey = kernel.sum(axis=2)
    merged = np.einsum("ia,jb,ijo->abo", ENLARGED, ENLARGED, grey)
    conv.set_weights([128 * merged[:, :, None]])
    means = np.einsum("ijco,c->o", kernel, np.array(MEAN_BGR))
    gamma, beta, mean, variance = its_norm.get_weights()
    norm.set_weights([gamma, beta, mean + means - 128 * grey.sum(axis=(0, 1)), variance])


def kept_channels(inputs: Samples, outputs: Samples, count: int) -> NDArray[np.intp]:
    """Return which `count` of the columns of `inputs` tell `outputs` best, by least squares.

    One by one, the column leaves whose loss costs least once the others have made up for it:
    |w|^2 / (H^-1)_cc, with H the covariance of the inputs (Hassibi & Stork 1993, equation 5).
    """
    covariance, crossed, _, _ = _moments(inputs, outputs)
    inverse = np.linalg.inv(covariance)
    weights = inverse @ crossed
    kept = np.arange(len(covariance))
    while len(kept) > count:
        least = np.argmin((weights**2).sum(axis=1) / np.diag(inverse))
        shares = inverse[:, least] / inverse[least, least]
        weights = weights - np.outer(shares, weights[least])
        inverse = inverse - np.outer(shares, inverse[least])
        others = np.arange(len(kept)) != least
        kept, weights, inverse = kept[others], weights[others], inverse[np.ix_(others, others)]
    return kept


def fitted(inputs: Samples, outputs: Samples) -> tuple[Samples, Samples]:
    """Return the weights [n,m] and the bias [m] by which `inputs` [N,n] tell `outputs` [N,m]."""
    covariance, crossed, mean_in, mean_out = _moments(inputs, outputs)
    weights = np.linalg.solve(covariance, crossed)
    return weights, mean_out - mean_in @ weights


def _moments(inputs: Samples, outputs: Samples) -> tuple[Samples, Samples, Samples, Samples]:
    mean_in, mean_out = inputs.mean(axis=0), outputs.mean(axis=0)
    centred = inputs - mean_in
    covariance = centred.T @ centred / len(inputs)
    covariance += np.eye(len(covariance)) * RIDGE * np.trace(covariance) / len(covariance)
    return covariance, centred.T @ (outputs - mean_out) / len(inputs), mean_in, mean_out


class Look:
    """Looks at the same places of the same faces in two nets of one resolution.

    Args:
        faces: float32[N,S,S,1], raw pixels 0-255.
    """

    def __init__(self, faces: Array) -> None:
        self.faces = faces

    def __call__(self, model: keras.Model, tensor: Any) -> Samples:
        """Return the values float64[N*p,C] of a tensor [?,H,W,C] or [?,C] inside `model`."""
        inside = keras.Model(model.input, tensor)
        rng = np.random.default_rng(0)
        seen = []
        for batch in np.array_split(self.faces, max(1, len(self.faces) // 100)):
            values = np.asarray(inside(batch, training=False), np.float64)
            values = values.reshape(len(values), -1, values.shape[-1])
            places = rng.random(values.shape[:2]).argsort(axis=1)[:, :POSITIONS, None]
            seen.append(np.take_along_axis(values, places, axis=1))
        return np.concatenate(seen).reshape(-1, seen[0].shape[-1])


def _clipped(values: Samples) -> Samples:
    return np.clip(values, 0, CEILING)


def chosen_channels(wide: keras.Model, widths: Widths, look: Look) -> list[NDArray[np.intp]]:
    """Return the channels to keep: of the stem, then of each block, chosen from the last on."""
    blocks = pairs(wide)
    pooled = next(x for x in wide.layers if isinstance(x, layers.GlobalAveragePooling2D)).output
    kept = [kept_channels(look(wide, pooled), look(wide, wide.output), widths.blocks[-1])]
    for number in range(len(widths.blocks), 0, -1):
        (_, before), (_, after) = blocks[2 * number - 1 : 2 * number + 1]
        count = widths.blocks[number - 2] if number > 1 else widths.stem
        outputs = look(wide, after.output)[:, kept[0]]
        kept.insert(0, kept_channels(_clipped(look(wide, before.output)), outputs, count))
        say(f"block {number}: {count} of {before.output.shape[-1]} inputs stay")
    return kept


def narrow(wide: keras.Model, student: keras.Model, widths: Widths, faces: Array) -> None:
    """Give a student of `widths` the weights of a wide net of its form; the last layer aside.

    Args:
        wide: A net of `emo_train.models.mobilenet`.
        student: Another, for the same input.
        widths: Those of the student.
        faces: float32[N,S,S,1], raw pixels 0-255, to look at.
    """
    look = Look(faces)
    kept = chosen_channels(wide, widths, look)
    ours, theirs = pairs(student), pairs(wide)
    _take_channels(ours[0], theirs[0], kept[0], axis=3)
    for number in range(1, len(widths.blocks) + 1):
        before, here = kept[number - 1], kept[number]
        depthwise, pointwise = ours[2 * number - 1], ours[2 * number]
        _take_channels(depthwise, theirs[2 * number - 1], before, axis=2)
        inputs = _clipped(look(student, depthwise[1].output))
        outputs = look(wide, theirs[2 * number][1].output)[:, here]
        _fit(pointwise, inputs, outputs, number)
    settle(student, faces[:SETTLING])


def _take_channels(ours: Pair, theirs: Pair, kept: NDArray[np.intp], axis: int) -> None:
    """Copy a convolution's channels, which lie along `axis` of its kernel, and their batch norm."""
    ours[0].set_weights([theirs[0].get_weights()[0].take(kept, axis)])
    ours[1].set_weights([values[kept] for values in theirs[1].get_weights()])


def _fit(pointwise: Pair, inputs: Samples, outputs: Samples, number: int) -> None:
    """Fit a 1x1 convolution; its batch norm adds the bias and does nothing else."""
    weights, bias = fitted(inputs, outputs)
    left = outputs - bias - inputs @ weights
    lost = left.var(axis=0).sum() / outputs.var(axis=0).sum()
    say(f"block {number}: {lost:.1%} of the variance is lost")
    one = np.ones_like(bias)
    pointwise[0].set_weights([weights[None, None]])
    pointwise[1].set_weights([one, bias, 0 * one, (1 - EPSILON) * one])


def main(
    teacher: Annotated[Path, typer.Argument(help="A finished run of vggface2:mobilenet.")],
    data: Annotated[Path, typer.Argument(help="What it learned from.")],
    out: Annotated[Path, typer.Argument(help="The .keras file to write.")],
    architecture: Annotated[str, typer.Option(help="Of the student.")] = "mobilenet-base",
    input_size: Annotated[int, typer.Option(min=16, help="Side of its input.")] = 56,
) -> None:
    """Write a narrow net that computes what a trained teacher does, as far as it can."""
    with errors_as_lines():
        if architecture not in ARCHITECTURES:
            raise UsageError(f"--architecture: choose from {', '.join(ARCHITECTURES)}")
        widths = ARCHITECTURES[architecture]
        wide = unenlarged(load_model(teacher / MODEL), input_size)
        shape = (input_size, input_size, 1)
        student = mobilenet.build(architecture, shape, wide.output_shape[-1], 0.0)
        narrow(wide, student, widths, training_faces(data, input_size, FACES))
        with atomic_path(out) as temporary:
            student.save(temporary)


if __name__ == "__main__":
    typer.run(main)
