"""Video files."""

from __future__ import annotations

import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest

from edge_runtime.drawn import VIDEO_FPS
from edge_runtime.streaming import numbered
from emo_edge.errors import SourceError
from emo_edge.sources import open_source


def test_a_video_gives_every_frame_in_order_with_its_position(video: Path) -> None:
    with open_source(str(video)) as source:
        frames = [frame for frame in source.frames if frame is not None]
    assert (source.kind, source.fps) == ("video", VIDEO_FPS)
    assert [frame.index for frame in frames] == list(range(36))
    positions = [frame.captured_at for frame in frames]
    np.testing.assert_allclose(positions, np.arange(36) / VIDEO_FPS, atol=1e-3)
    assert {frame.image.shape for frame in frames} == {(240, 320, 3)}


def test_a_name_with_a_colon_is_no_url(
    video: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    shutil.copyfile(video, "12:30.mp4")
    with open_source("12:30.mp4") as source:
        frame = next(source.frames)
    assert frame is not None
    assert frame.name == source.name == "12:30.mp4"


def test_a_video_that_is_cut_is_read_as_far_as_it_goes_and_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "cut.avi"
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"MJPG"), 10.0, (192, 64))
    for number in range(40):
        writer.write(numbered(number))
    writer.release()
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with open_source(str(path)) as source:
        frames = [frame for frame in source.frames if frame is not None]
    assert 10 <= len(frames) < 25
    assert f"damaged: {len(frames)} of about 40 frames" in capsys.readouterr().err


def test_a_truncated_video_is_refused(video: Path, tmp_path: Path) -> None:
    cut = tmp_path / "cut.mp4"
    cut.write_bytes(video.read_bytes()[:9000])  # mp4 keeps its index at the end
    with (
        pytest.raises(SourceError, match="is neither a picture nor a video"),
        open_source(str(cut)),
    ):
        pass
