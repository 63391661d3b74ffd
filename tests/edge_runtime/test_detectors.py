"""The detector socket: faces where they were drawn, none elsewhere."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from edge_runtime.drawn import scene
from emo_edge.contract import Box
from emo_edge.detectors import DETECTORS, make_detector
from emo_edge.errors import UsageError
from emo_edge.tracking import iou


@pytest.mark.parametrize("zoom", [1, 3])
def test_haar_finds_each_drawn_face_once_at_any_resolution(zoom: int) -> None:
    picture, drawn = scene("happy", "surprised", "neutral")
    large = np.asarray(cv2.resize(picture, None, fx=zoom, fy=zoom), np.uint8)
    found = sorted(make_detector("haar")(large))
    assert len(found) == len(drawn)
    for face, box in zip(found, drawn, strict=True):
        assert iou(face, Box(*(zoom * v for v in box[:4]))) > 0.6


def test_haar_puts_the_surest_face_first() -> None:
    scores = [box.score for box in make_detector("haar")(scene("happy", "sad", "neutral")[0])]
    assert len(scores) > 1
    assert scores == sorted(scores, reverse=True)


@pytest.mark.parametrize("shape", [(240, 320, 3), (8, 8, 3), (2000, 10, 3)])
def test_haar_finds_no_face_on_a_blank_wall(shape: tuple[int, int, int]) -> None:
    assert list(make_detector("haar")(np.full(shape, 127, np.uint8))) == []


def test_none_takes_the_whole_picture_for_the_face() -> None:
    assert make_detector("none")(np.zeros((20, 30, 3), np.uint8)) == [Box(0, 0, 30, 20)]


def test_an_unknown_detector_is_refused_with_the_names_there_are() -> None:
    with pytest.raises(UsageError, match=", ".join(DETECTORS)):
        make_detector("yolo")
