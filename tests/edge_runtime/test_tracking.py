"""Tracks and smoothing: numbers stay with their faces, labels do not flicker."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from emo_edge.contract import Box
from emo_edge.tracking import (
    STILL,
    Smoothing,
    Tracker,
    iou,
    match_boxes,
    next_label,
    smoothing_weight,
)

A, B = np.array([0.9, 0.1], np.float32), np.array([0.2, 0.8], np.float32)
FACE = Box(100, 100, 80, 80)
AT_ONCE = Smoothing(confirmations=1)
COORDINATE = st.floats(-1000, 1000)
SIDE = st.floats(1, 500)
BOXES = st.builds(Box, COORDINATE, COORDINATE, SIDE, SIDE)


def at(column: int, dx: float = 0.0, dy: float = 0.0) -> Box:
    """Return a face of 100 px in one of several columns, 400 px apart."""
    return Box(400.0 * column + dx, 50.0 + dy, 100, 100)


@st.composite
def distributions(draw: st.DrawFn, labels: int = 4) -> NDArray[np.float32]:
    shares = np.array(draw(st.lists(st.floats(0.001, 1), min_size=labels, max_size=labels)))
    return np.asarray(shares / shares.sum(), np.float32)


JITTER = st.floats(-15, 15)
# Which of three people are seen in a frame, in the order in which the detector names them.
SEEN = st.lists(st.sampled_from([0, 1, 2]), unique=True, max_size=3)
FILM = st.lists(st.tuples(SEEN, JITTER, JITTER, st.floats(0.01, 0.6)), min_size=1, max_size=40)


@given(FILM)
def test_faces_far_apart_never_swap_numbers(
    film: list[tuple[list[int], float, float, float]],
) -> None:
    tracker, now, owners = Tracker(AT_ONCE), 0.0, dict[int, int]()
    for people, dx, dy, elapsed in film:
        now += elapsed
        boxes = [at(person, dx, dy) for person in people]
        tracks = tracker.update(boxes, [A] * len(boxes), now)
        assert len({track.number for track in tracks}) == len(people)
        for track in tracks:
            person = round((track.box.x - dx) / 400)
            assert owners.setdefault(track.number, person) == person


@given(FILM, st.data())
def test_smoothed_probabilities_stay_probabilities(
    film: list[tuple[list[int], float, float, float]], data: st.DataObject
) -> None:
    tracker, now = Tracker(AT_ONCE), 0.0
    for people, dx, dy, elapsed in film[:12]:
        now += elapsed
        answers = [data.draw(distributions()) for _ in people]
        for track in tracker.update([at(p, dx, dy) for p in people], answers, now):
            assert track.probabilities.sum() == pytest.approx(1, abs=1e-4)
            assert (track.probabilities >= 0).all()


@given(st.lists(BOXES, max_size=6), st.lists(BOXES, max_size=6))
def test_any_boxes_get_one_track_each(first: list[Box], second: list[Box]) -> None:
    tracker = Tracker(AT_ONCE)
    for now, boxes in enumerate((first, second, first)):
        tracks = tracker.update(boxes, [A] * len(boxes), 0.1 * now)
        numbers = [track.number for track in tracks]
        assert numbers == sorted(set(numbers))
        assert sorted(track.box for track in tracks) == sorted(boxes)


@given(
    moments=st.lists(st.floats(0.001, 0.999), max_size=40, unique=True),
    start=distributions(),
    goal=distributions(),
)
def test_smoothing_depends_on_time_and_not_on_the_number_of_frames(
    moments: list[float], start: NDArray[np.float32], goal: NDArray[np.float32]
) -> None:
    tracker = Tracker(Smoothing(seconds=0.4, confirmations=1))
    tracker.update([FACE], [start], 0.0)
    for moment in sorted(moments):
        tracker.update([FACE], [goal], moment)
    (track,) = tracker.update([FACE], [goal], 1.0)
    expected = goal + math.exp(-1.0 / 0.4) * (start - goal)
    np.testing.assert_allclose(track.probabilities, expected, atol=1e-5)


def test_without_smoothing_each_answer_stands_for_itself() -> None:
    tracker = Tracker(STILL)
    for now, answer in enumerate((A, B, A)):
        (track,) = tracker.update([FACE], [answer], now / 10)
        np.testing.assert_allclose(track.probabilities, answer, atol=1e-6)


@pytest.mark.parametrize(
    ("elapsed", "constant", "weight"),
    [(0.4, 0.4, 1 - 1 / math.e), (0.0, 0.4, 0.0), (-1.0, 0.4, 0.0), (0.1, 0.0, 1.0), (99, 0.4, 1)],
)
def test_the_weight_of_a_new_answer(elapsed: float, constant: float, weight: float) -> None:
    assert smoothing_weight(elapsed, constant) == pytest.approx(weight)


def test_a_face_is_reported_from_its_second_detection_on() -> None:
    tracker = Tracker(Smoothing(confirmations=2))
    assert tracker.update([FACE], [A], 0.0) == []
    assert [track.number for track in tracker.update([FACE], [A], 0.1)] == [1]


def test_a_false_alarm_is_never_reported() -> None:
    tracker = Tracker(Smoothing(confirmations=2))
    for frame in range(6):  # each time elsewhere
        assert tracker.update([at(frame)], [A], frame / 10) == []


@pytest.mark.parametrize(("absence", "number"), [(0.9, 1), (1.1, 2)])
def test_a_face_that_was_away_too_long_is_a_new_one(absence: float, number: int) -> None:
    tracker = Tracker(Smoothing(forget_seconds=1.0, confirmations=1))
    tracker.update([FACE], [A], 0.0)
    (track,) = tracker.update([FACE], [A], absence)
    assert track.number == number


def test_a_number_is_never_given_twice() -> None:
    tracker = Tracker(AT_ONCE)
    numbers = []
    for visit in range(4):
        numbers.append(tracker.update([FACE], [A], 5.0 * visit)[0].number)
        for pause in range(1, 5):
            tracker.update([], [], 5.0 * visit + pause)
    assert numbers == [1, 2, 3, 4]


@pytest.mark.parametrize("interval", [1.5, 10.0])
def test_frames_that_are_far_apart_are_followed_all_the_same(interval: float) -> None:
    tracker = Tracker(Smoothing())
    seen = [tracker.update([FACE], [A], interval * frame) for frame in range(6)]
    assert [[track.number for track in tracks] for tracks in seen][-4:] == [[2]] * 4


def test_after_a_gap_among_frequent_frames_faces_are_new() -> None:
    tracker = Tracker(AT_ONCE)
    times = [0.0, 0.1, 0.2, 5.0, 5.1, 5.2]
    assert [tracker.update([FACE], [A], now)[0].number for now in times] == [1, 1, 1, 2, 2, 2]


@pytest.mark.parametrize(
    ("label", "probabilities", "shown"),
    [
        (0, [0.45, 0.50, 0.05], 0),  # does not lead by enough
        (0, [0.35, 0.60, 0.05], 1),
        (1, [0.50, 0.45, 0.05], 1),
        (2, [0.45, 0.50, 0.05], 1),
        (1, [0.10, 0.80, 0.10], 1),
    ],
)
def test_a_label_stays_until_another_leads_clearly(
    label: int, probabilities: list[float], shown: int
) -> None:
    assert next_label(label, np.array(probabilities, np.float32), 0.1) == shown


def test_a_label_between_two_equals_does_not_flicker() -> None:
    tracker, shown = Tracker(Smoothing(seconds=0.0, confirmations=1)), []
    for frame in range(20):
        answer = np.array([0.5, 0.5], np.float32) + (0.03 if frame % 2 else -0.03) * np.array(
            [1, -1]
        )
        (track,) = tracker.update([FACE], [answer.astype(np.float32)], frame / 10)
        shown.append(track.label)
    assert len(set(shown)) == 1


def test_uncertainty_does_not_flicker_at_the_threshold() -> None:
    tracker = Tracker(Smoothing(seconds=0.0, hysteresis=0.1, confirmations=1), threshold=0.6)
    certain = []
    for frame, p in enumerate((0.58, 0.62, 0.58, 0.52, 0.49, 0.58, 0.61)):
        (track,) = tracker.update([FACE], [np.array([p, 1 - p], np.float32)], frame / 10)
        certain.append(track.certain)
    # 0.49: the other label leads with 0.51, but by less than the hysteresis
    assert certain == [False, True, True, True, False, False, True]


def test_each_new_box_goes_to_the_old_one_it_overlaps_most() -> None:
    old = [Box(0, 0, 100, 100), Box(60, 0, 100, 100)]
    new = [Box(55, 0, 100, 100), Box(10, 0, 100, 100), Box(900, 0, 100, 100)]
    assert match_boxes(old, new, 0.3) == {0: 1, 1: 0}


def test_boxes_that_hardly_overlap_are_different_faces() -> None:
    assert match_boxes([Box(0, 0, 100, 100)], [Box(60, 0, 100, 100)], 0.3) == {}


@pytest.mark.parametrize(
    ("a", "b", "expected"),
    [
        (Box(0, 0, 10, 10), Box(0, 0, 10, 10), 1.0),
        (Box(0, 0, 10, 10), Box(5, 0, 10, 10), 50 / 150),
        (Box(0, 0, 10, 10), Box(5, 5, 10, 10), 25 / 175),
        (Box(0, 0, 10, 10), Box(2, 2, 5, 5), 25 / 100),
        (Box(0, 0, 10, 10), Box(10, 0, 10, 10), 0.0),
        (Box(0, 0, 10, 10), Box(50, 50, 10, 10), 0.0),
        (Box(0, 0, 1e-158, 1e-182), Box(0, 0, 1e-160, 1e-183), 0.0),  # no area in a float
    ],
)
def test_intersection_over_union(a: Box, b: Box, expected: float) -> None:
    assert iou(a, b) == pytest.approx(expected)
    assert iou(b, a) == pytest.approx(expected)


@given(BOXES, BOXES)
def test_overlap_is_a_share_and_the_same_both_ways(a: Box, b: Box) -> None:
    assert 0 <= iou(a, b) <= 1 + 1e-9
    assert iou(a, b) == pytest.approx(iou(b, a))
    assert iou(a, a) == pytest.approx(1)
