"""The parity gate: the exported model against the Keras model, on the same faces."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from emo_edge.contract import Probabilities
from emo_edge.metrics import top1


@dataclass(frozen=True)
class Gate:
    """What an export may lose.

    Attributes:
        max_drop: Points of top-1 accuracy (percent); a drop beyond it fails.
        min_agreement: Least share of faces with the same top-1 as the Keras model. Small int8 nets
            reach 0.98; below 0.95 something else than rounding is at work.
    """

    max_drop: float = 1.0
    min_agreement: float = 0.95


@dataclass(frozen=True)
class Parity:
    """How far an export is from its Keras model.

    Attributes:
        images: Faces compared.
        split: Where they come from.
        keras_top1, export_top1: Accuracy, 0-1.
        drop: keras_top1 - export_top1 in points.
        agreement: Share of faces with the same top-1.
        mean_difference, max_difference: |dp| over all faces and classes; None if some answer is
            not a number.
        runtime: The device runtime that answered.
        failures: What the gate objects to; empty if it passes.
    """

    images: int
    split: str
    keras_top1: float
    export_top1: float
    drop: float
    agreement: float
    mean_difference: float | None
    max_difference: float | None
    runtime: str
    failures: tuple[str, ...]

    def to_json(self) -> dict[str, Any]:
        """Return the comparison as a JSON-ready dictionary."""
        return asdict(self)


def compare(
    reference: Probabilities,
    answers: Probabilities,
    truth: NDArray[np.int64],
    *,
    split: str,
    runtime: str,
    gate: Gate,
) -> Parity:
    """Compare the answers float32[N,n] of an export with those of its Keras model."""
    difference = np.abs(reference - answers)
    before, after = top1(reference, truth), top1(answers, truth)
    drop = 100 * (before - after)
    agreement = float((reference.argmax(axis=1) == answers.argmax(axis=1)).mean())
    finite = bool(np.isfinite(answers).all())
    failures = []
    if not finite:
        failures.append("answers that are not numbers")
    if drop > gate.max_drop:
        failures.append(f"top-1 drops {drop:.2f} points (allowed {gate.max_drop:g})")
    if agreement < gate.min_agreement:
        failures.append(f"top-1 agreement {agreement:.1%} (at least {gate.min_agreement:.1%})")
    return Parity(
        images=len(truth),
        split=split,
        keras_top1=round(before, 4),
        export_top1=round(after, 4),
        drop=round(drop, 2),
        agreement=round(agreement, 4),
        mean_difference=round(float(difference.mean()), 5) if finite else None,
        max_difference=round(float(difference.max()), 5) if finite else None,
        runtime=runtime,
        failures=tuple(failures),
    )
