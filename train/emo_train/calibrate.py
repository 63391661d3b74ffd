"""Honest confidences: a temperature fitted on the split that selects, never on the one scored."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

SEARCH_STEPS = 60
BOUNDS = (1 / 20, 20.0)


def fit_temperature(logits: NDArray[np.float32], targets: NDArray[np.float32]) -> float:
    """Return the temperature that minimises the cross-entropy of softmax(logits / T).

    Guo et al. 2017, "On Calibration of Modern Neural Networks". The loss is convex in 1/T, so a
    ternary search over log T in [1/20, 20] finds it.
    """

    def loss(log_t: float) -> float:
        scaled = logits / np.exp(log_t)
        scaled = scaled - scaled.max(axis=1, keepdims=True)
        log_p = scaled - np.log(np.exp(scaled).sum(axis=1, keepdims=True))
        return float(-(targets * log_p).sum(axis=1).mean())

    low, high = np.log(BOUNDS)
    for _ in range(SEARCH_STEPS):
        third = (high - low) / 3
        if loss(low + third) < loss(high - third):
            high -= third
        else:
            low += third
    return round(float(np.exp((low + high) / 2)), 4)


def at_bound(temperature: float) -> bool:
    """Whether a fitted temperature is the end of the search, and not a minimum."""
    return not BOUNDS[0] * 1.01 < temperature < BOUNDS[1] * 0.99


def uncertain_below(classes: int) -> float:
    """Return the confidence under which a reading is shown as "uncertain".

    A quarter of the way from chance to certainty: 0.36 for 7 classes, 0.63 for 2. With calibrated
    confidences this is the share of right answers that one would accept as an answer at all.
    """
    return round(1 / classes + 0.25 * (1 - 1 / classes), 3)
