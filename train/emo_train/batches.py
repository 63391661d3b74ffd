"""Training batches: which faces make up a step, and how they get to the model.

The faces of a step, their order and their augmentation are functions of the seed and of the step's
number alone, so that a resumed training sees what an uninterrupted one would have seen.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Iterator
from typing import Any

import keras
import numpy as np
from keras import ops
from numpy.typing import NDArray

from emo_edge.contract import Image
from emo_edge.faces import Faces
from emo_train.augment import augment
from emo_train.recipe import Augmentation, Recipe

Targets = NDArray[np.float32]


def steps_per_epoch(faces: int, batch_size: int) -> int:
    """Return the steps in which every face is seen; the last batch is filled from the next pass."""
    return math.ceil(faces / batch_size)


def rows_of(step: int, faces: int, batch_size: int, seed: int) -> NDArray[np.int64]:
    """Return the rows int64[batch_size] of a step: a piece of an endless row of permutations.

    Every batch is full: one shape, for the graph compilers.
    """
    places = np.arange(step * batch_size, (step + 1) * batch_size)
    passes = places // faces
    rows = np.empty(batch_size, np.int64)
    for number in np.unique(passes):
        here = passes == number
        rows[here] = _shuffled(faces, seed, int(number))[places[here] % faces]
    return rows


@functools.lru_cache(maxsize=2)
def _shuffled(faces: int, seed: int, number: int) -> NDArray[np.int64]:
    return np.random.default_rng([seed, number]).permutation(faces)


def seed_of(step: int, seed: int) -> np.int32:
    """Return the seed of a step's augmentation, 0 to 2**31 - 1."""
    return np.int32(np.random.SeedSequence([seed, step]).generate_state(1)[0] >> 1)


def training_batches(faces: Faces, targets: Targets, recipe: Recipe, first_step: int) -> Any:
    """Return the endless augmented batches from `first_step` on, as `keras.Model.fit` takes them.

    With TensorFlow a `tf.data` pipeline, which works ahead of the model; with JAX and PyTorch a
    generator, whose work the accelerator does.

    Args:
        faces: The training split.
        targets: float32[N,...], what the loss is given for each face.
        recipe: Batch size, seed and augmentation.
        first_step: Counted from the beginning of the training.
    """

    def load() -> Iterator[tuple[Image, Targets, np.int32]]:
        step = first_step
        while True:
            rows = rows_of(step, len(faces), recipe.batch_size, recipe.seed)
            yield faces.pixels[rows], targets[rows], seed_of(step, recipe.seed)
            step += 1

    if keras.backend.backend() == "tensorflow":
        return _pipeline(load, faces.pixels.shape[1:], targets.shape[1:], recipe)
    return _generator(load(), recipe.augmentation)


def _pipeline(load: Any, face: tuple[int, ...], target: tuple[int, ...], recipe: Recipe) -> Any:
    import tensorflow as tf

    signature = (
        tf.TensorSpec((recipe.batch_size, *face), tf.uint8),
        tf.TensorSpec((recipe.batch_size, *target), tf.float32),
        tf.TensorSpec((), tf.int32),
    )
    return (
        tf.data.Dataset.from_generator(load, output_signature=signature)
        .map(
            lambda images, targets, seed: (augment(images, recipe.augmentation, seed), targets),
            num_parallel_calls=tf.data.AUTOTUNE,
        )
        .prefetch(tf.data.AUTOTUNE)
    )


def _generator(
    loaded: Iterator[tuple[Image, Targets, np.int32]], strength: Augmentation
) -> Iterator[tuple[Any, Any]]:
    def change(images: Any, seed: Any) -> Any:
        return augment(images, strength, seed)

    if keras.backend.backend() == "jax":
        import jax

        change = jax.jit(change)
    for images, targets, seed in loaded:
        yield change(ops.convert_to_tensor(images), ops.convert_to_tensor(seed)), targets
