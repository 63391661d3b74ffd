"""Pictures of a run: augmented samples, learning curves, confusion matrix."""

from __future__ import annotations

import csv
from collections.abc import Callable
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
from numpy.typing import NDArray

from emo_edge.artifacts import atomic_path
from emo_edge.contract import Image
from emo_edge.faces import Faces

mpl.use("Agg")
from matplotlib import pyplot as plt

SAMPLES_PER_CLASS = 8


def save(figure: Any, path: Path) -> None:
    """Write a figure as PNG, whole or not at all, and close it."""
    with atomic_path(path) as temporary:
        figure.savefig(temporary, dpi=120, bbox_inches="tight")
    plt.close(figure)


def samples(
    path: Path, faces: Faces, labels: tuple[str, ...], augment: Callable[[Image], Image], seed: int
) -> None:
    """Draw a contact sheet: for each class some faces as they are, below them augmented."""
    rng = np.random.default_rng(seed)
    count = SAMPLES_PER_CLASS
    rows = 2 * len(labels)
    figure, axes = plt.subplots(rows, count, figsize=(count, 1.1 * rows), layout="constrained")
    for axis in axes.flat:
        axis.axis("off")
    for index, label in enumerate(labels):
        members = rng.permutation(np.flatnonzero(faces.truth == index))[:count]
        pixels = faces.pixels[members]
        changed = augment(pixels)
        for column in range(len(members)):
            for row, picture in ((2 * index, pixels[column]), (2 * index + 1, changed[column])):
                axes[row, column].imshow(picture.squeeze(), cmap="gray", vmin=0, vmax=255)
        axes[2 * index, 0].set_title(label, loc="left", fontsize=9)
    figure.suptitle("Training faces; every second row augmented")
    save(figure, path)


def curves(path: Path, history: Path) -> None:
    """Draw loss and accuracy over the epochs of history.csv."""
    with history.open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    epochs = [int(row["epoch"]) + 1 for row in rows]
    figure, axes = plt.subplots(1, 2, figsize=(10, 4))
    for axis, name in zip(axes, ("loss", "accuracy"), strict=True):
        axis.plot(epochs, [float(row[name]) for row in rows], label="training (augmented)")
        axis.plot(epochs, [float(row[f"val_{name}"]) for row in rows], label="validation")
        axis.set(xlabel="epoch", title=name)
        axis.grid(alpha=0.3)
        axis.legend()
    save(figure, path)


def confusion_matrix(
    path: Path, counts: NDArray[np.int64], labels: tuple[str, ...], title: str
) -> None:
    """Draw a confusion matrix, coloured by recall, with its counts."""
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    side = 1.8 + 0.7 * len(labels)
    figure, axis = plt.subplots(figsize=(side, side))
    axis.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    for row, column in np.ndindex(*counts.shape):
        colour = "white" if shares[row, column] > 0.5 else "black"
        axis.text(column, row, counts[row, column], ha="center", va="center", color=colour)
    ticks = range(len(labels))
    axis.set_xticks(ticks, labels, rotation=45, ha="right")
    axis.set_yticks(ticks, labels)
    axis.set(xlabel="predicted", ylabel="true", title=title)
    save(figure, path)
