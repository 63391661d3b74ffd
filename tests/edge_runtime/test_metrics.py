"""Scores against values computed by hand."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from emo_edge.metrics import (
    confusion,
    expected_calibration_error,
    mcnemar,
    mean_divergence,
    paired_interval,
    per_class,
    r2,
    reliability,
    summary,
    top1,
    top_k,
    wilson_interval,
)

#                                            says 0: right   0: wrong    1: right    0: right
PROBABILITIES = np.array([[0.8, 0.2], [0.6, 0.4], [0.3, 0.7], [0.9, 0.1]], np.float32)
TRUTH = np.array([0, 1, 1, 0])


def test_rows_of_the_confusion_matrix_are_the_truth() -> None:
    assert confusion(PROBABILITIES, TRUTH).tolist() == [[2, 0], [1, 1]]


def test_top1_is_the_share_of_right_answers() -> None:
    assert top1(PROBABILITIES, TRUTH) == 0.75


def test_top2_counts_the_second_answer_too() -> None:
    answers = np.array([[0.5, 0.3, 0.2], [0.5, 0.3, 0.2], [0.5, 0.3, 0.2]], np.float32)
    assert top_k(answers, np.array([0, 1, 2]), 2) == pytest.approx(2 / 3)


def test_r2_compares_with_answering_the_shares() -> None:
    # Either column: errors 0.04 + 0.16 + 0.09 + 0.01 wherever right, 0.36 for the wrong one;
    # deviations of (1, 0, 0, 1) from its mean: 4 x 0.25.
    assert r2(PROBABILITIES, TRUTH) == pytest.approx(1 - (0.04 + 0.36 + 0.09 + 0.01))
    assert r2(np.full((4, 2), 0.5), TRUTH) == pytest.approx(0)
    assert r2(np.eye(2)[TRUTH], TRUTH) == 1


def test_r2_is_over_the_classes_that_are_there() -> None:
    assert r2(np.eye(3)[[0, 1]], np.array([0, 1])) == 1
    assert np.isnan(r2(np.eye(2)[[0, 0]], np.array([0, 0])))


def test_reliability_gives_what_lies_in_each_bin() -> None:
    counts, confidence, hits = reliability(PROBABILITIES, TRUTH, bins=2)
    assert counts.tolist() == [0, 4]
    np.testing.assert_allclose(confidence, [0, 0.75])
    np.testing.assert_allclose(hits, [0, 0.75])


def test_precision_recall_and_f1_are_those_of_the_textbook() -> None:
    scores = per_class(np.array([[2, 0], [1, 1]]))
    np.testing.assert_allclose(scores["precision"], [2 / 3, 1])
    np.testing.assert_allclose(scores["recall"], [1, 1 / 2])
    np.testing.assert_allclose(scores["f1"], [4 / 5, 2 / 3])


def test_a_class_that_does_not_occur_has_no_recall_instead_of_zero() -> None:
    assert np.isnan(per_class(np.array([[3, 0], [0, 0]]))["recall"][1])


def test_ece_with_a_bin_for_each_answer() -> None:
    # |1 - 0.8| + |0 - 0.6| + |1 - 0.7| + |1 - 0.9| over 4 answers
    assert expected_calibration_error(PROBABILITIES, TRUTH) == pytest.approx(1.2 / 4)


def test_ece_within_a_bin_compares_the_means() -> None:
    two = np.array([[0.81, 0.19], [0.82, 0.18]], np.float32)  # both in [12/15, 13/15)
    assert expected_calibration_error(two, np.array([0, 1])) == pytest.approx((1.63 - 1) / 2)


def test_ece_of_certain_and_right_answers_is_zero() -> None:
    assert expected_calibration_error(np.eye(3, dtype=np.float32), np.arange(3)) == 0


@pytest.mark.parametrize(
    ("hits", "trials", "expected"),
    [
        (50, 100, (0.4038, 0.5962)),
        (0, 10, (0.0, 0.2775)),
        (10, 10, (0.7225, 1.0)),
        (81, 263, (0.2553, 0.3662)),
    ],
)
def test_wilson_interval(hits: int, trials: int, expected: tuple[float, float]) -> None:
    assert wilson_interval(hits, trials) == pytest.approx(expected, abs=1e-4)


@given(st.integers(1, 5000).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))))
def test_the_interval_holds_the_share_and_stays_a_share(counts: tuple[int, int]) -> None:
    low, high = wilson_interval(*counts)
    assert 0 <= low <= counts[0] / counts[1] + 1e-4
    assert counts[0] / counts[1] - 1e-4 <= high <= 1


def test_the_summary_is_json_and_knows_an_absent_class() -> None:
    three = np.column_stack([PROBABILITIES, np.zeros(4)]).astype(np.float32)
    scores = json.loads(
        json.dumps(summary(three, TRUTH, ("calm", "happy", "sad")), allow_nan=False)
    )
    assert scores["images"] == 4
    assert scores["top1"] == 0.75
    assert scores["recall"] == {"calm": 1.0, "happy": 0.5, "sad": None}
    assert scores["precision"] == {"calm": 0.6667, "happy": 1.0, "sad": None}
    assert scores["macro_recall"] == 0.75
    assert scores["macro_f1"] == pytest.approx((0.8 + 2 / 3) / 2, abs=1e-4)
    assert scores["ece"] == 0.3
    assert scores["confusion"] == [[2, 0, 0], [1, 1, 0], [0, 0, 0]]
    assert scores["top1_interval"] == pytest.approx([0.3006, 0.9544], abs=1e-4)


def right(*, both: int, before: int, after: int, neither: int) -> tuple[np.ndarray, np.ndarray]:
    """Return which faces two models answer rightly."""
    pairs = [(1, 1)] * both + [(1, 0)] * before + [(0, 1)] * after + [(0, 0)] * neither
    first, second = np.array(pairs, bool).T
    return first, second


def test_mcnemar_is_the_exact_binomial_test_of_the_disagreements() -> None:
    # 2 x (1 + 10 + 45) / 2^10: at most 2 of 10 by a fair coin, from either side
    p = mcnemar(*right(both=50, before=8, after=2, neither=7))
    assert p == pytest.approx(2 * 56 / 1024)
    assert mcnemar(*right(both=5, before=0, after=0, neither=5)) == 1.0
    assert mcnemar(*right(both=0, before=3, after=3, neither=0)) == 1.0


def test_the_paired_interval_surrounds_the_difference_like_the_normal_one() -> None:
    low, high = paired_interval(*right(both=700, before=60, after=40, neither=200))
    # difference 0.02, variance (0.1 - 0.02^2) / 1000
    spread = 1.96 * ((0.1 - 0.0004) / 1000) ** 0.5
    assert (low, high) == pytest.approx((0.02 - spread, 0.02 + spread), abs=2e-3)


def test_models_that_answer_alike_on_few_faces_may_still_differ() -> None:
    low, high = paired_interval(*right(both=9, before=0, after=0, neither=3))
    # One disagreement added to either side: variance (1/14 + 1/14) / 14
    assert (low, high) == pytest.approx((-1.96 * (2 / 14 / 14) ** 0.5, 1.96 * (2 / 14 / 14) ** 0.5))


def test_the_divergence_is_that_of_kullback_and_leibler() -> None:
    p, q = np.array([[0.5, 0.5]], np.float32), np.array([[0.25, 0.75]], np.float32)
    expected = 0.5 * np.log(0.5 / 0.25) + 0.5 * np.log(0.5 / 0.75)
    assert mean_divergence(p, q) == pytest.approx(expected)
    assert mean_divergence(q, q) == 0
    assert np.isfinite(
        mean_divergence(np.eye(2, dtype=np.float32), np.eye(2, dtype=np.float32)[::-1])
    )
