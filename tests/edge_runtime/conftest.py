"""Fixtures of the ground floor's tests."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path

import pytest

from edge_runtime.drawn import TIMELINE, VIDEO_FPS
from emo_edge.detectors.fetch import YUNET_NAME, yunet_path
from emo_train.synthetic import write_video

os.environ.setdefault("OPENCV_LOG_LEVEL", "ERROR")

# Where a developer's own copy may be; the tests themselves see an empty cache.
YUNET = Path(os.environ.get("EMO_YUNET") or yunet_path())


@pytest.fixture
def yunet_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Put the real YuNet file into a cache of its own, or skip; returns where it is."""
    if not YUNET.is_file():
        pytest.skip("no YuNet file: run emo-edge fetch-detector, or set EMO_YUNET to it")
    kept = tmp_path / "fetched" / "emo-toolkit" / YUNET_NAME
    kept.parent.mkdir(parents=True)
    shutil.copyfile(YUNET, kept)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "fetched"))
    return kept


@pytest.fixture(scope="session")
def video(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A drawn person who goes through `TIMELINE`: 320x240, 3.6 s."""
    path = tmp_path_factory.mktemp("video") / "drawn.mp4"
    write_video(path, timeline=TIMELINE, fps=VIDEO_FPS, size=(320, 240))
    return path


@pytest.fixture
def unverified(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let every flatbuffer pass, in children too: which ones still kill is not known beforehand."""
    folder = tmp_path_factory.mktemp("unverified")
    (folder / "sitecustomize.py").write_text(
        "import emo_edge.flatbuffer\nemo_edge.flatbuffer.verify = lambda content: None\n"
    )
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(folder), *sys.path]))
    monkeypatch.setattr("emo_edge.modelfile.verify", len)
