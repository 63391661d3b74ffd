"""The sinks: what is written, and that every file is whole."""

from __future__ import annotations

import dataclasses
import io
import json
from collections.abc import Iterator
from contextlib import closing
from datetime import datetime, timezone
from pathlib import Path
from typing import Literal

import cv2
import numpy as np
import pytest

from edge_runtime.drawn import scene
from emo_edge.contract import Box, read_image
from emo_edge.errors import OutputError, UsageError
from emo_edge.pipeline import Reading
from emo_edge.sinks import Console, JsonLines, Recording, Snapshot, as_record
from emo_edge.sources import Frame, Source

PICTURE, (FACE,) = scene("happy")
Kind = Literal["live", "video", "stills"]


def a_source(kind: Kind) -> Source:
    frames: Iterator[Frame] = iter(())
    return Source("talk.mp4", kind, 10.0, frames)


def a_frame(index: int = 0, at: float = 0.0) -> Frame:
    return Frame(PICTURE, index, at, 100.0, "talk.mp4")


def a_reading(label: str = "happy", track: int = 1, at: float = 0.0) -> Reading:
    probabilities = {"happy": 0.81239, "sad": 0.18761}
    box = Box(10.04, 20.06, 30.0, 40.0, 9.9)
    return Reading(track, box, label, 0.81239, probabilities, at, at + 0.01234)


def test_a_record_says_where_when_who_and_what() -> None:
    assert as_record(a_frame(7, 0.7), a_reading(at=0.7), live=False) == {
        "source": "talk.mp4",
        "frame": 7,
        "time": 0.7,
        "track": 1,
        "label": "happy",
        "confidence": 0.8124,
        "probabilities": {"happy": 0.8124, "sad": 0.1876},
        "box": [10.0, 20.1, 30.0, 40.0],
        "age": 0.0123,
    }


def test_only_a_live_record_says_the_time_of_day() -> None:
    before = datetime.now(timezone.utc).replace(microsecond=0)
    record = as_record(a_frame(), a_reading(), live=True)
    assert before <= datetime.fromisoformat(record["utc"]) <= datetime.now(timezone.utc)
    assert "utc" not in as_record(a_frame(), a_reading(), live=False)


def test_json_lines_are_whole_after_every_frame_and_appended_to(tmp_path: Path) -> None:
    path = tmp_path / "readings.jsonl"
    for run in range(2):
        with closing(JsonLines(str(path), a_source("video"))) as sink:
            for index in range(3):
                sink(a_frame(index), [a_reading(track=1), a_reading(track=2)])
                lines = path.read_text().splitlines()
                assert len([json.loads(line) for line in lines]) == 6 * run + 2 * (index + 1)


def test_a_frame_without_faces_writes_no_line(tmp_path: Path) -> None:
    path = tmp_path / "readings.jsonl"
    with closing(JsonLines(str(path), a_source("video"))) as sink:
        sink(a_frame(), [])
    assert path.read_text() == ""


def test_json_lines_that_cannot_be_written_are_refused(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="cannot write"):
        JsonLines(str(tmp_path), a_source("video"))


def test_a_full_disk_is_an_output_error() -> None:
    with (
        pytest.raises(OutputError, match="No space left"),
        closing(JsonLines("/dev/full", a_source("video"))) as sink,
    ):
        sink(a_frame(), [a_reading()])


def timeline(*moments: tuple[float, list[Reading]]) -> list[str]:
    stream = io.StringIO()
    console = Console(a_source("video"), stream)
    for at, readings in moments:
        console(a_frame(at=at), readings)
    return [" ".join(line.split()) for line in stream.getvalue().splitlines()]


def test_the_console_speaks_when_a_label_changes_and_is_silent_otherwise() -> None:
    lines = timeline(
        (5.0, [a_reading("happy")]),
        (5.1, [a_reading("happy")]),
        (5.5, [a_reading("sad")]),
        (5.6, [a_reading("sad"), a_reading("happy", track=2)]),
    )
    assert lines == [
        "5.00 s face 1 happy 81% (12 ms old)",
        "5.50 s face 1 sad 81% (12 ms old)",
        "5.60 s face 2 happy 81% (12 ms old)",
    ]


