"""Pictures of a training and of its scores."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib import pyplot as plt
from numpy.typing import NDArray

from emo_edge.contract import Probabilities
from emo_edge.faces import Faces
from emo_edge.metrics import expected_calibration_error
from emo_edge.metrics import reliability as reliability_bins
from emo_train.plots import save

MISTAKES = (4, 8)  # rows and columns


def curves(path: Path, history: Sequence[Mapping[str, float]], chosen: int, metric: str) -> None:
    """Draw loss and accuracy over the epochs; `chosen` counts from 1, `metric` chose it."""
    epochs = [int(scores["epoch"]) + 1 for scores in history]
    figure, axes = plt.subplots(1, 2, figsize=(10, 4), layout="constrained")
    for axis, name in zip(axes, ("loss", "accuracy"), strict=True):
        axis.plot(epochs, [scores[name] for scores in history], label="training (augmented)")
        axis.plot(epochs, [scores[f"val_{name}"] for scores in history], label="validation")
        axis.axvline(chosen, color="grey", linestyle=":", label=f"kept: best {metric}")
        axis.set(xlabel="epoch", title=name)
        axis.xaxis.get_major_locator().set_params(integer=True)
        axis.grid(alpha=0.3)
    axes[1].legend()
    save(figure, path)


def confusion_matrix(
    path: Path, counts: NDArray[np.int64], labels: tuple[str, ...], title: str
) -> None:
    """Draw a confusion matrix, coloured by recall, with its counts."""
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    side = 1.8 + 0.7 * len(labels)
    figure, axis = plt.subplots(figsize=(side, side), layout="constrained")
    axis.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    for row, column in np.ndindex(*counts.shape):
        colour = "white" if shares[row, column] > 0.5 else "black"
        axis.text(column, row, counts[row, column], ha="center", va="center", color=colour)
    ticks = range(len(labels))
    axis.set_xticks(ticks, labels, rotation=45, ha="right")
    axis.set_yticks(ticks, labels)
    axis.set(xlabel="predicted", ylabel="true", title=title)
    save(figure, path)


def class_scores(path: Path, metrics: Mapping[str, Any], title: str) -> None:
    """Draw precision, recall and F1 of every class; an absent class has no bar."""
    labels = list(metrics["recall"])
    figure, axis = plt.subplots(figsize=(2 + 1.0 * len(labels), 3.6), layout="constrained")
    places = np.arange(len(labels))
    for offset, name in zip((-0.27, 0.0, 0.27), ("precision", "recall", "f1"), strict=True):
        heights = [metrics[name][label] or 0.0 for label in labels]
        axis.bar(places + offset, heights, width=0.25, label=name.replace("f1", "F1"))
    axis.axhline(metrics["macro_f1"], color="grey", linestyle=":", label="macro F1")
    axis.set_xticks(places, labels, rotation=30, ha="right")
    axis.set(ylim=(0, 1), title=title)
    axis.grid(axis="y", alpha=0.3)
    axis.legend(ncols=4, loc="upper center", bbox_to_anchor=(0.5, -0.18), frameon=False)
    save(figure, path)


def reliability(path: Path, answers: Probabilities, truth: NDArray[np.int64], title: str) -> None:
    """Draw accuracy against confidence (a calibrated model keeps to the diagonal) and how many."""
    counts, confidence, hits = reliability_bins(answers, truth)
    filled = counts > 0
    figure, (above, below) = plt.subplots(
        2, 1, figsize=(4.6, 5.4), height_ratios=(3, 1), sharex=True, layout="constrained"
    )
    above.plot([0, 1], [0, 1], color="grey", linestyle=":", label="calibrated")
    above.plot(confidence[filled], hits[filled], marker="o", label="model", clip_on=False)
    above.set(xlim=(0, 1), ylim=(0, 1), ylabel="accuracy", title=title)
    ece = expected_calibration_error(answers, truth)
    above.text(0.97, 0.05, f"ECE {ece:.3f}", ha="right", transform=above.transAxes)
    above.legend(loc="upper left")
    below.bar((np.arange(len(counts)) + 0.5) / len(counts), counts, width=0.9 / len(counts))
    below.set(xlabel="confidence", ylabel="faces")
    for axis in (above, below):
        axis.grid(alpha=0.3)
    save(figure, path)


def mistakes(
    path: Path, faces: Faces, answers: Probabilities, labels: tuple[str, ...], title: str
) -> None:
    """Draw the wrong answers of which the model was surest, the surest first."""
    found, confidence = answers.argmax(axis=1), answers.max(axis=1)
    wrong = np.flatnonzero(found != faces.truth)
    wrong = wrong[np.argsort(-confidence[wrong], kind="stable")][: MISTAKES[0] * MISTAKES[1]]
    rows = max(1, -(-len(wrong) // MISTAKES[1]))
    figure, axes = plt.subplots(
        rows, MISTAKES[1], figsize=(12, 0.6 + 2.0 * rows), layout="constrained", squeeze=False
    )
    for axis in axes.flat:
        axis.axis("off")
    for axis, row in zip(axes.flat, wrong, strict=False):
        axis.imshow(faces.pixels[row].squeeze(), cmap="gray", vmin=0, vmax=255)
        true, answer = labels[faces.truth[row]], labels[found[row]]
        axis.set_title(f"{true}\nfound {answer} {confidence[row]:.0%}", fontsize=8)
    count = int((found != faces.truth).sum())
    heading = f"The surest of {count} mistakes" if count else "No mistakes"
    figure.suptitle(f"{heading}; {title}", fontsize=10)
    save(figure, path)


def folds(path: Path, scores: Sequence[Mapping[str, Any]], metrics: Mapping[str, Any]) -> None:
    """Draw accuracy, macro recall and macro F1 of every fold, with their mean."""
    names = ("top1", "macro_recall", "macro_f1")
    figure, axis = plt.subplots(figsize=(6, 3.6), layout="constrained")
    for place, name in enumerate(names):
        values = [fold[name] for fold in scores]
        axis.plot(np.full(len(values), place), values, "o", alpha=0.6, color="C0")
        mean = metrics["scores"][name]["mean"]
        axis.plot([place - 0.2, place + 0.2], [mean, mean], color="C1")
        axis.annotate(f"{mean:.3f}", (place + 0.23, mean), va="center")
    axis.set_xticks(range(len(names)), [name.replace("_", " ") for name in names])
    axis.set(xlim=(-0.5, len(names) - 0.3), ylabel="score")
    axis.set_title(f"{metrics['folds']} folds, n = {metrics['images']}; the lines are the means")
    axis.grid(axis="y", alpha=0.3)
    save(figure, path)
