"""Pictures of the data, and how a figure is written."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
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
        axes[2 * index, 0].set_title(label, loc="left", fontsize=9)
    classes = [
        rng.permutation(np.flatnonzero(faces.truth == i))[:count] for i in range(len(labels))
    ]
    places = [
        (2 * i, column) for i, members in enumerate(classes) for column in range(len(members))
    ]
    chosen = faces.pixels[np.concatenate(classes)]
    # One batch, so that each face is changed in its own way.
    for (row, column), before, after in zip(places, chosen, augment(chosen), strict=True):
        for axis, picture in ((axes[row, column], before), (axes[row + 1, column], after)):
            axis.imshow(picture.squeeze(), cmap="gray", vmin=0, vmax=255)
    figure.suptitle("Training faces; every second row augmented")
    save(figure, path)


def sheet(path: Path, label: str, pictures: Sequence[tuple[str, Image]], side: int) -> None:
    """Draw pictures of a class, uint8 BGR or grey of any size, each under the name of its split."""
    rows = -(-len(pictures) // side)
    figure, axes = plt.subplots(
        rows, side, figsize=(side, 1.2 * rows + 0.4), layout="constrained", squeeze=False
    )
    for axis in axes.flat:
        axis.axis("off")
    for axis, (split, picture) in zip(axes.flat, pictures, strict=False):
        axis.imshow(picture if picture.ndim == 2 else picture[..., ::-1], "gray", vmin=0, vmax=255)
        axis.set_title(split, fontsize=6, pad=2)
    figure.suptitle(label)
    save(figure, path)


def balance(path: Path, labels: tuple[str, ...], counts: Mapping[str, Sequence[int]]) -> None:
    """Draw how many pictures each class has, split by split, with their share of the split."""
    figure, axes = plt.subplots(
        1, len(counts), figsize=(2 + 3.2 * len(counts), 1.2 + 0.35 * len(labels)),
        layout="constrained", squeeze=False, sharey=True,
    )  # fmt: skip
    for axis, (split, numbers) in zip(axes.flat, counts.items(), strict=True):
        bars = axis.barh(labels, numbers)
        total = max(1, sum(numbers))
        axis.bar_label(bars, [f"{n:,} ({n / total:.1%})" for n in numbers], padding=3, fontsize=8)
        axis.set(title=f"{split}, {sum(numbers):,} pictures", xlim=(0, 1.35 * max(1, *numbers)))
        axis.spines[["top", "right"]].set_visible(False)
    axes[0, 0].invert_yaxis()
    save(figure, path)
