"""The parity gate: the exported model against the Keras model, on the same faces."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from emo_edge.contract import Probabilities
from emo_edge.metrics import (
    confusion,
    expected_calibration_error,
    mcnemar,
    mean_divergence,
    paired_interval,
)
from emo_edge.score import Scored

# Of a class with fewer faces, one face alone is more than 2 points: reported, but not judged.
JUDGED_CLASS_FACES = 50
# Of the last decimal that is printed: what float64 leaves of a number that is exact in decimals.
DUST = 1e-6


@dataclass(frozen=True)
class Gate:
    """What an export may lose.

    Attributes:
        max_drop: Points of top-1 accuracy (percent); a drop beyond it fails.
        max_class_drop: Points of recall of any class with at least 50 faces.
        min_agreement: Least share of faces with the same top-1 as the Keras model. Small int8 nets
            reach 0.98; below 0.95 something else than rounding is at work.
    """

    max_drop: float = 1.0
    max_class_drop: float = 5.0
    min_agreement: float = 0.95


@dataclass(frozen=True)
class Accuracy:
    """What quantization does to right answers; points are percent.

    Attributes:
        keras_top1: Of the Keras model, 0-1.
        export_top1: Of the export, 0-1.
        drop: keras_top1 - export_top1, points, not rounded.
        drop_interval: 95 % paired interval of the drop, points (see `paired_interval`).
        mcnemar_p: Exact two-sided p-value that both are equally right.
        class_drop: Largest drop of recall among the classes that are judged, points, not rounded.
        worst_class: Its label; empty if no class has enough faces.
        class_drops: Faces and drop of recall in points of every class that has faces.
        keras_ece: Calibration error of the Keras model.
        export_ece: Calibration error of the export.
    """

    keras_top1: float
    export_top1: float
    drop: float
    drop_interval: tuple[float, float]
    mcnemar_p: float
    class_drop: float
    worst_class: str
    class_drops: dict[str, dict[str, float]]
    keras_ece: float
    export_ece: float


@dataclass(frozen=True)
class Parity:
    """How far an export is from its Keras model, on one runtime.

    Attributes:
        runtime: The device runtime that answered.
        median_ms: Median time of one face there, on the converting machine.
        delegates: Pieces of the model that ran inside a delegate (XNNPACK).
        images: Faces compared.
        origin: Where they come from.
        agreement: Share of faces with the same top-1, not rounded.
        mean_difference: Mean |dp| over all faces and classes; None if an answer is no number.
        max_difference: Largest |dp|; None likewise.
        divergence: Mean KL(Keras || export) in nats; None likewise.
        accuracy: None where the faces are not labelled.
        failures: What the gate objects to; empty if it passes.
    """

    runtime: str
    median_ms: float
    delegates: int
    images: int
    origin: str
    agreement: float
    mean_difference: float | None
    max_difference: float | None
    divergence: float | None
    accuracy: Accuracy | None
    failures: tuple[str, ...]

    def to_json(self) -> dict[str, Any]:
        """Return the comparison as a JSON-ready dictionary, rounded."""
        record = asdict(self)
        record["agreement"] = round(self.agreement, 4)
        if self.accuracy is not None:
            for name in ("drop", "class_drop"):
                record["accuracy"][name] = round(record["accuracy"][name], 2)
        return record


def points(drop: float) -> str:
    """Return a drop with two decimals, rounded up: one beyond a limit never reads as the limit."""
    return f"{math.ceil(100 * drop - DUST) / 100:.2f}"


def percent(share: float) -> str:
    """Return a share of 0-1 as percent with two decimals, rounded down for the same reason."""
    return f"{math.floor(10_000 * share + DUST) / 100:.2f}%"


def unjudged(truth: NDArray[np.int64], classes: int) -> int:
    """Return how many classes have too few of the faces `truth` int64[N] to be judged."""
    return int((np.bincount(truth, minlength=classes) < JUDGED_CLASS_FACES).sum())


def compare(
    reference: Probabilities,
    scored: Scored,
    truth: NDArray[np.int64] | None,
    *,
    labels: Sequence[str],
    origin: str,
    gate: Gate,
) -> Parity:
    """Compare the answers float32[N,n] of an export with those of its Keras model.

    Args:
        reference: Of the Keras model.
        scored: Of the export.
        truth: int64[N]; None if the faces are not labelled, then agreement alone is judged.
        labels: Names of the n classes.
        origin: Where the faces come from, for the records.
        gate: What may be lost.
    """
    answers = scored.probabilities
    finite = bool(np.isfinite(reference).all() and np.isfinite(answers).all())
    difference = np.abs(reference - answers)
    agreement = float((reference.argmax(axis=1) == answers.argmax(axis=1)).mean())
    accuracy = (
        _accuracy(reference, answers, truth, labels) if truth is not None and finite else None
    )
    return Parity(
        runtime=scored.runtime,
        median_ms=scored.median_ms,
        delegates=scored.delegates,
        images=len(answers),
        origin=origin,
        agreement=agreement,
        mean_difference=round(float(difference.mean()), 5) if finite else None,
        max_difference=round(float(difference.max()), 5) if finite else None,
        divergence=round(mean_divergence(reference, answers), 6) if finite else None,
        accuracy=accuracy,
        failures=tuple(_objections(finite, agreement, accuracy, gate)),
    )


def _accuracy(
    reference: Probabilities,
    answers: Probabilities,
    truth: NDArray[np.int64],
    labels: Sequence[str],
) -> Accuracy:
    before, after = reference.argmax(axis=1) == truth, answers.argmax(axis=1) == truth
    low, high = paired_interval(before, after)
    counts = confusion(reference, truth)
    lost = counts.diagonal() - confusion(answers, truth).diagonal()
    faces = counts.sum(axis=1)
    judged = np.flatnonzero(faces >= JUDGED_CLASS_FACES)
    # Counts are subtracted, not shares: a drop of exactly the limit is not a little more than it.
    drops = 100 * lost / np.maximum(faces, 1)
    worst = judged[drops[judged].argmax()] if len(judged) else None
    return Accuracy(
        keras_top1=round(float(before.mean()), 4),
        export_top1=round(float(after.mean()), 4),
        drop=100 * float(before.sum() - after.sum()) / len(truth),
        drop_interval=(round(100 * low, 2), round(100 * high, 2)),
        mcnemar_p=round(mcnemar(before, after), 4),
        class_drop=float(drops[worst]) if worst is not None else 0.0,
        worst_class=labels[worst] if worst is not None else "",
        class_drops={
            labels[k]: {"faces": int(faces[k]), "drop": round(float(drops[k]), 2)}
            for k in np.flatnonzero(faces)
        },
        keras_ece=round(expected_calibration_error(reference, truth), 4),
        export_ece=round(expected_calibration_error(answers, truth), 4),
    )


def _objections(finite: bool, agreement: float, accuracy: Accuracy | None, gate: Gate) -> list[str]:
    found = []
    if not finite:
        found.append("answers that are not numbers")
    if agreement < gate.min_agreement:
        least = f"{100 * gate.min_agreement:g}%"
        found.append(f"top-1 agreement {percent(agreement)} (at least {least})")
    if accuracy is not None and accuracy.drop > gate.max_drop:
        found.append(f"top-1 drops {points(accuracy.drop)} points (allowed {gate.max_drop:g})")
    if accuracy is not None and accuracy.class_drop > gate.max_class_drop:
        found.append(
            f"recall of {accuracy.worst_class} drops {points(accuracy.class_drop)} points "
            f"(allowed {gate.max_class_drop:g})"
        )
    return found