def test_a_camera_is_timed_from_its_first_frame_a_video_from_its_beginning() -> None:
    stream = io.StringIO()
    console = Console(a_source("live"), stream)
    console(a_frame(at=100.0), [])
    console(a_frame(at=103.0), [a_reading("happy")])
    assert stream.getvalue().split()[:2] == ["3.00", "s"]


def test_a_recording_that_lost_frames_is_not_published(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = tmp_path / "seen.mp4"
    target.write_bytes(b"the recording of yesterday")
    recording = Recording(target, 10.0)
    for _ in range(3):
        recording(a_frame(), [])
    monkeypatch.setattr("emo_edge.sinks._frames_in", lambda _: 2)  # what a full disk leaves
    with pytest.raises(OutputError, match="2 of 3 frames"):
        recording.close()
    assert target.read_bytes() == b"the recording of yesterday"
    assert [path.name for path in tmp_path.iterdir()] == ["seen.mp4"]


def test_the_console_says_that_a_face_is_gone_once_and_not_for_a_missed_frame() -> None:
    lines = timeline(
        (0.0, [a_reading()]), (0.5, []), (0.9, [a_reading()]), (1.5, []), (2.0, []), (9.0, [])
    )
    assert lines == ["0.00 s face 1 happy 81% (12 ms old)", "2.00 s face 1 gone"]


def test_the_console_names_every_picture() -> None:
    stream = io.StringIO()
    console = Console(a_source("stills"), stream)
    console(a_frame(), [a_reading()])
    console(a_frame(), [])
    assert stream.getvalue().splitlines() == [
        "talk.mp4: happy 81%  (face 30x40 at 10,20)",
        "talk.mp4: no face",
    ]


def test_a_recording_has_every_frame_and_appears_when_it_is_closed(tmp_path: Path) -> None:
    path = tmp_path / "out" / "seen.mp4"
    with closing(Recording(path, 10.0)) as sink:
        for index in range(5):
            sink(a_frame(index), [a_reading()] if index else [])
        assert not path.exists()
    assert list(path.parent.iterdir()) == [path]
    capture = cv2.VideoCapture(str(path))
    frames = [capture.read() for _ in range(6)]
    assert [ok for ok, _ in frames] == [True] * 5 + [False]
    assert frames[0][1].shape == PICTURE.shape
    assert capture.get(cv2.CAP_PROP_FPS) == 10.0


def test_a_recording_that_cannot_begin_leaves_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "seen.mp4"
    path.write_bytes(b"old")
    with closing(Recording(path, 90_000.0)) as sink, pytest.raises(OutputError, match="refused"):
        sink(a_frame(), [])  # mp4v knows no such frame rate
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_recording_without_a_frame_leaves_no_file(tmp_path: Path) -> None:
    Recording(tmp_path / "seen.mp4", 10.0).close()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("make", "suffixes"),
    [(lambda path: Recording(path, 10.0), ".mp4"), (Snapshot, ".jpg or .png")],
    ids=["recording", "snapshot"],
)
@pytest.mark.parametrize("name", ["out.txt", "out"])
def test_a_suffix_that_cannot_be_written_is_refused_at_once(
    tmp_path: Path, make: type[Snapshot], suffixes: str, name: str
) -> None:
    with pytest.raises(UsageError, match=suffixes):
        make(tmp_path / name)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["newest.png", "newest.jpg", "NEWEST.PNG"])
def test_a_snapshot_is_the_newest_picture_with_a_face(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    with closing(Snapshot(path)) as sink:
        sink(a_frame(), [])
        assert not path.exists()
        sink(a_frame(), [a_reading()])
        first = read_image(path)
        bright = dataclasses.replace(a_frame(), image=np.full_like(PICTURE, 250))
        sink(bright, [a_reading()])
        second = read_image(path)
        sink(a_frame(), [])
    assert list(tmp_path.iterdir()) == [path]
    assert second.mean() > first.mean()
    np.testing.assert_array_equal(read_image(path), second)
