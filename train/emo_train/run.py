"""One training run from data to run folder."""

from __future__ import annotations

import dataclasses
import importlib
import json
import platform
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import keras
import numpy as np

from emo_edge.artifacts import atomic_path, write_json
from emo_edge.contract import Image, probabilities
from emo_edge.errors import DataError, ModelError, UsageError
from emo_edge.messages import say
from emo_edge.metrics import confusion, summary
from emo_edge.runfolder import (
    CONFIG,
    CONFUSION_PLOT,
    CURVES_PLOT,
    HISTORY,
    METRICS,
    MODEL,
    SAMPLES_PLOT,
    SPEC,
)
from emo_edge.spec import ModelSpec
from emo_edge.version import __version__
from emo_train import plots
from emo_train.augment import augment
from emo_train.calibrate import fit_temperature, uncertain_below
from emo_train.data import Dataset, class_folders, load_folders
from emo_train.fer2013 import fer_labels, is_fer2013, load_fer2013
from emo_train.models import ARCHITECTURES, count_macs
from emo_train.recipe import Recipe
from emo_train.records import write_samples
from emo_train.trainer import fit, forget_progress, logits_of


def configure(data: Path, recipe: Recipe) -> dict[str, Any]:
    """Return the configuration of a new run, JSON-ready; raises on data that cannot be used."""
    if recipe.architecture not in ARCHITECTURES:
        known = ", ".join(ARCHITECTURES)
        raise UsageError(f"unknown architecture {recipe.architecture!r}; choose from {known}")
    if is_fer2013(data):
        kind = "fer" if recipe.labels == "auto" else recipe.labels
        recipe, labels = dataclasses.replace(recipe, labels=kind), fer_labels(kind)  # type: ignore[arg-type]
    elif recipe.labels != "auto":
        raise UsageError(f"--labels is for FER2013 CSV files; {data} holds no fer2013.csv")
    else:
        labels = class_folders(data)
    try:
        spec = ModelSpec(
            labels=labels,
            height=recipe.input_size,
            width=recipe.input_size,
            colour=recipe.colour,  # type: ignore[arg-type]
            crop_margin=recipe.crop_margin,
            threshold=uncertain_below(len(labels)),
        )
    except ModelError as error:
        raise UsageError(str(error).removeprefix("model metadata: ")) from error
    return {"data": str(data.resolve()), "recipe": recipe.to_json(), "spec": spec.to_json()}


def train(run: Path, config: Mapping[str, Any]) -> dict[str, Any]:
    """Train by `config` into `run` (resuming what is there) and return its metrics."""
    spec = ModelSpec.from_json(json.dumps(config["spec"]))
    recipe = Recipe.from_json(config["recipe"])
    dataset = _load(Path(config["data"]), spec, recipe)
    _describe(dataset)
    _begin(run, config, dataset.fingerprint())
    _plot_samples(run, dataset, recipe)
    splits = dataset.splits
    model = fit(run, splits["train"], splits["validation"], spec.labels, recipe)
    spec = _calibrated(spec, model, dataset)
    metrics = _evaluate(run, spec, model, dataset)
    with atomic_path(run / MODEL) as temporary:
        model.save(temporary)
    write_samples(run, dataset, recipe.seed)
    plots.curves(run / CURVES_PLOT, run / HISTORY)
    write_json(run / METRICS, metrics)
    training = {"metrics": metrics, "recipe": config["recipe"]}
    write_json(run / SPEC, dataclasses.replace(spec, training=training).to_json())
    forget_progress(run)
    return metrics


def _begin(run: Path, config: Mapping[str, Any], fingerprint: str) -> None:
    """Write the configuration; refuse to go on with other data than the run began with."""
    if config.get("fingerprint", fingerprint) != fingerprint:
        raise DataError(
            f"the pictures in {config['data']} changed since {run} began: put them back, or start "
            "a new run"
        )
    write_json(run / CONFIG, {**config, "fingerprint": fingerprint})


def _load(root: Path, spec: ModelSpec, recipe: Recipe) -> Dataset:
    if recipe.labels != "auto":
        return load_fer2013(root, spec, recipe.labels, recipe.seed)  # type: ignore[arg-type]
    return load_folders(root, spec, recipe.seed)


def _plot_samples(run: Path, dataset: Dataset, recipe: Recipe) -> None:
    def change(pixels: Image) -> Image:
        changed = augment(pixels, recipe.augmentation, np.int32(recipe.seed >> 1))
        return np.asarray(keras.ops.convert_to_numpy(changed), np.uint8)

    train = dataset.splits["train"]
    plots.samples(run / SAMPLES_PLOT, train, dataset.labels, change, recipe.seed)


def _describe(dataset: Dataset) -> None:
    """Say what was found: counts per class and split."""
    width = max(map(len, dataset.labels)) + 2
    say(f"{'':<{width}}" + "".join(f"{name:>12}" for name in dataset.splits))
    for index, label in enumerate(dataset.labels):
        counts = [int((faces.truth == index).sum()) for faces in dataset.splits.values()]
        say(f"{label:<{width}}" + "".join(f"{count:>12}" for count in counts))
    for note, value in dataset.notes.items():
        say(f"{note.replace('_', ' ')}: {value}")


def _calibrated(spec: ModelSpec, model: keras.Model, dataset: Dataset) -> ModelSpec:
    selecting = dataset.splits["validation"]
    temperature = fit_temperature(logits_of(model, selecting.pixels), selecting.targets)
    return dataclasses.replace(spec, temperature=temperature)


def _evaluate(run: Path, spec: ModelSpec, model: keras.Model, dataset: Dataset) -> dict[str, Any]:
    scored = dataset.splits[dataset.evaluation]
    answers = probabilities(logits_of(model, scored.pixels), spec)
    title = f"{dataset.evaluation} split, n = {len(scored)}"
    counts = confusion(answers, scored.truth)
    plots.confusion_matrix(run / CONFUSION_PLOT, counts, spec.labels, title)
    return {
        **summary(answers, scored.truth, spec.labels),
        "protocol": {
            "selected_on": "validation (best epoch, temperature)",
            "scored_on": dataset.evaluation,
            "crops": "single",
            "labels": dataset.notes.get("fer2013_labels", "folders"),
        },
        "data": {
            "sha256": dataset.fingerprint(),
            "images": {name: len(faces) for name, faces in dataset.splits.items()},
            **dataset.notes,
        },
        "model": {"parameters": model.count_params(), "macs": count_macs(model)},
        "versions": {
            "emo-toolkit": __version__,
            "keras": keras.__version__,
            keras.backend.backend(): _backend_version(),
            "python": platform.python_version(),
        },
    }


def _backend_version() -> str:
    return str(importlib.import_module(keras.backend.backend()).__version__)
