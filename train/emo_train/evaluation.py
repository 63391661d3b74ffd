"""What a trained model is worth, on which faces, and under which protocol."""

from __future__ import annotations

import dataclasses
import importlib
import platform
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras

from emo_edge.contract import Probabilities, probabilities
from emo_edge.faces import Faces, one_hot
from emo_edge.messages import warn
from emo_edge.metrics import confusion, summary
from emo_edge.runfolder import (
    CLASSES_PLOT,
    CONFUSION_PLOT,
    CURVES_PLOT,
    HISTORY,
    MISTAKES_PLOT,
    RELIABILITY_PLOT,
)
from emo_edge.spec import ModelSpec
from emo_edge.version import __version__
from emo_train import score_plots
from emo_train.calibrate import at_bound, fit_temperature
from emo_train.callbacks import best_epoch, read_history
from emo_train.data import Dataset
from emo_train.models.cost import count_macs
from emo_train.recipe import Recipe
from emo_train.trainer import logits_of


@dataclass(frozen=True)
class Evaluation:
    """The answers of a calibrated model on the split that scores.

    Attributes:
        spec: With the temperature fitted on the validation split.
        faces: That were scored.
        answers: float32[N,n], probabilities.
        metrics: JSON-ready scores with the protocol.
    """

    spec: ModelSpec
    faces: Faces
    answers: Probabilities
    metrics: dict[str, Any]


def evaluate(
    model: keras.Model, spec: ModelSpec, dataset: Dataset, recipe: Recipe, history: Path
) -> Evaluation:
    """Calibrate on the validation split, score the evaluation split, and say how both were done."""
    selecting, scored = dataset.splits["validation"], dataset.splits[dataset.evaluation]
    # Against the answers that count as right: votes that differ (soft targets) would ask for the
    # confidence of a split jury in faces that the net gets right.
    right = one_hot(selecting.truth, len(spec.labels))
    temperature = fit_temperature(logits_of(model, selecting.pixels), right)
    if at_bound(temperature):
        warn(
            f"the temperature ended at the bound of its search ({temperature:g}): confidences are "
            "not calibrated (too few or too easy validation faces?)"
        )
    spec = dataclasses.replace(spec, temperature=temperature)
    answers = probabilities(logits_of(model, scored.pixels), spec)
    epochs = read_history(history)
    metrics = {
        **summary(answers, scored.truth, spec.labels),
        "protocol": protocol(dataset, recipe),
        "training": {
            "epochs": len(epochs),
            "best_epoch": best_epoch(epochs, recipe.select_by) + 1,
            "temperature": temperature,
        },
        "data": {
            "sha256": dataset.fingerprint(),
            "images": {name: len(faces) for name, faces in dataset.splits.items()},
            **dataset.notes,
        },
        "model": {"parameters": model.count_params(), "macs": count_macs(model)},
        "versions": versions(),
    }
    return Evaluation(spec, scored, answers, metrics)


def protocol(dataset: Dataset, recipe: Recipe) -> dict[str, str]:
    """Return how the scores came about, for every artifact that quotes them."""
    return {
        "selected_on": f"validation (best epoch by {recipe.select_by}, temperature)",
        "scored_on": dataset.evaluation,
        "crops": "single",
        "test_time_augmentation": "none",
        "labels": str(dataset.notes.get("fer2013_labels", "as in the data")),
    }


def sentence(metrics: Mapping[str, Any]) -> str:
    """Return the protocol as a line for plots and pages."""
    rules = metrics["protocol"]
    return (
        f"{rules['scored_on']} split, n = {metrics['images']}; selected on {rules['selected_on']}; "
        f"{rules['crops']} crop, no test-time augmentation"
    )


def versions() -> dict[str, str]:
    """Return what a result may depend on."""
    backend = keras.backend.backend()
    return {
        "emo-toolkit": __version__,
        "keras": keras.__version__,
        backend: str(importlib.import_module(backend).__version__),
        "python": platform.python_version(),
    }


def draw(run: Path, evaluation: Evaluation, recipe: Recipe) -> None:
    """Write the plots of a run."""
    labels, truth, answers = evaluation.spec.labels, evaluation.faces.truth, evaluation.answers
    title = sentence(evaluation.metrics).split(";")[0]
    chosen = evaluation.metrics["training"]["best_epoch"]
    score_plots.curves(run / CURVES_PLOT, read_history(run / HISTORY), chosen, recipe.select_by)
    score_plots.confusion_matrix(run / CONFUSION_PLOT, confusion(answers, truth), labels, title)
    score_plots.class_scores(run / CLASSES_PLOT, evaluation.metrics, title)
    score_plots.reliability(run / RELIABILITY_PLOT, answers, truth, title)
    score_plots.mistakes(run / MISTAKES_PLOT, evaluation.faces, answers, labels, title)
