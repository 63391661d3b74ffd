"""The loop, with sockets of our own plugged in."""

from __future__ import annotations

import copy
import dataclasses
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Literal

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_runtime.drawn import INT8, scene
from emo_edge import Classifier, Frame, ModelSpec, Reading, readings
from emo_edge.contract import Box, Image, Probabilities
from emo_edge.detectors import make_detector
from emo_edge.detectors.following import SEARCH_SECONDS, Following
from emo_edge.pipeline import Classify
from emo_edge.sources import Source, open_source
from emo_edge.tracking import Smoothing, iou

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


def test_what_a_user_keeps_of_a_video_stays_as_it_was_given(video: Path) -> None:
    classifier, kept = Classifier(INT8), []
    with open_source(str(video)) as film:
        for frame, found in readings(film, make_detector("haar"), classifier, classifier.spec):
            kept.append((frame, frame.image.copy(), found, copy.deepcopy(found)))
    assert len(kept) > 10 and any(found for _, _, found, _ in kept)
    for frame, image, found, as_given in kept:
        np.testing.assert_array_equal(frame.image, image)
        assert found == as_given


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


# Following: detection at a fraction of its cost ------------------------------------------------


FACE_PIXELS = 20


class Counting:
    """A detector of white squares on black, which counts the pixels that it is shown."""

    def __init__(self) -> None:
        self.shown: list[int] = []
        self.blind = False

    def __call__(self, image: Image) -> list[Box]:
        self.shown.append(image.shape[0] * image.shape[1])
        if self.blind:
            return []
        _, _, stats, _ = cv2.connectedComponentsWithStats((image[:, :, 0] > 127).astype(np.uint8))
        return [Box(*map(float, row[:4])) for row in stats[1:]]


def black(*corners: tuple[int, int]) -> Image:
    image = np.zeros((240, 320, 3), np.uint8)
    for x, y in corners:
        image[y : y + FACE_PIXELS, x : x + FACE_PIXELS] = 255
    return image


def whole_searches(detector: Counting) -> int:
    return sum(pixels == 240 * 320 for pixels in detector.shown)


@given(
    x=st.integers(0, 300),
    y=st.integers(0, 220),
    steps=st.lists(st.tuples(st.integers(-5, 5), st.integers(-5, 5)), max_size=20),
)
def test_a_moving_face_is_found_in_every_frame_with_a_single_whole_search(
    x: int, y: int, steps: list[tuple[int, int]]
) -> None:
    detector = Counting()
    follow = Following(detector)
    for number, (dx, dy) in enumerate([(0, 0), *steps]):
        x, y = min(300, max(0, x + dx)), min(220, max(0, y + dy))
        (found,) = follow(black((x, y)), number / 16, stretch=4.0)
        assert iou(found, Box(x, y, FACE_PIXELS, FACE_PIXELS)) > 0.8
    assert whole_searches(detector) == 1


def test_of_many_frames_a_second_some_go_by_without_a_look_but_never_right_after_a_search() -> None:
    detector = Counting()
    follow = Following(detector)
    looks = []
    for number in range(9):
        before = len(detector.shown)
        (found,) = follow(black((100 + number, 100)), number / 32)
        looks.append(len(detector.shown) > before)
        assert iou(found, Box(100 + number, 100, FACE_PIXELS, FACE_PIXELS)) > 0.8
    assert looks == [True, True, False, True, False, True, False, True, False]
    detector.blind = True
    assert follow(black((110, 100)), 9 / 32) == []  # at the next look


def test_what_a_search_alone_sees_is_not_taken_to_be_there_still() -> None:
    detector = Counting()
    follow = Following(detector)
    follow(black((100, 100)), 0.0)
    assert follow(black(), 1 / 100) == []


def test_the_whole_picture_is_searched_at_an_interval_of_the_sources_clock() -> None:
    detector = Counting()
    follow = Following(detector)
    for number in range(30):
        follow(black((100, 100)), 7.0 + number / 10)
    assert whole_searches(detector) == 3.0 / SEARCH_SECONDS
    before = len(detector.shown)
    follow(black((100, 100)), 1.0)  # a clock that went back
    assert detector.shown[before:] == [240 * 320]


def test_a_second_face_is_found_at_the_next_whole_search() -> None:
    follow = Following(Counting())
    seen = [len(follow(black((50, 50)), 0.0))]
    seen += [len(follow(black((50, 50), (200, 100)), t / 10)) for t in range(1, 7)]
    assert seen == [1, 1, 1, 1, 1, 2, 2]


def test_a_face_that_jumps_is_searched_everywhere_at_once() -> None:
    follow = Following(Counting())
    follow(black((50, 50)), 0.0)
    (found,) = follow(black((250, 150)), 0.1)
    assert found[:2] == (250, 150)


def test_a_face_that_a_detector_misses_once_is_there_again_without_a_whole_search() -> None:
    detector = Counting()
    follow = Following(detector)
    follow(black((50, 50)), 0.0)
    detector.blind = True
    assert list(follow(black((50, 50)), 0.1)) == []
    assert list(follow(black((50, 50)), 0.2)) == []
    detector.blind = False
    assert whole_searches(detector) == 2  # the first, and the one when it was lost
    (found,) = follow(black((50, 50)), 0.3)
    assert iou(found, Box(50, 50, 20, 20)) > 0.9
    assert whole_searches(detector) == 2


def test_neighbours_whose_patches_overlap_stay_two_until_one_leaves() -> None:
    follow = Following(Counting())
    pair = black((100, 100), (124, 100))
    assert [len(follow(pair, t / 10)) for t in range(5)] == [2] * 5
    assert [len(follow(black((100, 100)), 0.6 + t / 10)) for t in range(3)] == [1] * 3


def test_a_detector_that_takes_the_whole_picture_is_left_to_it() -> None:
    follow = Following(make_detector("none"))
    assert [follow(black(), t / 10) for t in range(8)] == [[Box(0, 0, 320, 240)]] * 8


SIZES = st.integers(1, 300)
FLOATS = st.floats(-400, 700, allow_nan=False)


@given(
    images=st.lists(st.tuples(SIZES, SIZES), min_size=2, max_size=5),
    boxes=st.lists(
        st.builds(Box, FLOATS, FLOATS, st.floats(0, 900), st.floats(0, 900)), max_size=4
    ),
)
def test_wild_boxes_and_changing_frames_do_not_end_the_loop(
    images: list[tuple[int, int]], boxes: list[Box]
) -> None:
    follow = Following(lambda _: boxes)
    for number, (height, width) in enumerate(images):
        found = follow(np.zeros((height, width, 3), np.uint8), number / 10)
        assert len(found) <= max(1, 2 * len(boxes))


def test_frames_of_a_video_are_followed_and_pictures_are_searched_whole() -> None:
    images = [black((100, 100))] * 4
    for kind, whole in (("video", 1), ("stills", 4)):
        detector = Counting()
        list(readings(source(kind, images), detector, always(1, 0), SPEC))  # type: ignore[arg-type]
        assert whole_searches(detector) == whole


def test_following_yunet_finds_what_searching_finds(yunet_cache: Path) -> None:
    picture, drawn = scene("happy", "surprised", "neutral")
    follow = Following(make_detector("yunet"))
    for shift in range(4):
        found = sorted(follow(np.roll(picture, 4 * shift, axis=1), shift / 10))
        assert len(found) == len(drawn)
        for face, box in zip(found, drawn, strict=True):
            assert iou(face, box._replace(x=box.x + 4 * shift)) > 0.6
