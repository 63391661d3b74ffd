"""Fixtures of the ground floor's tests."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from edge_runtime.drawn import TIMELINE, VIDEO_FPS
from emo_train.synthetic import write_video

os.environ.setdefault("OPENCV_LOG_LEVEL", "ERROR")


@pytest.fixture(scope="session")
def video(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A drawn person who goes through `TIMELINE`: 320x240, 3.6 s."""
    path = tmp_path_factory.mktemp("video") / "drawn.mp4"
    write_video(path, timeline=TIMELINE, fps=VIDEO_FPS, size=(320, 240))
    return path
