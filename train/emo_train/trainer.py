"""Training: a data set and a recipe become a fitted Keras model and its run folder."""

from __future__ import annotations

import dataclasses
import warnings
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from emo_edge.contract import Image
from emo_edge.errors import DataError
from emo_edge.runfolder import BACKUP, BEST, HISTORY, TEACHER, TENSORBOARD
from emo_train import distribute
from emo_train.averaging import Averaged, statistics_sample, warn_if_slow
from emo_train.batches import EVALUATION_BATCH, steps_per_epoch, training_batches
from emo_train.callbacks import Backup, KeepBest, Record, Reseed, read_history, write_history
from emo_train.compiling import as_trained, build, compile_for
from emo_train.data import Dataset
from emo_train.distillation import joined
from emo_train.fused import fused_batch_normalization
from emo_train.interrupts import Check, Listen
from emo_train.models.weights import NONE
from emo_train.optimizers import Plateau
from emo_train.precision import warn_if_emulated
from emo_train.progress import Progress
from emo_train.recipe import Recipe
from emo_train.stages import Stage, stage_of, stages, wake
from emo_train.teachers import Teacher


def fit(
    run: Path,
    dataset: Dataset,
    recipe: Recipe,
    teacher: Teacher | None = None,
    strategy: Any = None,
    check: Check = lambda: None,
) -> keras.Model:
    """Train, resuming from `run` if a backup is there, and return the best epoch's model (float32).

    Args:
        run: Folder of the progress.
        dataset: Its splits "train" and "validation".
        recipe: How.
        teacher: To imitate.
        strategy: Of tf.distribute; None trains on one device.
        check: Called after every batch and epoch; what it raises ends the training.

    Raises `DataError` if the loss stops being a number.
    """
    keras.utils.set_random_seed(recipe.seed)
    train, validation = dataset.splits["train"], dataset.splits["validation"]
    steps, distil = steps_per_epoch(len(train), recipe.batch_size), teacher is not None
    warn_if_slow(recipe.ema, steps * recipe.epochs)
    warn_if_emulated(recipe.precision)
    targets, classes, beside = train.targets, len(dataset.labels), 0
    if teacher is not None:
        targets = joined(targets, teacher.logits, recipe.teacher_temperature, teacher.features)
        beside = targets.shape[1] - 2 * classes
    scope = nullcontext if strategy is None else strategy.scope
    with scope():
        # A backup brings its own weights.
        weights = NONE if (run / BACKUP).exists() else recipe.weights
        model = build(dataset, recipe, weights, beside)
        done = _restore(model, classes, run, recipe, steps, distil=distil)
    best = KeepBest(run / BEST, run / HISTORY, recipe.select_by, recipe.patience)
    with Progress(recipe.epochs, steps, recipe.select_by) as progress, fused_batch_normalization():
        while done < recipe.epochs and not best.has_ended():
            stage = stage_of(stages(recipe), done)
            if done == stage.first:
                with scope():
                    compile_for(model, classes, recipe, stage, steps, distil=distil)
            before, after = _callbacks(run, train.pixels, recipe, stage, steps)
            callbacks = [*before, best, *after, progress, Listen(check)]
            if strategy is not None:
                part = dataclasses.replace(recipe, epochs=stage.end)
                faces = (train, targets)
                distribute.fit(strategy, model, faces, validation, part, done, callbacks)
            else:
                model.fit(
                    training_batches(train, targets, recipe, done * steps),
                    steps_per_epoch=steps,
                    validation_data=(validation.pixels, validation.targets),
                    validation_batch_size=EVALUATION_BATCH,
                    epochs=stage.end,
                    initial_epoch=done,
                    verbose=0,
                    shuffle=False,  # the batches are shuffled
                    callbacks=callbacks,
                )
            done = stage.end
    kept = keras.saving.load_model(run / BEST, compile=False)
    wake(kept, "all", 0.0)  # what slept in the best epoch is no property of the net
    return as_trained(kept, dataset, recipe)


def _callbacks(
    run: Path, pixels: Image, recipe: Recipe, stage: Stage, steps: int
) -> tuple[list[keras.callbacks.Callback], list[keras.callbacks.Callback]]:
    """Return what comes before and what comes after the best model is kept."""
    before: list[keras.callbacks.Callback] = [Reseed(steps), Record(run / HISTORY)]
    if recipe.schedule == "plateau":
        rising = round(recipe.warmup * (stage.end - stage.first))

        def losses() -> list[float]:
            return [scores["val_loss"] for scores in read_history(run / HISTORY)[stage.first :]]

        before.append(Plateau(losses, stage.rate, rising, recipe.plateau_patience))
    after: list[keras.callbacks.Callback] = []
    if recipe.ema:
        after.append(Averaged(statistics_sample(pixels, recipe.seed)))
    if recipe.tensorboard:
        after.append(keras.callbacks.TensorBoard(str(run / TENSORBOARD), write_graph=False))
    return before, [*after, Backup(run / BACKUP)]


def _restore(
    model: keras.Model, classes: int, run: Path, recipe: Recipe, steps: int, *, distil: bool
) -> int:
    """Load the backup if there is one; return how many epochs it has seen, and forget later ones.

    A run may stop between the last line of its history and its backup. The optimizer of a stage
    counts from its beginning, and only that of the same stage can be loaded.

    Raises `DataError` if backup and history contradict each other.
    """
    recorded = read_history(run / HISTORY)
    done = 0
    if (run / BACKUP).exists():
        for epochs in (len(recorded), len(recorded) - 1):
            if epochs > 0 and _loads(model, classes, run, recipe, steps, epochs, distil=distil):
                done = epochs
                break
        else:
            raise DataError(f"{run / BACKUP} and {run / HISTORY} are not of the same training")
    if len(recorded) > done:
        if done:
            write_history(run / HISTORY, recorded[:done])
        else:
            (run / HISTORY).unlink()
    return done


def _loads(
    model: keras.Model,
    classes: int,
    run: Path,
    recipe: Recipe,
    steps: int,
    epochs: int,
    *,
    distil: bool,
) -> bool:
    """Load the backup as that of so many epochs; return whether it is."""
    stage = stage_of(stages(recipe), epochs - 1)
    compile_for(model, classes, recipe, stage, steps, distil=distil)
    model.optimizer.build(model.trainable_variables)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Keras skips an optimizer of another stage
        model.load_weights(run / BACKUP)
    return stage.first + int(model.optimizer.iterations) // steps == epochs


def forget_progress(run: Path) -> None:
    """Remove what only a resumed training needs, and what a killed one was writing."""
    for path in (run / BEST, run / BACKUP, run / TEACHER, *run.glob(".*.keras")):
        path.unlink(missing_ok=True)


def logits_of(model: keras.Model, pixels: Image) -> NDArray[np.float32]:
    """Return the logits float32[N,n] of prepared faces uint8[N,H,W,C]."""
    return np.asarray(model.predict(pixels, batch_size=EVALUATION_BATCH, verbose=0))
