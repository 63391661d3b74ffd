"""Training: a data set and a recipe become a fitted Keras model and its run folder."""

from __future__ import annotations

from contextlib import nullcontext
from pathlib import Path
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from emo_edge.contract import Image
from emo_edge.runfolder import BACKUP, BEST, HISTORY, TEACHER, TENSORBOARD
from emo_train import distribute
from emo_train.batches import steps_per_epoch, training_batches
from emo_train.callbacks import Backup, KeepBest, Record, Reseed, read_history, write_history
from emo_train.data import Dataset
from emo_train.distillation import DistillationLoss, joined
from emo_train.models import build_model
from emo_train.progress import Progress
from emo_train.recipe import Recipe
from emo_train.scores import Scores
from emo_train.teachers import Teacher

EVALUATION_BATCH = 256


def fit(
    run: Path,
    dataset: Dataset,
    recipe: Recipe,
    teacher: Teacher | None = None,
    strategy: Any = None,
) -> keras.Model:
    """Train, resuming from `run` if a backup is there, and return the best epoch's model.

    Args:
        run: Folder of the progress.
        dataset: Its splits "train" and "validation".
        recipe: How.
        teacher: To imitate.
        strategy: Of tf.distribute; None trains on one device.

    Raises `DataError` if the loss stops being a number.
    """
    keras.utils.set_random_seed(recipe.seed)
    train, validation = dataset.splits["train"], dataset.splits["validation"]
    steps = steps_per_epoch(len(train), recipe.batch_size)
    targets = train.targets
    if teacher is not None:
        targets = joined(targets, teacher.logits, recipe.teacher_temperature)
    with nullcontext() if strategy is None else strategy.scope():
        # A backup brings its own weights.
        weights = "none" if (run / BACKUP).exists() else recipe.weights
        model = _compiled(dataset, recipe, weights, distil=teacher is not None)
        done = _restore(model, run, steps)
    best = KeepBest(run / BEST, run / HISTORY, recipe.select_by, recipe.patience)
    if done < recipe.epochs and not best.has_ended():
        with Progress(recipe.epochs, steps, recipe.select_by) as progress:
            callbacks = [
                Reseed(steps),
                Record(run / HISTORY),
                best,
                *_tensorboard(run, recipe),
                Backup(run / BACKUP),
                progress,
            ]
            if strategy is not None:
                distribute.fit(
                    strategy, model, (train, targets), validation, recipe, done, callbacks
                )
            else:
                model.fit(
                    training_batches(train, targets, recipe, done * steps),
                    steps_per_epoch=steps,
                    validation_data=(validation.pixels, validation.targets),
                    validation_batch_size=EVALUATION_BATCH,
                    epochs=recipe.epochs,
                    initial_epoch=done,
                    verbose=0,
                    shuffle=False,  # the batches are shuffled
                    callbacks=callbacks,
                )
    return keras.saving.load_model(run / BEST, compile=False)


def _compiled(dataset: Dataset, recipe: Recipe, weights: str, *, distil: bool) -> keras.Model:
    classes, faces = len(dataset.labels), dataset.splits["train"].pixels
    shape, steps = faces.shape[1:], steps_per_epoch(len(faces), recipe.batch_size)
    model = build_model(recipe.architecture, shape, classes, recipe.dropout, weights)  # type: ignore[arg-type]
    loss = keras.losses.CategoricalCrossentropy(
        from_logits=True, label_smoothing=recipe.label_smoothing
    )
    if distil:
        loss = DistillationLoss(
            classes, recipe.teacher_temperature, recipe.teacher_weight, recipe.label_smoothing
        )
    scores = Scores(classes, name="scores")
    model.compile(optimizer=_optimizer(recipe, steps), loss=loss, metrics=[scores])
    return model


def _tensorboard(run: Path, recipe: Recipe) -> list[keras.callbacks.Callback]:
    if not recipe.tensorboard:
        return []
    return [keras.callbacks.TensorBoard(str(run / TENSORBOARD), write_graph=False)]


def _restore(model: keras.Model, run: Path, steps: int) -> int:
    """Load the backup if there is one; return how many epochs it has seen, and forget later ones.

    A run may stop between the last line of its history and its backup.
    """
    done = 0
    if (run / BACKUP).exists():
        model.optimizer.build(model.trainable_variables)
        model.load_weights(run / BACKUP)
        done = int(model.optimizer.iterations) // steps
    recorded = read_history(run / HISTORY)
    if len(recorded) > done:
        if done:
            write_history(run / HISTORY, recorded[:done])
        else:
            (run / HISTORY).unlink()
    return done


def forget_progress(run: Path) -> None:
    """Remove what only a resumed training needs, and what a killed one was writing."""
    for path in (run / BEST, run / BACKUP, run / TEACHER, *run.glob(".*.keras")):
        path.unlink(missing_ok=True)


def logits_of(model: keras.Model, pixels: Image) -> NDArray[np.float32]:
    """Return the logits float32[N,n] of prepared faces uint8[N,H,W,C]."""
    return np.asarray(model.predict(pixels, batch_size=EVALUATION_BATCH, verbose=0))


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
