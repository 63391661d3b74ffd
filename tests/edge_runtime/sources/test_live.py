"""What becomes of a live source whose camera fails in every way that cameras fail."""

from __future__ import annotations

import itertools
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import cv2
import numpy as np
import pytest

from edge_runtime.faulty import QUICK, Faulty, Step, black, pictures, silence
from edge_runtime.streaming import number_of, numbered
from emo_edge.errors import SourceError
from emo_edge.health import Health
from emo_edge.sources.frame import Frame, Source
from emo_edge.sources.live import live
from emo_edge.sources.settings import Patience

chain = itertools.chain
Captured = pytest.CaptureFixture[str]


@contextmanager
def opened(camera: Faulty, patience: Patience = QUICK) -> Iterator[tuple[Source, Health]]:
    health = Health()
    with live(camera, health, patience) as source:
        yield source, health


def until(source: Source, happened: Callable[[], bool], seconds: float = 20.0) -> list[Frame]:
    """Take frames until something happened; the limit only ends a test that has failed."""
    deadline = time.monotonic() + seconds
    frames = []
    for frame in source.frames:
        if frame is not None:
            frames.append(frame)
        if happened():
            return frames
        assert time.monotonic() < deadline, "it never happened"
    raise AssertionError("a live source ended")


def jpeg(number: int) -> bytes:
    return cv2.imencode(".jpg", numbered(number))[1].tobytes()


def garbled(picture: bytes) -> bytes:
    return picture[:300] + np.random.default_rng(0).bytes(400) + picture[700:]


def test_frames_are_new_and_counted_with_the_age_they_have() -> None:
    camera = Faulty(pictures())
    with opened(camera, Patience()) as (source, health):
        first = next(f for f in source.frames if f is not None)
        time.sleep(0.2)
        late = next(f for f in source.frames if f is not None)
        assert number_of(late.image) == late.index
        assert late.index - first.index > 5
        assert late.captured_at - first.captured_at > 0.1
        assert health.source.skipped == late.index - 1
        assert health.source.frames >= late.index
    assert camera.opened == camera.closed == 1


@pytest.mark.parametrize(
    ("life", "reason"),
    [
        (lambda: [SourceError("it stopped delivering frames")], "it stopped delivering"),
        (silence, "no frame for"),
        (lambda: itertools.repeat(jpeg(1)[:300]), "only broken frames for"),
        (lambda: itertools.repeat(b"garbage"), "only broken frames for"),
        (lambda: itertools.repeat(np.zeros((1, 921600), np.uint8)), "only broken frames for"),
        (lambda: itertools.repeat(garbled(jpeg(1))), "only broken frames for"),
        (lambda: [cv2.error("transfer")], "OpenCV failed"),
        (lambda: [OSError(19, "No such device")], "No such device"),
        (black, "the same picture for"),
    ],
    ids=[
        "unplugged",
        "silent",
        "truncated",
        "garbage",
        "shape",
        "garbled",
        "cv2.error",
        "OSError",
        "frozen",
    ],
)
def test_a_camera_that_fails_is_opened_again_and_said_once(
    life: Callable[[], Iterator[Step]], reason: str, capsys: Captured
) -> None:
    camera = Faulty(chain(map(jpeg, range(5)), life()), pictures(start=1000))
    with opened(camera) as (source, health):
        frame = until(source, lambda: health.source.reopened == 1)[-1]
        assert number_of(frame.image) >= 1000
        assert frame.index >= 5
        assert health.source.error == ""
    said = capsys.readouterr().err
    assert said.count("lost (") == 1
    assert said.count(reason) == 1
    assert said.count("back after") == 1
    assert camera.opened == camera.closed == 2


def test_a_camera_that_stays_away_is_tried_again_and_again_without_another_word(
    capsys: Captured,
) -> None:
    away = [SourceError("no such device")] * 5
    camera = Faulty(chain(pictures(count=3), [SourceError("gone")]), *away, pictures(start=1000))
    with opened(camera) as (source, health):
        beats = 0
        for frame in source.frames:
            beats += frame is None
            if health.source.state == "lost":
                assert health.source.error in ("gone", "no such device")
            if health.source.reopened:
                break
        assert camera.opened == 7
    said = capsys.readouterr().err
    assert (said.count("lost"), said.count("back after"), said.count("no such device")) == (1, 1, 0)


