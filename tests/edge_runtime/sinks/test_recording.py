"""Recordings: every frame of a video, life speed for a camera, and files that are whole."""

from __future__ import annotations

import dataclasses
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import cv2
import numpy as np
import pytest

from edge_runtime.framing import PICTURE, a_frame, a_reading
from emo_edge.contract import Image
from emo_edge.errors import OutputError, UsageError
from emo_edge.sinks.recording import LIVE_FPS, Recording


def film(path: Path) -> tuple[list[Image], float]:
    """Return the frames of a video and its frames per second."""
    capture = cv2.VideoCapture(str(path))
    frames = []
    while (read := capture.read())[0]:
        frames.append(np.asarray(read[1], np.uint8))
    return frames, capture.get(cv2.CAP_PROP_FPS)


def seconds(path: Path) -> float:
    frames, fps = film(path)
    return len(frames) / fps


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_a_video_gives_every_frame_and_appears_when_it_is_closed(tmp_path: Path) -> None:
    path = tmp_path / "out" / "seen.mp4"
    with closing(Recording(path, "video", 10.0)) as sink:
        for index in range(5):
            sink(a_frame(index), [a_reading()] if index else [])
        assert not path.exists()
    assert names(path.parent) == ["seen.mp4"]
    frames, fps = film(path)
    assert (len(frames), frames[0].shape, fps) == (5, PICTURE.shape, 10.0)


