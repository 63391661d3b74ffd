"""Readings drawn onto a picture."""

from __future__ import annotations

import numpy as np
import pytest

from edge_runtime.drawn import LABELS, scene
from emo_edge.annotate import annotate
from emo_edge.contract import Box
from emo_edge.pipeline import Reading


def reading(box: Box, label: str = "happy") -> Reading:
    probabilities = {name: 0.8 if name == "happy" else 0.05 for name in LABELS}
    return Reading(1, box, label, 0.8, probabilities, 0.0, 0.01)


def test_the_picture_itself_is_left_alone() -> None:
    picture, (box,) = scene("happy")
    before = picture.copy()
    drawn = annotate(picture, [reading(box)])
    np.testing.assert_array_equal(picture, before)
    assert drawn.shape == picture.shape
    assert (drawn != picture).any()


def test_without_readings_nothing_is_drawn() -> None:
    picture, _ = scene("happy")
    np.testing.assert_array_equal(annotate(picture, []), picture)


def test_another_label_gives_another_drawing() -> None:
    picture, (box,) = scene("happy")
    happy, unsure = (annotate(picture, [reading(box, label)]) for label in ("happy", "uncertain"))
    assert (happy != unsure).any()


@pytest.mark.parametrize("shape", [(16, 16, 3), (60, 400, 3), (400, 60, 3), (2000, 1500, 3)])
@pytest.mark.parametrize(
    "box", [Box(-30, -30, 50, 50), Box(0, 0, 10, 10), Box(390, 390, 80, 80), Box(-500, 5, 2000, 9)]
)
def test_a_box_at_or_beyond_the_edge_can_be_drawn(shape: tuple[int, int, int], box: Box) -> None:
    assert annotate(np.zeros(shape, np.uint8), [reading(box)]).shape == shape
