"""K runs, one for each fold, and what their scores say together."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np

from emo_edge.artifacts import write_json
from emo_edge.messages import say
from emo_edge.metrics import wilson_interval
from emo_edge.runfolder import CONFIG, METRICS, SPEC
from emo_train import run, score_plots
from emo_train.data import Layout
from emo_train.loading import load_dataset

SCORES = ("top1", "top2", "macro_precision", "macro_recall", "macro_f1", "r2", "ece")
PLOT = "folds.png"


def cross_validate(
    folder: Path, config: Mapping[str, Any], layout: Layout | None = None
) -> dict[str, Any]:
    """Train and score every fold of `config` into folder/fold-1 ..., and summarise them.

    Finished folds are taken as they are and an unfinished one goes on, so that an interrupted
    cross-validation can be resumed. Raises `DataError` if the pictures changed meanwhile.
    """
    # Folds of other pictures would be no folds: the whole has a fingerprint, as each of them has.
    run.begin(folder, config, load_dataset(config, layout).fingerprint())
    folds = int(config["folds"])
    scores = []
    for number in range(1, folds + 1):
        place = folder / f"fold-{number}"
        if not (place / SPEC).exists():
            say(f"fold {number} of {folds}")
            keras.utils.clear_session()
            run.train(place, _fold_config(place, config, number), layout)
        scores.append(json.loads((place / METRICS).read_text(encoding="utf-8")))
    metrics = summarise(scores)
    score_plots.folds(folder / PLOT, scores, metrics)
    write_json(folder / METRICS, metrics)
    return metrics


def _fold_config(place: Path, config: Mapping[str, Any], number: int) -> Mapping[str, Any]:
    """Return a fold's configuration: what is there already if it began before."""
    if (place / CONFIG).exists():
        return dict(json.loads((place / CONFIG).read_text(encoding="utf-8")))
    shared = {name: value for name, value in config.items() if name != "fingerprint"}
    return {**shared, "folds": None, "fold": [number, config["folds"]]}


def summarise(folds: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Return mean and spread of the folds' scores, and the confusion over all faces.

    The standard deviation is that between the folds. It is not an error of the mean: folds share
    training faces, and no unbiased estimate exists (Bengio & Grandvalet 2004, "No Unbiased
    Estimator of the Variance of K-Fold Cross-Validation").
    """
    confusion = np.sum([fold["confusion"] for fold in folds], axis=0)
    hits, faces = int(np.trace(confusion)), int(confusion.sum())
    return {
        "folds": len(folds),
        "images": faces,
        "scores": {name: _spread([fold[name] for fold in folds]) for name in SCORES},
        "top1": round(hits / faces, 4),
        "top1_interval": wilson_interval(hits, faces),
        "confusion": confusion.tolist(),
        "protocol": {
            **folds[0]["protocol"],
            "scored_on": f"{len(folds)} folds, each by a model that trained on the others",
        },
        "labels": list(folds[0]["recall"]),
        "versions": folds[0]["versions"],
    }


def _spread(values: Sequence[float | None]) -> dict[str, float] | None:
    """Return mean, standard deviation, least and most; None where a fold has no such score."""
    known = [value for value in values if value is not None]
    if len(known) < len(values):
        return None
    numbers = {
        "mean": float(np.mean(known)),
        "std": float(np.std(known, ddof=1)),
        "least": min(known),
        "most": max(known),
    }
    return {name: round(value, 4) for name, value in numbers.items()}


def lines(metrics: Mapping[str, Any]) -> list[str]:
    """Return the summary for people, a line a score."""
    found = [(name, spread) for name, spread in metrics["scores"].items() if spread is not None]
    return [
        f"{name.replace('_', ' '):<16}{spread['mean']:.3f} +- {spread['std']:.3f}  "
        f"({spread['least']:.3f} to {spread['most']:.3f})"
        for name, spread in found
    ]