def test_while_a_camera_is_away_the_loop_beats_every_second() -> None:
    camera = Faulty(chain(pictures(count=1), [SourceError("gone")]))
    with opened(camera) as (source, health):
        assert next(source.frames) is not None
        began = time.monotonic()
        assert next(source.frames) is None
        assert 0.5 < time.monotonic() - began < 5
        assert health.source.state == "lost"


def test_pauses_between_tries_grow_and_a_sign_of_the_camera_ends_them() -> None:
    slow = Patience(first_pause=60.0, longest_pause=600.0, silence=0.2, stuck=0.2)
    camera = Faulty(
        chain(pictures(count=1), [SourceError("gone")]), SourceError("away"), pictures(start=1000)
    )
    with opened(camera, slow) as (source, health):
        until(source, lambda: health.source.error == "away")
        assert next(source.frames) is None
        assert camera.opened == 2
        camera.hinted += 1
        assert number_of(until(source, lambda: health.source.reopened == 1)[-1].image) >= 1000


def test_a_camera_that_keeps_falling_off_is_not_opened_in_a_hurry() -> None:
    lives = [chain(pictures(count=1), [SourceError("gone")]) for _ in range(100)]
    camera = Faulty(*lives)
    patience = Patience(first_pause=0.4, longest_pause=600.0, steady=30.0)
    with opened(camera, patience) as (source, _):
        next(source.frames)
        next(source.frames)
        next(source.frames)
    assert camera.opened <= 5


def test_a_read_that_never_returns_does_not_take_the_process_with_it(capsys: Captured) -> None:
    blocked = threading.Event()
    camera = Faulty(
        chain(pictures(count=3), [lambda: blocked.wait(30) and None]), pictures(start=1000)
    )
    with opened(camera) as (source, health):
        frames = until(source, lambda: health.source.reopened == 1)
        assert number_of(frames[-1].image) >= 1000
        assert camera.closed == 0  # the thread that hangs still owns its device
        blocked.set()
    assert "no frame for" in capsys.readouterr().err


def test_threads_that_hang_are_bounded(capsys: Captured) -> None:
    blocked = threading.Event()
    hang: list[Step] = [lambda: blocked.wait(30) and None, SourceError("it hung")]
    lives = [chain(pictures(count=1), hang) for _ in range(50)]
    camera = Faulty(*lives)
    patience = Patience(opening=0.2, silence=0.1, first_pause=0.01, longest_pause=0.01, stuck=0.02)
    before = threading.active_count()
    with opened(camera, patience) as (source, health):
        until(source, lambda: "restart the machine" in health.source.error)
        assert next(source.frames) is None
        assert health.source.state == "lost"
        assert camera.opened <= 5
        assert threading.active_count() - before <= 5
        assert capsys.readouterr().err.count("restart the machine") == 1
        blocked.set()
        until(source, lambda: camera.opened > 5)


def test_a_picture_that_never_changes_is_opened_anew_once_and_then_believed(
    capsys: Captured,
) -> None:
    camera = Faulty(black(), black(), pictures())
    with opened(camera, Patience(frozen=0.15)) as (source, health):
        until(source, lambda: health.source.error != "")  # "lost", at first
        until(source, lambda: "still picture" in health.source.error)
        assert health.source.state == "delivering"
        until(source, lambda: health.source.frames > 200)
    assert camera.opened == 2
    said = capsys.readouterr().err
    assert (said.count("lost ("), said.count("still picture")) == (1, 1)


def test_equal_pictures_of_an_encoder_are_no_sign_of_a_frozen_camera() -> None:
    camera = Faulty(black(), noisy=False)
    with opened(camera, Patience(frozen=0.15)) as (source, health):
        until(source, lambda: health.source.frames > 80)
    assert camera.opened == 1


