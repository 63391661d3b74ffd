"""The loop, with sockets of our own plugged in."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from typing import Literal

import numpy as np
import pytest

from edge_runtime.drawn import INT8, scene
from emo_edge import Classifier, Frame, ModelSpec, Reading, readings
from emo_edge.contract import Box, Image, Probabilities
from emo_edge.detectors import make_detector
from emo_edge.pipeline import Classify
from emo_edge.sources import Source
from emo_edge.tracking import Smoothing

SPEC = ModelSpec(labels=("calm", "happy"), height=48, width=48, threshold=0.6)
FACE = Box(10, 10, 40, 40)
BLANK = np.zeros((80, 80, 3), np.uint8)


def source(
    kind: Literal["live", "video", "stills"], images: Sequence[Image], fps: float = 10.0
) -> Source:
    def frames() -> Iterator[Frame]:
        for index, image in enumerate(images):
            yield Frame(image, index, index / fps, 1000.0 + index, "test")

    return Source("test", kind, fps, frames())


def one_face(image: Image) -> list[Box]:
    return [FACE]


def always(*shares: float) -> Classify:
    return lambda *_: answering(*shares)


def answering(*shares: float) -> Probabilities:
    return np.array(shares, np.float32)


def test_every_frame_is_yielded_also_without_a_face() -> None:
    film = source("video", [BLANK] * 5)
    read = list(readings(film, lambda _: [], always(1, 0), SPEC))
    assert [(frame.index, found) for frame, found in read] == [(i, []) for i in range(5)]


def test_a_reading_holds_what_the_classifier_said_of_the_detectors_box() -> None:
    film = source("stills", [BLANK])
    ((_, (reading,)),) = readings(film, one_face, always(0.3, 0.7), SPEC)
    assert (reading.track, reading.box, reading.label) == (1, FACE, "happy")
    assert reading.confidence == pytest.approx(0.7)
    assert reading.probabilities == pytest.approx({"calm": 0.3, "happy": 0.7})
    assert reading.captured_at == 0.0


def test_an_answer_below_the_threshold_is_uncertain_but_keeps_its_numbers() -> None:
    film = source("stills", [BLANK])
    ((_, (reading,)),) = readings(film, one_face, always(0.55, 0.45), SPEC)
    assert reading.label == "uncertain"
    assert reading.confidence == pytest.approx(0.55)
    assert set(reading.probabilities) == {"calm", "happy"}


def test_pictures_of_a_folder_do_not_influence_each_other() -> None:
    images = [np.full((80, 80, 3), value, np.uint8) for value in (0, 255, 0)]
    film = source("stills", images)

    # A lead that is too small to change the label of a face in a video.
    def by_brightness(image: Image, box: Box) -> Probabilities:
        return answering(0.53, 0.47) if image.mean() < 128 else answering(0.47, 0.53)

    sure = dataclasses.replace(SPEC, threshold=0.0)
    read = [found for _, found in readings(film, one_face, by_brightness, sure)]
    assert [[r.label for r in found] for found in read] == [["calm"], ["happy"], ["calm"]]
    assert [r.track for found in read for r in found] == [1, 1, 1]


def test_a_single_odd_frame_of_a_video_does_not_change_the_label() -> None:
    film = source("video", [BLANK] * 4 + [BLANK + 255] + [BLANK] * 4)

    def mostly_calm(image: Image, box: Box) -> Probabilities:
        return answering(0.9, 0.1) if image.mean() < 128 else answering(0.1, 0.9)

    read = [r.label for _, found in readings(film, one_face, mostly_calm, SPEC) for r in found]
    assert set(read) == {"calm"}


def test_the_smoothing_can_be_chosen() -> None:
    film = source("video", [BLANK] * 3)
    never = Smoothing(confirmations=9)
    read = readings(film, one_face, always(1, 0), SPEC, never)
    assert not any(found for _, found in read)


def test_the_age_of_a_reading_is_counted_from_the_grab_of_its_frame(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("time.monotonic", lambda: 1000.25)
    film = source("stills", [BLANK])
    ((_, (reading,)),) = readings(film, one_face, always(1, 0), SPEC)
    assert reading.ready_at - reading.captured_at == pytest.approx(0.25)


def test_three_faces_keep_their_numbers_and_expressions_with_the_real_parts() -> None:
    expressions = ("happy", "surprised", "neutral")
    picture, drawn = scene(*expressions)
    classify = Classifier(INT8)
    film = source("video", [np.roll(picture, 2 * shift, axis=1) for shift in range(5)])
    read = list(readings(film, make_detector("haar"), classify, classify.spec))
    numbers = []
    for frame, found in read[1:]:
        in_order: list[Reading] = sorted(found, key=lambda r: r.box.x)
        assert tuple(r.label for r in in_order) == expressions
        for reading, box in zip(in_order, drawn, strict=True):
            assert reading.box.x == pytest.approx(box.x + 2 * frame.index, abs=25)
        numbers.append([r.track for r in in_order])
    assert numbers == [numbers[0]] * 4
    assert sorted(numbers[0]) == [1, 2, 3]
