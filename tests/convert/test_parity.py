from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from emo_convert.parity import Gate, Parity, compare, unjudged
from emo_edge.score import Scored

LABELS = ("happy", "sad")
LENIENT = Gate(max_drop=100, max_class_drop=100, min_agreement=0)

# Confidences in "happy" of ten faces, the first five of which are happy: Keras is right 9 times.
KERAS = [0.9, 0.9, 0.8, 0.7, 0.6, 0.1, 0.2, 0.3, 0.4, 0.6]
TRUTH = [0, 0, 0, 0, 0, 1, 1, 1, 1, 1]
# Two other answers: a happy face is lost, a sad one is won.
EXPORT = [0.9, 0.9, 0.8, 0.7, 0.4, 0.1, 0.2, 0.3, 0.4, 0.3]


def two(happy: list[float]) -> NDArray[np.float32]:
    return np.stack([happy, 1 - np.array(happy)], axis=1).astype(np.float32)


def compared(
    export: list[float],
    gate: Gate = LENIENT,
    *,
    keras: list[float] = KERAS,
    truth: list[int] | None = TRUTH,
) -> Parity:
    return compare(
        two(keras),
        Scored(two(export), "some runtime 1.0", 0.5, 0),
        None if truth is None else np.array(truth),
        labels=LABELS,
        origin="test split",
        gate=gate,
    )


def test_the_numbers_are_those_worked_out_by_hand() -> None:
    parity = compared(EXPORT)
    assert (parity.images, parity.origin) == (10, "test split")
    assert parity.runtime == "some runtime 1.0"
    assert parity.agreement == 0.8
    assert parity.mean_difference == pytest.approx((0.2 + 0.3) / 10, abs=1e-5)
    assert parity.max_difference == pytest.approx(0.3, abs=1e-5)
    assert parity.accuracy is not None
    assert (parity.accuracy.keras_top1, parity.accuracy.export_top1) == (0.9, 0.9)
    assert parity.accuracy.drop == 0
    assert not parity.failures


def test_a_drop_is_counted_in_points_and_may_be_a_gain() -> None:
    worse = compared([0.4, *KERAS[1:]])
    better = compared([*KERAS[:9], 0.4])
    assert worse.accuracy is not None
    assert better.accuracy is not None
    assert (worse.accuracy.drop, better.accuracy.drop) == (10, -10)


def test_equal_answers_differ_by_nothing() -> None:
    parity = compared(KERAS, Gate(max_drop=0, max_class_drop=0, min_agreement=1))
    assert (parity.agreement, parity.mean_difference, parity.divergence) == (1, 0, 0)
    assert not parity.failures


@pytest.mark.parametrize(
    ("gate", "failures"),
    [
        ({"max_drop": 10}, []),  # the limit itself is allowed
        ({"max_drop": 9.9}, ["top-1 drops 10.00 points"]),
        ({"min_agreement": 0.9}, []),
        ({"min_agreement": 0.91}, ["top-1 agreement 90.00% (at least 91%)"]),
        ({"max_drop": 0, "min_agreement": 1}, ["agreement", "drops"]),
    ],
    ids=str,
)
def test_the_gate_objects_to_what_exceeds_its_limits(
    gate: dict[str, Any], failures: list[str]
) -> None:
    limits = Gate(**({"max_drop": 100, "max_class_drop": 100, "min_agreement": 0} | gate))
    found = compared([0.4, *KERAS[1:]], limits).failures
    assert len(found) == len(failures)
    for failure, word in zip(found, failures, strict=True):
        assert word in failure


@pytest.mark.parametrize(("faces", "judged"), [(49, False), (50, True)])
def test_the_recall_of_a_class_is_judged_where_it_has_fifty_faces(faces: int, judged: bool) -> None:
    keras = faces * [0.9] + 60 * [0.1]
    export = [0.4, 0.4, 0.4, *keras[3:]]
    truth = faces * [0] + 60 * [1]
    gate = Gate(max_drop=100, max_class_drop=5, min_agreement=0)
    parity = compared(export, gate, keras=keras, truth=truth)
    assert parity.accuracy is not None
    assert parity.accuracy.worst_class == ("happy" if judged else "sad")
    assert bool(parity.failures) == judged


def test_unlabelled_faces_are_judged_by_agreement_alone() -> None:
    parity = compared(EXPORT, Gate(min_agreement=0.9), truth=None)
    assert parity.accuracy is None
    assert len(parity.failures) == 1
    assert "agreement 80.00%" in parity.failures[0]


def test_what_exceeds_a_limit_by_a_hair_fails_and_never_reads_as_the_limit() -> None:
    # 36 of 3,589 faces: 1.0031 points. 181 of 3,619: an agreement of 94.9986 %.
    drops = compared(36 * [0.1] + 3553 * [0.9], Gate(), keras=3589 * [0.9], truth=3589 * [0])
    assert [failure.split(" (")[0] for failure in drops.failures] == ["top-1 drops 1.01 points"]
    assert drops.to_json()["accuracy"]["drop"] == 1.0
    differs = compared(181 * [0.1] + 3438 * [0.9], Gate(), keras=3619 * [0.9], truth=None)
    assert differs.failures == ("top-1 agreement 94.99% (at least 95%)",)
    lost = compared(
        38 * [0.1] + 719 * [0.9] + 9000 * [0.1], Gate(), keras=757 * [0.9] + 9000 * [0.1],
        truth=757 * [0] + 9000 * [1],
    )  # fmt: skip
    assert lost.failures == ("recall of happy drops 5.02 points (allowed 5)",)


def test_a_drop_of_exactly_the_limit_passes_whatever_float_makes_of_it() -> None:
    before, after = 8 * [0.9] + 2 * [0.1], 7 * [0.9] + 3 * [0.1]
    assert 100 * (0.8 - 0.7) > 10
    gate = Gate(max_drop=10, max_class_drop=100, min_agreement=0)
    assert not compared(after, gate, keras=before, truth=10 * [0]).failures


def test_the_classes_that_are_too_small_to_be_judged_are_counted() -> None:
    assert unjudged(np.array(49 * [0] + 50 * [1]), 3) == 2


@pytest.mark.parametrize("broken", [float("nan"), float("inf")])
@pytest.mark.parametrize("whose", ["keras", "export"])
def test_answers_that_are_not_numbers_fail_every_gate(broken: float, whose: str) -> None:
    spoiled = [broken, *KERAS[1:]]
    parity = compared(spoiled) if whose == "export" else compared(KERAS, keras=spoiled)
    assert any("not numbers" in failure for failure in parity.failures)
    assert json.dumps(parity.to_json(), allow_nan=False)
