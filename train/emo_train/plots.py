"""Pictures of the data, and how a figure is written."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np

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
