from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from emo_train.calibrate import at_bound, fit_temperature, uncertain_below


def softmax(logits: NDArray[np.float32]) -> NDArray[np.float32]:
    powers = np.exp(logits - logits.max(axis=1, keepdims=True))
    return np.asarray(powers / powers.sum(axis=1, keepdims=True), np.float32)


@given(temperature=st.floats(0.1, 15), classes=st.integers(2, 8))
def test_the_temperature_that_made_the_targets_is_found(temperature: float, classes: int) -> None:
    logits = np.random.default_rng(0).normal(0, 3, (500, classes)).astype(np.float32)
    targets = softmax(logits / np.float32(temperature))
    assert fit_temperature(logits, targets) == pytest.approx(temperature, rel=0.01)


def test_evidence_against_every_answer_flattens_them_as_far_as_allowed() -> None:
    logits = np.array([[4.0, 0.0], [0.0, 4.0]], np.float32)
    always_wrong = np.array([[0.0, 1.0], [1.0, 0.0]], np.float32)
    assert fit_temperature(logits, always_wrong) == pytest.approx(20, rel=0.01)


@pytest.mark.parametrize(("classes", "confidence"), [(2, 0.625), (5, 0.4), (7, 0.357)])
def test_a_reading_is_uncertain_below_a_quarter_of_the_way_to_certainty(
    classes: int, confidence: float
) -> None:
    assert uncertain_below(classes) == confidence


def test_a_fit_that_ends_at_its_bound_is_known() -> None:
    hot = np.eye(3, dtype=np.float32)
    timid = hot / 10  # always right, never sure: no temperature is low enough
    assert at_bound(fit_temperature(timid, hot))
    assert at_bound(fit_temperature(timid, np.roll(hot, 1, axis=1)))
    assert not at_bound(1.0)
