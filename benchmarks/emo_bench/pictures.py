"""Pictures of what the live loop saw: the timeline and a strip of annotated frames."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from matplotlib import pyplot as plt

from emo_train.plots import save

Truth = Sequence[tuple[float, float, str]]


def timeline(path: Path, records: Sequence[dict[str, Any]], truth: Truth) -> None:
    """Draw the smoothed probabilities over time above the expression that was really shown.

    Args:
        path: PNG to write.
        records: Lines of `emo-edge --jsonl`.
        truth: (start s, end s, label) in order.
    """
    labels = list(records[0]["probabilities"])
    colours = {label: f"C{number}" for number, label in enumerate(labels)}
    figure, axis = plt.subplots(figsize=(10, 3.6))
    for start, end, label in truth:
        axis.axvspan(start, end, color=colours[label], alpha=0.15, lw=0)
        axis.text((start + end) / 2, 1.02, label, ha="center", va="bottom")
    times = [record["time"] for record in records]
    for label in labels:
        values = [record["probabilities"][label] for record in records]
        axis.plot(times, values, color=colours[label], label=label, lw=2)
    axis.set(xlabel="seconds", ylabel="probability", ylim=(0, 1), xlim=(0, truth[-1][1]))
    axis.legend(loc="center left", bbox_to_anchor=(1, 0.5), frameon=False)
    save(figure, path)


def film_strip(path: Path, video: Path, truth: Truth) -> None:
    """Draw one annotated frame from late in each stretch of `truth`, side by side."""
    capture = cv2.VideoCapture(str(video))
    frames = []
    for start, end, _ in truth:
        capture.set(cv2.CAP_PROP_POS_MSEC, 1000 * (start + 0.8 * (end - start)))
        ok, frame = capture.read()
        if ok:
            frames.append(cv2.cvtColor(frame, cv2.COLOR_BGR2RGB))
    capture.release()
    figure, axes = plt.subplots(1, len(frames), figsize=(3 * len(frames), 2.4))
    for axis, frame in zip(np.atleast_1d(axes), frames, strict=True):
        axis.imshow(frame)
        axis.axis("off")
    figure.subplots_adjust(wspace=0.03)
    save(figure, path)
