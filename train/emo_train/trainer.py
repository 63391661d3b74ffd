"""Training: a data set and a recipe become a fitted Keras model and its run folder."""

from __future__ import annotations

import csv
import math
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from emo_edge.artifacts import atomic_path, write_bytes
from emo_edge.errors import DataError
from emo_edge.faces import Faces
from emo_edge.runfolder import BACKUP, BEST, HISTORY
from emo_train.augment import augment
from emo_train.models import build_model
from emo_train.progress import Progress
from emo_train.recipe import Recipe

SELECTED_BY = "val_accuracy"


def fit(
    run: Path, train: Faces, validation: Faces, labels: tuple[str, ...], recipe: Recipe
) -> keras.Model:
    """Train, resuming from `run` if a backup is there, and return the best epoch's model.

    Raises `DataError` if the loss stops being a number.
    """
    keras.utils.set_random_seed(recipe.seed)
    steps = math.ceil(len(train) / recipe.batch_size)
    _, height, width, channels = train.pixels.shape
    shape = (height, width, channels)
    model = build_model(recipe.architecture, shape, len(labels), recipe.dropout)
    model.compile(
        optimizer=_optimizer(recipe, steps),
        loss=keras.losses.CategoricalCrossentropy(
            from_logits=True, label_smoothing=recipe.label_smoothing
        ),
        metrics=[keras.metrics.CategoricalAccuracy(name="accuracy")],
    )
    done = _restore(model, run, steps)
    history = model.fit(
        batches(train, recipe),
        validation_data=_plain_batches(validation),
        epochs=recipe.epochs,
        initial_epoch=done,
        verbose=0,
        shuffle=False,  # the data set shuffles
        callbacks=[
            keras.callbacks.TerminateOnNaN(),
            keras.callbacks.CSVLogger(str(run / HISTORY), append=True),
            KeepBest(run / BEST, best_so_far(run / HISTORY)),
            Backup(run / BACKUP),
            Progress(recipe.epochs, steps),
        ],
    )
    if not all(math.isfinite(loss) for loss in history.history.get("loss", [])):
        raise DataError(
            "training diverged (the loss is not a number): start a new "
            "run with a lower --learning-rate"
        )
    return keras.saving.load_model(run / BEST, compile=False)


def _restore(model: keras.Model, run: Path, steps: int) -> int:
    """Load the backup if there is one; return how many epochs it has seen, and forget later ones.

    A run may stop between the last line of its history and its backup.
    """
    done = 0
    if (run / BACKUP).exists():
        model.optimizer.build(model.trainable_variables)
        model.load_weights(run / BACKUP)
        done = int(model.optimizer.iterations) // steps
    if (run / HISTORY).exists():
        lines = (run / HISTORY).read_bytes().splitlines(keepends=True)
        write_bytes(run / HISTORY, b"".join(lines[: 1 + done]))
    return done


def forget_progress(run: Path) -> None:
    """Remove what only a resumed training needs, and what a killed one was writing."""
    for path in (run / BEST, run / BACKUP, *run.glob(".*.keras")):
        path.unlink()


def logits_of(model: keras.Model, pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Return the logits float32[N,n] of prepared faces uint8[N,H,W,C]."""
    return np.asarray(model.predict(pixels.astype(np.float32), batch_size=256, verbose=0))


def batches(faces: Faces, recipe: Recipe) -> tf.data.Dataset:
    """Return the shuffled, augmented training batches of one epoch.

    Rows are shuffled as numbers and gathered a batch at a time: slicing single faces out of the
    array would cost more than the augmentation.
    """
    pixels, targets = tf.constant(faces.pixels), tf.constant(faces.targets)

    def load(rows: Any) -> Any:
        images = augment(tf.gather(pixels, rows), recipe.augmentation)
        return images, tf.gather(targets, rows)

    return (
        tf.data.Dataset.range(len(faces))
        .shuffle(len(faces), seed=recipe.seed)
        .batch(recipe.batch_size)
        .map(load, num_parallel_calls=1, deterministic=True)
        .prefetch(tf.data.AUTOTUNE)
    )


def _plain_batches(faces: Faces) -> tf.data.Dataset:
    whole = tf.data.Dataset.from_tensor_slices((faces.pixels, faces.targets)).batch(256)
    return whole.map(lambda images, targets: (tf.cast(images, tf.float32), targets))


def _optimizer(recipe: Recipe, steps: int) -> keras.optimizers.Optimizer:
    total = steps * recipe.epochs
    warmup = max(1, round(total * recipe.warmup))
    schedule = keras.optimizers.schedules.CosineDecay(
        initial_learning_rate=0.0,
        decay_steps=max(1, total - warmup),
        warmup_target=recipe.learning_rate,
        warmup_steps=warmup,
    )
    optimizer = keras.optimizers.SGD(
        schedule, momentum=0.9, nesterov=True, weight_decay=recipe.weight_decay
    )
    optimizer.exclude_from_weight_decay(var_names=["bias", "gamma", "beta"])
    return optimizer


def best_so_far(history: Path) -> float:
    """Return the best validation accuracy of the epochs already in history.csv (0 if none)."""
    if not history.exists():
        return 0.0
    with history.open(newline="", encoding="utf-8") as file:
        return max((float(row[SELECTED_BY]) for row in csv.DictReader(file)), default=0.0)


class Backup(keras.callbacks.Callback):  # type: ignore[misc]
    """Save the model and its optimizer after every epoch, whole or not at all.

    A diverged model is not kept: going on with it would be of no use.
    """

    def __init__(self, path: Path) -> None:
        super().__init__()
        self._path = path

    def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:  # noqa: ARG002
        """Save."""
        if math.isfinite((logs or {})["loss"]):
            with atomic_path(self._path) as temporary:
                self.model.save(temporary)


class KeepBest(keras.callbacks.Callback):  # type: ignore[misc]
    """Save the model whenever the validation accuracy reaches a new best, whole or not at all.

    Equal counts as better: of two such epochs the later one was trained at a lower rate.
    """

    def __init__(self, path: Path, best: float) -> None:
        super().__init__()
        self._path, self._best = path, best

    def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:  # noqa: ARG002
        """Compare and save."""
        value = (logs or {})[SELECTED_BY]
        if value >= self._best:
            self._best = value
            with atomic_path(self._path) as temporary:
                self.model.save(temporary)
