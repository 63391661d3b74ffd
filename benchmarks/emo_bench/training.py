"""Whether the input pipeline keeps up with the model: training speed, fed in three ways.

The same model learns from the same faces as they are, from `emo_train`'s batches, and from a
generator that changes picture after picture in Python, as Keras' old `ImageDataGenerator` does. The
ways take turns, round after round, so that what else the machine does meets all of them.
"""

from __future__ import annotations

import dataclasses
import math
import time
from collections.abc import Iterator
from typing import Any

import cv2
import keras
import numpy as np
from numpy.typing import NDArray

from emo_bench.results import Result
from emo_edge.errors import UsageError
from emo_edge.faces import Faces, one_hot
from emo_edge.messages import say
from emo_train.batches import rows_of, training_batches
from emo_train.models import build_model
from emo_train.recipe import Augmentation, Recipe

FACES, CLASSES = 2048, 7
WARM_UP_STEPS = 4
PLAIN, OURS, EACH = "no augmentation", "batched (emo-train)", "picture by picture"


def measure(architecture: str, side: int, batch_size: int, steps: int, rounds: int) -> Result:
    """Return images/s and CPU time an image of each way, medians over the rounds.

    Args:
        architecture: A name of `emo-train models`.
        side: Of the input, in pixels.
        batch_size: Pictures a step.
        steps: Measured in each round, after a few that are not.
        rounds: Of all ways in turn.

    Raises `UsageError` for batches of more faces than there are.
    """
    if batch_size > FACES:
        raise UsageError(f"--batch-size is at most {FACES}: so many faces are learned from")
    recipe = Recipe(architecture=architecture, input_size=side, batch_size=batch_size)
    rng = np.random.default_rng(0)
    pixels = rng.integers(0, 256, (FACES, side, side, 1), np.uint8)
    truth = np.arange(FACES) % CLASSES
    faces = Faces(pixels, one_hot(truth, CLASSES), tuple(map(str, range(FACES))))
    model = build_model(architecture, (side, side, 1), CLASSES, recipe.dropout, "none")
    loss = keras.losses.CategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.SGD(0.01), loss)
    taken: dict[str, list[_Taken]] = {way: [] for way in (PLAIN, OURS, EACH)}
    for turn in range(rounds):
        say(f"training {turn + 1}/{rounds}")
        for way, results in taken.items():
            results.append(_time(model, _feed(way, faces, recipe), steps))
    return {
        "model": architecture,
        "side": side,
        "batch_size": batch_size,
        "steps": steps,
        "rounds": rounds,
        "ways": {way: _summary(results, steps * batch_size) for way, results in taken.items()},
        # Round by round, so that a busy machine slows both sides.
        "of_plain": {
            way: _median([a.wall / b.wall for a, b in zip(taken[PLAIN], times, strict=True)])
            for way, times in taken.items()
        },
    }


@dataclasses.dataclass(frozen=True)
class _Taken:
    wall: float
    cpu: float


class _Clock(keras.callbacks.Callback):  # type: ignore[misc]
    """Take the time from the end of the warm-up to the last step."""

    def on_train_batch_end(self, batch: int, logs: dict[str, Any] | None = None) -> None:
        """Note when a step ended."""
        _ = float((logs or {})["loss"])  # waits for the accelerator
        if batch == WARM_UP_STEPS - 1:
            self._began = time.perf_counter(), time.process_time()
        self._ended = time.perf_counter(), time.process_time()

    def taken(self) -> _Taken:
        """Return the seconds of the measured steps."""
        return _Taken(self._ended[0] - self._began[0], self._ended[1] - self._began[1])


def _time(model: keras.Model, feed: Any, steps: int) -> _Taken:
    clock = _Clock()
    model.fit(
        feed,
        steps_per_epoch=steps + WARM_UP_STEPS,
        epochs=1,
        verbose=0,
        shuffle=False,
        callbacks=[clock],
    )
    return clock.taken()


def _feed(way: str, faces: Faces, recipe: Recipe) -> Any:
    if way == OURS:
        return training_batches(faces, faces.targets, recipe, 0)
    if way == EACH:
        return _picture_by_picture(faces, recipe)
    order = rows_of(0, len(faces), len(faces), recipe.seed)
    return _plain(faces.take(order), recipe.batch_size)


def _plain(faces: Faces, batch_size: int) -> Any:
    """Return the faces as they are, by the fastest means of the backend."""
    if keras.backend.backend() == "tensorflow":
        import tensorflow as tf

        whole = tf.data.Dataset.from_tensor_slices((faces.pixels, faces.targets))
        batches = whole.batch(batch_size, drop_remainder=True).repeat()
        return batches.map(lambda x, y: (tf.cast(x, tf.float32), y)).prefetch(tf.data.AUTOTUNE)

    def cycle() -> Iterator[tuple[Any, Any]]:
        start = 0
        while True:
            rows = np.arange(start, start + batch_size) % len(faces)
            yield faces.pixels[rows].astype(np.float32), faces.targets[rows]
            start += batch_size

    return cycle()


def _picture_by_picture(faces: Faces, recipe: Recipe) -> Iterator[tuple[Any, Any]]:
    rng, step = np.random.default_rng(0), 0
    while True:
        rows = rows_of(step, len(faces), recipe.batch_size, recipe.seed)
        changed = [_change(faces.pixels[row], recipe.augmentation, rng) for row in rows]
        yield np.stack(changed), faces.targets[rows]
        step += 1


def _change(
    picture: NDArray[np.uint8], strength: Augmentation, rng: np.random.Generator
) -> NDArray[np.float32]:
    """Change one picture as much as `emo_train.augment` does."""
    side = picture.shape[0]
    angle = rng.uniform(-strength.rotation, strength.rotation)
    scale = 1 + rng.uniform(-strength.zoom, strength.zoom)
    moves = np.zeros((2, 3))
    moves[:, 2] = rng.uniform(-strength.shift, strength.shift, 2) * side
    turn = cv2.getRotationMatrix2D((side / 2, side / 2), angle, scale) + moves
    moved = cv2.warpAffine(
        picture.astype(np.float32), turn, (side, side), borderMode=cv2.BORDER_REPLICATE
    ).reshape(picture.shape)
    if strength.flip and rng.random() < 0.5:
        moved = moved[:, ::-1]
    contrast = 1 + rng.uniform(-strength.contrast, strength.contrast)
    shade = 255 * rng.uniform(-strength.brightness, strength.brightness)
    sigma = rng.uniform() ** 2 * strength.noise * 255
    noise = rng.standard_normal(picture.shape, np.float32) * sigma
    lit = (moved - moved.mean()) * contrast + moved.mean() + shade + noise
    if rng.random() < strength.erasing:
        height = int(math.sqrt(rng.uniform(0.02, 0.2)) * side)
        top, left = rng.integers(0, side - height, 2)
        lit[top : top + height, left : left + height] = rng.uniform(0, 255)
    return np.asarray(np.clip(lit, 0, 255), np.float32)


def _summary(times: list[_Taken], images: int) -> dict[str, float]:
    return {
        "images_per_second": round(_median([images / one.wall for one in times]), 1),
        "cpu_ms_per_image": round(_median([1000 * one.cpu / images for one in times]), 4),
    }


def _median(values: list[float]) -> float:
    return float(np.median(values))
