"""Training batches: which faces make up a step, and how they get to the model.

The faces of a step, their order and their augmentation are functions of the seed and of the step's
number alone, so that a resumed training sees what an uninterrupted one would have seen.
"""

from __future__ import annotations

import functools
import itertools
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
from keras import ops
from numpy.typing import NDArray

from emo_edge.contract import Image
from emo_edge.faces import Faces
from emo_train.augment import augment
from emo_train.mixing import balanced, mixup, weigh
from emo_train.recipe import Recipe

Targets = NDArray[np.float32]

EVALUATION_BATCH = 256  # faces at once, where nothing is learned from them


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


def seed_of(step: int, part: int, seed: int) -> np.int32:
    """Return the seed of the augmentation of a part of a step, 0 to 2**31 - 1."""
    return np.int32(np.random.SeedSequence([seed, step, part]).generate_state(1)[0] >> 1)


def training_batches(faces: Faces, targets: Targets, recipe: Recipe, first_step: int) -> Any:
    """Return the endless augmented batches from `first_step` on, as `keras.Model.fit` takes them.

    With TensorFlow a `tf.data` pipeline, which works ahead of the model; with JAX and PyTorch a
    generator, whose work the accelerator does.

    Args:
        faces: The training split.
        targets: float32[N,...], what the loss is given for each face.
        recipe: Batch size, seed, augmentation, mixup and class weights.
        first_step: Counted from the beginning of the training.
    """
    source = _Source(faces, targets, recipe, first_step)
    if keras.backend.backend() == "tensorflow":
        return _pipeline(source)
    return _generator(source)


def shared_batches(
    faces: Faces, targets: Targets, recipe: Recipe, first_step: int
) -> Callable[[Any], Any]:
    """Return what `Strategy.distribute_datasets_from_function` takes: equal parts of each batch."""

    def make(context: Any) -> Any:
        replicas = context.num_replicas_in_sync
        local = replicas // context.num_input_pipelines
        first = context.input_pipeline_id * local
        parts = range(first, first + local)
        return _pipeline(_Source(faces, targets, recipe, first_step, parts, replicas))

    return make


@dataclass(frozen=True)
class _Source:
    """Batches as they are, without end: (pixels, targets, seed of their augmentation).

    Attributes:
        parts: Which parts of each step's batch, of how many, come from here, one after another.
    """

    faces: Faces
    targets: Targets
    recipe: Recipe
    first_step: int
    parts: range = range(1)
    of: int = 1

    @property
    def size(self) -> int:
        return self.recipe.batch_size // self.of

    def __call__(self) -> Iterator[tuple[Image, Targets, np.int32]]:
        batch, seed = self.recipe.batch_size, self.recipe.seed
        for step in itertools.count(self.first_step):
            whole = rows_of(step, len(self.faces), batch, seed)
            for part in self.parts:
                rows = whole[part * self.size : (part + 1) * self.size]
                yield self.faces.pixels[rows], self.targets[rows], seed_of(step, part, seed)

    def change(self) -> Callable[..., Any]:
        """Return what turns (pixels, targets, seed) into what the model is fed.

        That is (images, targets), and the weight of each face where classes are weighted.
        """
        recipe = self.recipe
        balance = recipe.class_weights == "balanced"
        weights = balanced(self.faces.targets) if balance else None

        def change(pixels: Any, targets: Any, seed: Any) -> Any:
            images = augment(pixels, recipe.augmentation, seed)
            if recipe.mixup:
                images, targets = mixup(images, targets, recipe.mixup, seed)
            if weights is None:
                return images, targets
            return images, targets, weigh(targets, weights)

        return change


def _pipeline(source: _Source) -> Any:
    import tensorflow as tf

    signature = (
        tf.TensorSpec((source.size, *source.faces.pixels.shape[1:]), tf.uint8),
        tf.TensorSpec((source.size, *source.targets.shape[1:]), tf.float32),
        tf.TensorSpec((), tf.int32),
    )
    return (
        tf.data.Dataset.from_generator(source, output_signature=signature)
        .map(source.change(), num_parallel_calls=tf.data.AUTOTUNE)
        .prefetch(tf.data.AUTOTUNE)
    )


def _generator(source: _Source) -> Iterator[Any]:
    change = source.change()
    if keras.backend.backend() == "jax":
        import jax

        change = jax.jit(change)
    for batch in source():
        yield change(*map(ops.convert_to_tensor, batch))