def test_broken_frames_among_good_ones_are_left_out_counted_and_said_once(
    capsys: Captured,
) -> None:
    def life() -> Iterator[Step]:
        for number in itertools.count():
            yield jpeg(number)
            yield jpeg(number)[: 200 + number % 50]
            yield garbled(jpeg(number))

    with opened(Faulty(life()), Patience()) as (source, health):
        frames = until(source, lambda: health.source.broken >= 20)
    assert [number_of(f.image) for f in frames] == [f.index for f in frames]
    assert capsys.readouterr().err.count("a broken frame") == 1


def padded(picture: bytes) -> bytes:
    return picture[:-2] + bytes(6) + picture[-2:]


def gappy(picture: bytes) -> bytes:
    """Leave out what a lost packet holds: the decoder fills the rest with grey."""
    return picture[: len(picture) * 9 // 10] + picture[-2:]


def test_pictures_that_lack_their_rest_are_broken_unless_a_camera_has_no_others(
    capfd: Captured,
) -> None:
    def life() -> Iterator[Step]:
        for number in itertools.count():
            yield padded(jpeg(number))
            yield gappy(jpeg(number))

    with opened(Faulty(life()), Patience()) as (source, health):
        frames = until(source, lambda: health.source.broken >= 10)
    assert [number_of(f.image) for f in frames] == [f.index // 2 for f in frames]
    with opened(Faulty(gappy(jpeg(n)) for n in itertools.count()), Patience()) as (source, health):
        until(source, lambda: health.source.frames >= 20)
    assert health.source.broken == 0
    assert "JPEG" not in capfd.readouterr().err  # libjpeg's own words


def test_pictures_without_an_end_marker_are_taken_from_a_camera_that_never_sends_one() -> None:
    camera = Faulty(jpeg(number)[:-2] for number in itertools.count())
    with opened(camera, Patience()) as (source, health):
        frames = until(source, lambda: health.source.frames >= 20)
    assert [number_of(f.image) for f in frames] == [f.index for f in frames]
    assert health.source.broken == 0


def test_a_frame_of_another_size_is_broken_and_a_lasting_change_is_accepted() -> None:
    small = np.zeros((24, 32, 3), np.uint8)

    def noise() -> Iterator[Step]:
        for number in itertools.count():
            yield np.full((24, 32, 3), number % 256, np.uint8)

    camera = Faulty(chain(pictures(count=5), [small], pictures(5, 5), noise()), noise())
    with opened(camera) as (source, health):
        frames = until(source, lambda: health.source.reopened == 1)
    assert {f.image.shape for f in frames[:-1]} == {numbered(0).shape}
    assert frames[-1].image.shape == (24, 32, 3)


def test_a_picture_that_waited_while_the_camera_fell_silent_is_too_old() -> None:
    camera = Faulty(chain(pictures(count=5), silence()), pictures(start=1000))
    with opened(camera) as (source, _):
        assert next(source.frames) is not None
        time.sleep(0.8)
        late = next(f for f in source.frames if f is not None)
        assert number_of(late.image) >= 1000


@pytest.mark.parametrize(
    ("life", "message"),
    [
        (SourceError("no camera /dev/video7"), "no camera /dev/video7"),
        (silence(), "gave no frame in 0.3 s$"),
        (itertools.repeat(b"\xff\xd8garbage"), "gave no frame in 0.3 s, only [0-9]+ broken ones"),
        (itertools.repeat(jpeg(1)[:300]), "gave no frame in 0.3 s, only [0-9]+ broken ones"),
        (iter([SourceError("it is busy")]), "it is busy"),
    ],
    ids=["not there", "silent", "broken", "cut", "busy"],
)
def test_what_gives_no_frame_at_the_start_is_refused(life: object, message: str) -> None:
    patience = Patience(opening=0.3)
    with (
        pytest.raises(SourceError, match=message),
        opened(Faulty(life), patience),  # type: ignore[arg-type]
    ):
        raise AssertionError("it was opened")


def test_a_bug_in_a_camera_is_no_lost_camera() -> None:
    camera = Faulty(chain(pictures(count=1), [ZeroDivisionError("a bug")]))
    with pytest.raises(ZeroDivisionError), opened(camera) as (source, _):
        until(source, lambda: False)
    assert camera.closed == 1
