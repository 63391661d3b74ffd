"""One protocol for all: the faces, and how the answers of different label sets are scored."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from emo_edge.metrics import summary
from emo_edge.spec import ModelSpec
from emo_train.data import load_evaluation
from emo_train.data.fer2013 import SIDE, LabelKind, fer_labels

# The seven expressions that every peer knows; who knows "contempt" too is not asked for it.
LABELS = fer_labels("fer")


@dataclass(frozen=True)
class Protocol:
    """Faces and their truth.

    Attributes:
        pixels: uint8[N,48,48].
        truth: Kind of labels -> int64[N] indices of `LABELS`, -1 for a face that does not count.
        origin: What the faces are.
    """

    pixels: NDArray[np.uint8]
    truth: dict[str, NDArray[np.int64]]
    origin: str

    def score(self, answers: NDArray[np.float32], labels: tuple[str, ...]) -> dict[str, Any]:
        """Return the scores by each kind of labels: the most probable of the seven counts.

        Args:
            answers: float32[N,n] in the order of `labels`.
            labels: What the peer calls its classes.
        """
        shared = answers[:, [labels.index(label) for label in LABELS]]
        total = shared.sum(axis=1, keepdims=True)
        shared = shared / np.where(total > 0, total, 1)
        return {
            kind: summary(shared[truth >= 0], truth[truth >= 0], LABELS)
            for kind, truth in self.truth.items()
        }


def load_protocol(folder: Path) -> Protocol:
    """Load the scoring rows of FER2013 that are no copies of training faces."""
    fer, ferplus = (_load(folder, kind) for kind in ("fer", "ferplus"))
    place = {name: row for row, name in enumerate(fer.names)}
    truth = np.full(len(fer.names), -1, np.int64)
    for name, label in zip(ferplus.names, ferplus.labels, strict=True):
        if label in LABELS:
            truth[place[name]] = LABELS.index(label)
    own = np.array([LABELS.index(label) for label in fer.labels], np.int64)
    return Protocol(fer.pixels, {"fer": own, "ferplus": truth}, fer.origin)


@dataclass(frozen=True)
class _Rows:
    names: tuple[str, ...]
    labels: tuple[str, ...]
    pixels: NDArray[np.uint8]
    origin: str


def _load(folder: Path, kind: LabelKind) -> _Rows:
    labels = fer_labels(kind)
    spec = ModelSpec(labels=labels, height=SIDE, width=SIDE, colour="grey")
    evaluation = load_evaluation(folder, spec)
    faces = evaluation.faces.take(np.flatnonzero(~evaluation.seen))
    names = tuple(labels[index] for index in faces.truth)
    return _Rows(faces.names, names, faces.pixels[..., 0], evaluation.origin.partition(" (")[0])