def test_a_name_with_a_colon_is_no_url(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with closing(Recording(Path("12:30.mp4"), "video", 10.0)) as sink:
        sink(a_frame(), [])
    assert names(tmp_path) == ["12:30.mp4"]
    assert len(film(tmp_path / "12:30.mp4")[0]) == 1


@pytest.mark.parametrize("fps", [59.9401, 119.947, 239.923])
def test_the_rate_of_a_quick_camera_is_kept_as_far_as_mp4v_can_say_it(
    tmp_path: Path, fps: float
) -> None:
    with closing(Recording(tmp_path / "seen.mp4", "video", fps)) as sink:
        sink(a_frame(), [])
    assert film(tmp_path / "seen.mp4")[1] == pytest.approx(fps, abs=0.05)


@pytest.mark.parametrize("delivered", [4.0, 12.0, 30.0])
def test_a_camera_is_recorded_at_life_speed(tmp_path: Path, delivered: float) -> None:
    path = tmp_path / "seen.mp4"
    with closing(Recording(path, "live", 30.0)) as sink:
        for index in range(round(3 * delivered) + 1):
            sink(a_frame(index, 1000 + index / delivered), [])
    assert seconds(path) == pytest.approx(3.0, abs=1.5 / LIVE_FPS)


def test_a_camera_that_is_looked_at_three_times_a_minute_is_one_film(tmp_path: Path) -> None:
    with closing(Recording(tmp_path / "seen.mp4", "live", 15.0)) as sink:
        for at in (0.0, 20.0, 40.0, 60.0, 80.0):
            sink(a_frame(at=at), [])
    assert names(tmp_path) == ["seen-0002.mp4", "seen.mp4"]  # the first gap might have been a loss
    assert seconds(tmp_path / "seen-0002.mp4") == pytest.approx(60.0, abs=0.1)


def test_a_short_gap_is_filled_and_a_long_one_begins_a_new_file(tmp_path: Path) -> None:
    with closing(Recording(tmp_path / "seen.mp4", "live", 15.0)) as sink:
        for at in (0.0, 1.0, 4.0, 60.0, 61.0):
            sink(a_frame(at=at), [])
    assert names(tmp_path) == ["seen-0002.mp4", "seen.mp4"]
    assert seconds(tmp_path / "seen.mp4") == pytest.approx(4.0, abs=0.1)
    assert seconds(tmp_path / "seen-0002.mp4") == pytest.approx(1.0, abs=0.1)


def test_a_camera_is_recorded_into_files_that_replace_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("emo_edge.sinks.recording.FILE_SECONDS", 1.0)
    (tmp_path / "seen.mp4").write_bytes(b"of yesterday")
    (tmp_path / "seen-0003.mp4").write_bytes(b"of yesterday")
    with closing(Recording(tmp_path / "seen.mp4", "live", 15.0)) as sink:
        for index in range(30):
            sink(a_frame(index, index / 10), [])
        assert (tmp_path / "seen-0002.mp4").exists()  # finished files do not wait for the end
    new = ["seen-0002.mp4", "seen-0004.mp4", "seen-0005.mp4"]
    assert names(tmp_path) == sorted(["seen.mp4", "seen-0003.mp4", *new])
    assert (tmp_path / "seen.mp4").read_bytes() == b"of yesterday"
    assert all(film(tmp_path / name)[0] for name in new)


def test_a_picture_of_another_size_begins_a_new_file(tmp_path: Path) -> None:
    with closing(Recording(tmp_path / "seen.mp4", "video", 10.0)) as sink:
        sink(a_frame(), [])
        sink(dataclasses.replace(a_frame(1), image=PICTURE[:200]), [])
    sizes = [film(tmp_path / name)[0][0].shape[0] for name in ("seen.mp4", "seen-0002.mp4")]
    assert sizes == [240, 200]


KILLED = """
import os, sys
from pathlib import Path
import numpy as np
from emo_edge.sinks.recording import Recording
from emo_edge.sources import Frame
Recording(Path(sys.argv[1]), "video", 10.0)(Frame(np.zeros((48, 64, 3), np.uint8), 0, 0, 0, ""), [])
os._exit(0)
"""


def test_what_a_killed_run_left_is_written_over(tmp_path: Path) -> None:
    path = tmp_path / "seen.mp4"
    subprocess.run([sys.executable, "-c", KILLED, path], check=True)
    assert names(tmp_path) == [".seen.partial.mp4"]
    with closing(Recording(path, "video", 10.0)) as sink:
        sink(a_frame(), [])
    assert names(tmp_path) == ["seen.mp4"]


def test_two_runs_do_not_record_to_one_file(tmp_path: Path) -> None:
    path = tmp_path / "seen.mp4"
    with closing(Recording(path, "video", 10.0)) as first:
        first(a_frame(), [])
        second = Recording(path, "video", 10.0)
        with pytest.raises(OutputError, match="another run or option"):
            second(a_frame(), [])
        first(a_frame(1), [])
    assert len(film(path)[0]) == 2


def test_a_recording_that_lost_frames_is_not_published(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = tmp_path / "seen.mp4"
    target.write_bytes(b"the recording of yesterday")
    recording = Recording(target, "video", 10.0)
    for _ in range(3):
        recording(a_frame(), [])
    monkeypatch.setattr("emo_edge.sinks.recording._frames_in", lambda _: 2)  # as of a full disk
    with pytest.raises(OutputError, match="2 of 3 frames"):
        recording.close()
    assert target.read_bytes() == b"the recording of yesterday"
    assert names(tmp_path) == ["seen.mp4"]


def test_a_disk_that_fills_ends_the_file_while_it_can_be_finished(
    small_disk: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("emo_edge.sinks.recording.CHECK_SECONDS", 0.0)
    monkeypatch.setattr("emo_edge.sinks.room.RESERVE_SHARE", 0.3)  # a second of noise is large
    noise = np.random.default_rng(0).integers(0, 255, (240, 320, 3), np.uint8)
    path = small_disk / "seen.mp4"
    sink = Recording(path, "live", 10.0)
    with pytest.raises(OSError, match="nearly full"):
        for index in range(200):
            sink(dataclasses.replace(a_frame(index, index / 10), image=noise), [])
    assert len(film(path)[0]) > 5
    with pytest.raises(OSError, match="nearly full"):
        sink(a_frame(at=20.0), [])
    monkeypatch.undo()  # as if there were room again
    sink(a_frame(at=20.1), [])
    sink.close()
    assert names(small_disk) == ["seen-0002.mp4", "seen.mp4"]
    assert len(film(small_disk / "seen-0002.mp4")[0]) == 1


def test_a_recording_that_cannot_begin_leaves_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "seen.mp4"
    path.write_bytes(b"old")
    sink = Recording(path, "video", 90_000.0)
    with closing(sink), pytest.raises(OutputError, match="refused"):
        sink(a_frame(), [])  # mp4v knows no such frame rate
    assert path.read_bytes() == b"old"
    assert names(tmp_path) == ["seen.mp4"]


def test_a_folder_whose_name_would_crash_opencv_is_refused_at_once(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="is not UTF-8"):
        Recording(tmp_path / "caf\udce9" / "seen.mp4", "video", 10.0)


def test_a_recording_without_a_frame_leaves_nothing(tmp_path: Path) -> None:
    Recording(tmp_path / "new" / "seen.mp4", "live", 10.0).close()
    assert names(tmp_path) == []


@pytest.mark.parametrize("name", ["out.txt", "out"])
def test_a_suffix_that_cannot_be_written_is_refused_at_once(tmp_path: Path, name: str) -> None:
    with pytest.raises(UsageError, match=r"\.mp4"):
        Recording(tmp_path / name, "video", 10.0)
    assert names(tmp_path) == []
