"""Scores of a classifier, in numpy: one definition for training, the parity gate and benchmarks.

Everywhere: `probabilities` float[N,n], `truth` int[N] class indices.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from emo_edge.contract import Probabilities

Truth = NDArray[np.int64]


def top1(probabilities: Probabilities, truth: Truth) -> float:
    """Return the share of rows whose most probable class is the true one (accuracy)."""
    return float((probabilities.argmax(axis=1) == truth).mean())


def top_k(probabilities: Probabilities, truth: Truth, k: int) -> float:
    """Return the share of rows whose true class is among the `k` most probable ones."""
    ranked = np.argsort(-probabilities, axis=1, kind="stable")[:, :k]
    return float((ranked == truth[:, None]).any(axis=1).mean())


def r2(probabilities: Probabilities, truth: Truth) -> float:
    """Return the coefficient of determination of one-hot truth against probabilities.

    For class c with y = 1 where it is the true one, else 0: R2_c = 1 - sum (y - p_c)^2 / sum
    (y - mean y)^2; the mean over the classes that are present. 1 is perfect, 0 is no better than
    answering every class's share, below 0 is worse. (scikit-learn's `r2_score` with its uniform
    average, where every class is present.) NaN where only one class is.
    """
    hot = np.eye(probabilities.shape[1])[truth]
    spread = ((hot - hot.mean(axis=0)) ** 2).sum(axis=0)
    varies = spread > 0
    if not varies.any():
        return math.nan
    error = ((hot - probabilities) ** 2).sum(axis=0)
    return float((1 - error[varies] / spread[varies]).mean())


def confusion(probabilities: Probabilities, truth: Truth) -> NDArray[np.int64]:
    """Return counts int[n,n]: rows are true classes, columns the most probable ones."""
    classes = probabilities.shape[1]
    counts = np.zeros((classes, classes), np.int64)
    np.add.at(counts, (truth, probabilities.argmax(axis=1)), 1)
    return counts


def per_class(counts: NDArray[np.int64]) -> dict[str, NDArray[np.float64]]:
    """Return precision, recall and F1 float[n] of a confusion matrix; NaN for an absent class."""
    hits = np.diag(counts).astype(float)
    with np.errstate(invalid="ignore"):
        return {
            "precision": hits / counts.sum(axis=0),
            "recall": hits / counts.sum(axis=1),
            "f1": 2 * hits / (counts.sum(axis=0) + counts.sum(axis=1)),
        }


def expected_calibration_error(probabilities: Probabilities, truth: Truth, bins: int = 15) -> float:
    """Return the ECE: mean |accuracy - confidence| over equal-width confidence bins.

    Weighted by the bins' sizes; Naeini et al. 2015, with the 15 bins of Guo et al. 2017.
    """
    counts, confidence, hits = reliability(probabilities, truth, bins)
    return float(np.abs(counts * (hits - confidence)).sum() / len(truth))


def reliability(
    probabilities: Probabilities, truth: Truth, bins: int = 15
) -> tuple[NDArray[np.int64], NDArray[np.float64], NDArray[np.float64]]:
    """Return counts, mean confidence and accuracy [bins] of equal-width bins; 0 in empty ones."""
    confidence = probabilities.max(axis=1)
    hit = probabilities.argmax(axis=1) == truth
    which = np.minimum((confidence * bins).astype(int), bins - 1)
    counts = np.bincount(which, minlength=bins)
    filled = np.maximum(counts, 1)
    mean = np.bincount(which, weights=confidence, minlength=bins) / filled
    return counts, mean, np.bincount(which, weights=hit, minlength=bins) / filled


def wilson_interval(hits: int, trials: int) -> tuple[float, float]:
    """Return the 95 % score interval of a share (Wilson 1927)."""
    z = 1.96
    share, scale = hits / trials, 1 + z * z / trials
    middle = (share + z * z / (2 * trials)) / scale
    half = z * math.sqrt(share * (1 - share) / trials + z * z / (4 * trials**2)) / scale
    return round(middle - half, 4), round(middle + half, 4)


def paired_interval(before: NDArray[np.bool_], after: NDArray[np.bool_]) -> tuple[float, float]:
    """Return the 95 % interval of mean(before) - mean(after) over the same faces.

    The adjusted Wald interval of Bonett & Price 2012, "Adjusted Wald Confidence Interval for a
    Difference of Binomial Proportions Based on Paired Data": one disagreement is added to either
    side. Unlike a bootstrap, it does not claim certainty where no two answers differ.

    Args:
        before: bool[N], whether each face was answered rightly.
        after: The same for the other model.
    """
    faces = len(before) + 2
    lost = (int((before & ~after).sum()) + 1) / faces
    won = (int((~before & after).sum()) + 1) / faces
    half = 1.96 * math.sqrt((lost + won - (lost - won) ** 2) / faces)
    return lost - won - half, lost - won + half


def mcnemar(before: NDArray[np.bool_], after: NDArray[np.bool_]) -> float:
    """Return the two-sided exact p-value of McNemar's test (1947) for paired right answers."""
    lost, won = int((before & ~after).sum()), int((~before & after).sum())
    differing = lost + won
    tail = sum(math.comb(differing, k) for k in range(min(lost, won) + 1))
    return float(min(1.0, 2 * tail / 2**differing))


def mean_divergence(reference: Probabilities, answers: Probabilities) -> float:
    """Return the mean Kullback-Leibler divergence KL(reference || answers) in nats.

    Probabilities are floored at 1e-6: below what any of the numbers means.
    """
    p, q = np.maximum(reference, 1e-6), np.maximum(answers, 1e-6)
    return float((p * np.log(p / q)).sum(axis=1).mean())


def summary(probabilities: Probabilities, truth: Truth, labels: tuple[str, ...]) -> dict[str, Any]:
    """Return the JSON-ready scores of one evaluation; an absent class scores None."""
    counts = confusion(probabilities, truth)
    scores = per_class(counts)

    def by_label(values: NDArray[np.float64]) -> dict[str, float | None]:
        return {
            label: None if np.isnan(value) else round(float(value), 4)
            for label, value in zip(labels, values, strict=True)
        }

    present = counts.sum(axis=1) > 0
    explained = r2(probabilities, truth)
    # Whoever never answers a class is never right about it.
    precision = np.where(counts.sum(axis=0) > 0, scores["precision"], 0.0)
    return {
        "images": len(truth),
        "top1": round(top1(probabilities, truth), 4),
        "top1_interval": wilson_interval(int(np.diag(counts).sum()), len(truth)),
        "top2": round(top_k(probabilities, truth, 2), 4),
        "macro_precision": round(float(precision[present].mean()), 4),
        "macro_recall": round(float(scores["recall"][present].mean()), 4),
        "macro_f1": round(float(scores["f1"][present].mean()), 4),
        "r2": None if math.isnan(explained) else round(explained, 4),
        "ece": round(expected_calibration_error(probabilities, truth), 4),
        "recall": by_label(scores["recall"]),
        "precision": by_label(scores["precision"]),
        "f1": by_label(scores["f1"]),
        "confusion": counts.tolist(),
    }
