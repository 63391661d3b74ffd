"""One training run from data to run folder."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np

from emo_edge.artifacts import atomic_path, write_json
from emo_edge.commands import require_extra
from emo_edge.contract import Image
from emo_edge.errors import DataError, ModelError, UsageError
from emo_edge.messages import say
from emo_edge.runfolder import CONFIG, HISTORY, METRICS, MODEL, SAMPLES_PLOT, SPEC, TEACHER
from emo_edge.spec import ModelSpec
from emo_train import plots
from emo_train.augment import augment
from emo_train.calibrate import uncertain_below
from emo_train.data import Dataset, Layout, open_layout
from emo_train.data.cache import cached
from emo_train.distribute import (
    digest,
    is_chief,
    open_strategy,
    own_folder,
    require_supported,
)
from emo_train.evaluation import draw, evaluate
from emo_train.inspection import show_survey
from emo_train.interrupts import Check, remembered_interrupts
from emo_train.loading import load_dataset, require_unseen
from emo_train.models import require_architecture, resolve_weights
from emo_train.models.weights import IMAGENET, NONE, require_head, weights_file
from emo_train.optimizers import RATES
from emo_train.recipe import Recipe
from emo_train.records import write_samples
from emo_train.report import write_report
from emo_train.teachers import ensemble
from emo_train.trainer import fit, forget_progress


def configure(
    data: Path,
    recipe: Recipe,
    cache: Path | None = None,
    teachers: Sequence[Path] = (),
    distribute: str = "none",
    folds: int | None = None,
) -> tuple[dict[str, Any], Layout]:
    """Return the configuration of a new run, JSON-ready, and its data, opened.

    Raises on data that cannot be used.
    """
    require_architecture(recipe.architecture)
    require_supported(distribute, recipe)
    if recipe.tensorboard:
        require_extra("workstation", "tensorflow", "tensorboard")
    weights = resolve_weights(recipe.architecture, recipe.weights)
    if weights not in (NONE, IMAGENET):  # a resumed run may start in another folder
        weights = str(Path(weights).resolve())
    if recipe.frozen_share and weights == NONE:
        raise UsageError("--frozen-share goes with --weights: random layers should not stay so")
    layout = open_layout(cached(data, cache) if cache else data, recipe.labels)
    if weights not in (NONE, IMAGENET):
        require_unseen(weights_file(weights), data, recipe, layout, folds)
    if recipe.keep_head:
        require_head(weights, layout.labels)
    kind = str(layout.notes.get("fer2013_labels", recipe.labels))
    rate = recipe.learning_rate or RATES[recipe.optimizer]
    recipe = dataclasses.replace(recipe, weights=weights, labels=kind, learning_rate=rate)
    try:
        spec = ModelSpec(
            labels=layout.labels,
            height=recipe.input_size,
            width=recipe.input_size,
            colour=recipe.colour,  # type: ignore[arg-type]
            crop_margin=recipe.crop_margin,
            threshold=uncertain_below(len(layout.labels)),
        )
    except ModelError as error:
        raise UsageError(str(error).removeprefix("model metadata: ")) from error
    return {
        "data": str(data.resolve()),
        "cache": str(cache.resolve()) if cache else None,
        "distribute": distribute,
        "folds": folds,
        "fold": None,
        "teachers": [str(path.resolve()) for path in teachers],
        "recipe": recipe.to_json(),
        "spec": spec.to_json(),
    }, layout


def train(
    run: Path, config: Mapping[str, Any], layout: Layout | None = None
) -> dict[str, Any] | None:
    """Train by `config` into `run` (resuming what is there) and return its metrics.

    `layout` is the data of a new run, opened already. Of several workers only the chief writes;
    the others return None.
    """
    chief, strategy = is_chief(config["distribute"]), open_strategy(config["distribute"])
    recipe, dataset = Recipe.from_json(config["recipe"]), load_dataset(config, layout)
    # What has answered once is kept for a resumed run.
    taught = [run / TEACHER] if (run / TEACHER).exists() else map(Path, config["teachers"])
    teacher = ensemble(list(taught), dataset.labels, dataset.splits["train"])
    if teacher is not None:
        teacher = teacher.for_weight(recipe.feature_weight).rounded()
    if chief:
        _describe(dataset)
        begin(run, config, dataset.fingerprint())
        if teacher is not None:
            teacher.save(run / TEACHER)
        plot_samples(run, dataset, recipe)
    with remembered_interrupts() as check:
        with own_folder(run, chief) as folder:
            model = fit(folder, dataset, recipe, teacher, strategy, check)
        if strategy is not None:
            say(f"weights, the same on every worker: {digest(model)}")
        if not chief:
            return None
        notes = {"teachers": list(teacher.sources)} if teacher is not None else {}
        return finish(run, config, dataset, model, check, notes)


def finish(
    run: Path,
    config: Mapping[str, Any],
    dataset: Dataset,
    model: keras.Model,
    check: Check,
    notes: Mapping[str, Any],
) -> dict[str, Any]:
    """Evaluate and write everything but the progress, which goes; return the metrics.

    `notes` stand in the metrics beside what is said of the training.
    """
    recipe, spec = Recipe.from_json(config["recipe"]), json.dumps(config["spec"])
    evaluation = evaluate(model, ModelSpec.from_json(spec), dataset, recipe, run / HISTORY)
    metrics = evaluation.metrics
    metrics["training"].update(notes)
    with atomic_path(run / MODEL) as temporary:
        model.save(temporary)
    write_samples(run, dataset, recipe.seed)
    draw(run, evaluation, recipe)
    write_json(run / METRICS, metrics)
    write_report(run, metrics, recipe)
    check()  # with its spec a run is finished
    # Every model made of the run carries it: names, not where things lie on this machine.
    named = {**config["recipe"], "weights": Path(recipe.weights).name}
    training = {"metrics": metrics, "recipe": named}
    if config["fold"]:  # it says which faces are not to be scored again
        training["fold"] = config["fold"]
    write_json(run / SPEC, dataclasses.replace(evaluation.spec, training=training).to_json())
    forget_progress(run)
    return metrics


def begin(run: Path, config: Mapping[str, Any], fingerprint: str) -> None:
    """Write the configuration; refuse to go on with other data than the run began with."""
    if config.get("fingerprint", fingerprint) != fingerprint:
        raise DataError(
            f"the pictures in {config['data']} changed since {run} began: put them back, or start "
            "a new run"
        )
    write_json(run / CONFIG, {**config, "fingerprint": fingerprint})


def plot_samples(run: Path, dataset: Dataset, recipe: Recipe) -> None:
    """Write samples.png: training faces as they are, and augmented."""

    def change(pixels: Image) -> Image:
        changed = augment(pixels, recipe.augmentation, np.int32(recipe.seed >> 1))
        return np.asarray(keras.ops.convert_to_numpy(changed), np.uint8)

    train = dataset.splits["train"]
    plots.samples(run / SAMPLES_PLOT, train, dataset.labels, change, recipe.seed)


def _describe(dataset: Dataset) -> None:
    """Say what was found, what of it will be used, and what was done to it."""
    if dataset.survey is not None:
        for line in show_survey(dataset.survey, result=False):
            say(line)
    used = ", ".join(f"{name} {len(faces):,}" for name, faces in dataset.splits.items())
    say(f"used           {used}")
    for note, value in dataset.notes.items():
        if value:
            say(f"{note.replace('_', ' ')}: {value}")
