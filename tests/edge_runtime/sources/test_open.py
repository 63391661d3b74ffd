"""The camera socket: pictures, folders, videos and a network camera on loopback."""

from __future__ import annotations

import itertools
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from edge_runtime.drawn import VIDEO_FPS, save, scene
from edge_runtime.streaming import Camera, number_of
from emo_edge.errors import SourceError
from emo_edge.sources import Frame, live, open_source


def grey(value: int) -> np.ndarray:
    return np.full((20, 30, 3), value, np.uint8)


def all_frames(text: str) -> list[Frame]:
    with open_source(text) as source:
        return list(source.frames)


def wait_until(happened: Callable[[], bool], seconds: float = 30.0) -> None:
    """Wait for a condition; the limit only ends a test that has failed."""
    deadline = time.monotonic() + seconds
    while not happened():
        assert time.monotonic() < deadline, "it never happened"
        time.sleep(0.01)


def test_a_picture_is_one_frame(tmp_path: Path) -> None:
    path = save(tmp_path / "face.png", grey(77))
    with open_source(str(path)) as source:
        (frame,) = source.frames
    assert (source.kind, source.fps) == ("stills", 1.0)
    assert (frame.index, frame.captured_at, frame.name) == (0, 0.0, str(path))
    np.testing.assert_array_equal(frame.image, grey(77))


def test_a_folder_is_read_in_order_with_its_subfolders(tmp_path: Path) -> None:
    names = ["a.png", "b/c.JPG", "b/d.bmp", "e.webp"]
    for value, name in enumerate(names):
        save(tmp_path / name, grey(60 * value))
    (tmp_path / "notes.txt").write_text("no picture")
    frames = all_frames(str(tmp_path))
    assert [Path(frame.name).relative_to(tmp_path).as_posix() for frame in frames] == names
    assert [frame.index for frame in frames] == [0, 1, 2, 3]


def test_an_unreadable_picture_among_good_ones_is_named_counted_and_skipped(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    save(tmp_path / "a.png", grey(1))
    (tmp_path / "broken.jpg").write_bytes(b"\xff\xd8\xff nothing")
    save(tmp_path / "c.png", grey(3))
    assert [Path(frame.name).name for frame in all_frames(str(tmp_path))] == ["a.png", "c.png"]
    said = capsys.readouterr().err
    assert f"skipped: {tmp_path / 'broken.jpg'}" in said
    assert "1 of 3 pictures" in said


def test_a_folder_of_unreadable_pictures_is_refused(tmp_path: Path) -> None:
    for name in ("a.jpg", "b.png"):
        (tmp_path / name).write_bytes(b"junk")
    with pytest.raises(SourceError, match="none of the 2 pictures is readable"):
        all_frames(str(tmp_path))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda p: p.mkdir(), "holds no pictures"),
        (lambda p: p.write_text("neither"), "is neither a picture nor a video"),
        (lambda p: p.write_bytes(b""), "is neither a picture nor a video"),
        (lambda p: p.write_bytes(b"\x89PNG\r\n\x1a\n cut"), "is not a readable picture"),
        (lambda _: None, "no such file, folder or camera"),
    ],
    ids=["empty folder", "text", "empty file", "broken picture", "nothing"],
)
def test_what_yields_no_frame_is_refused(
    tmp_path: Path, make: Callable[[Path], object], message: str
) -> None:
    path = tmp_path / "source"
    make(path)
    with pytest.raises(SourceError, match=message):
        all_frames(str(path))


@pytest.mark.parametrize("text", ["99", "/dev/video99"])
def test_a_missing_camera_is_refused_saying_which_cameras_there_are(text: str) -> None:
    with pytest.raises(SourceError, match=r"no camera /dev/video99; cameras here: "):
        all_frames(text)


def test_a_video_gives_every_frame_in_order_with_its_position(video: Path) -> None:
    with open_source(str(video)) as source:
        frames = list(source.frames)
    assert (source.kind, source.fps) == ("video", VIDEO_FPS)
    assert [frame.index for frame in frames] == list(range(36))
    positions = [frame.captured_at for frame in frames]
    np.testing.assert_allclose(positions, np.arange(36) / VIDEO_FPS, atol=1e-3)
    assert {frame.image.shape for frame in frames} == {(240, 320, 3)}


def test_a_truncated_video_is_refused_or_read_as_far_as_it_goes(
    video: Path, tmp_path: Path
) -> None:
    cut = tmp_path / "cut.mp4"
    cut.write_bytes(video.read_bytes()[:9000])  # mp4 keeps its index at the end
    with pytest.raises(SourceError, match="is neither a picture nor a video"):
        all_frames(str(cut))


def test_a_stream_is_live_and_shows_what_the_camera_sees() -> None:
    picture, _ = scene("happy")
    with Camera(picture) as camera, open_source(camera.url) as source:
        frames = list(itertools.islice(source.frames, 3))
    assert source.kind == "live"
    assert frames[0].index < frames[1].index < frames[2].index
    for frame in frames:
        assert np.abs(frame.image.astype(int) - picture).mean() < 4  # JPEG


def test_a_slow_consumer_gets_new_frames_and_never_old_ones() -> None:
    with Camera() as camera, open_source(camera.url) as source:
        for frame in itertools.islice(source.frames, 4):
            sent = camera.sent
            wait_until(lambda sent=sent: camera.sent >= sent + 40)  # type: ignore[misc]
            late = next(source.frames)
            assert number_of(late.image) >= sent + 20
            assert late.index - frame.index >= 20
            assert late.captured_at > frame.captured_at


def test_a_stream_that_ends_is_an_error_after_its_last_frame() -> None:
    seen = []
    with (
        Camera(frames=12) as camera,
        open_source(camera.url) as source,
        pytest.raises(SourceError, match="stopped delivering"),
    ):
        for frame in source.frames:
            seen.append(number_of(frame.image))
    assert seen == sorted(set(seen))
    assert seen[-1] == 11


def test_a_stream_that_stalls_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(live, "STALL_SECONDS", 0.5)
    with (
        Camera(frames=12, stalls=True) as camera,
        pytest.raises(SourceError, match="no frame for"),
        open_source(camera.url) as source,
    ):
        for frame in source.frames:
            assert number_of(frame.image) < 12


WATCH_A_STALL = """
import sys, threading
from emo_edge.sources import live, open_source
from emo_edge.errors import SourceError
live.STALL_SECONDS = 0.5
try:
    with open_source(sys.argv[1]) as source:
        for frame in source.frames:
            pass
except SourceError:
    print("stalled", flush=True)
for thread in threading.enumerate():
    if thread.name == "capture":
        thread.join(20)
print("whole", flush=True)
"""


def test_a_stalled_camera_that_comes_back_too_late_crashes_nothing() -> None:
    with (
        Camera(frames=12, stalls=True) as camera,
        subprocess.Popen(
            [sys.executable, "-c", WATCH_A_STALL, camera.url], stdout=subprocess.PIPE, text=True
        ) as child,
    ):
        assert child.stdout is not None
        assert child.stdout.readline() == "stalled\n"
        camera.resume.set()
        assert child.stdout.read() == "whole\n"
    assert child.returncode == 0


def test_a_stream_that_nobody_serves_is_refused() -> None:
    with Camera() as camera:
        url = camera.url
    with pytest.raises(SourceError, match="stream cannot be opened"):
        all_frames(url)
