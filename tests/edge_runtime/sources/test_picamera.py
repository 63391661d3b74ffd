"""picamera2 needs a Raspberry Pi: a module with its names and manners takes its place."""

from __future__ import annotations

import importlib
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from edge_runtime.streaming import number_of
from emo_edge.errors import SourceError
from emo_edge.health import Health
from emo_edge.sources import Asked, cameras, open_source
from emo_edge.sources.live import live
from emo_edge.sources.picamera import Picamera
from emo_edge.sources.settings import Patience

MODULE = """
import time
from edge_runtime.streaming import numbered

class Picamera2:
    opened, held = [], False
    silent_after, unwilling = None, False  # pictures; whether closing fails

    @staticmethod
    def global_camera_info():
        return [{"Model": "imx708", "Num": 0}, {"Model": "ov5647", "Num": 1}]

    def __init__(self, number):
        if number == 1:
            raise RuntimeError("Failed to acquire camera: Device or resource busy")
        if Picamera2.held:
            raise RuntimeError("Camera in use")
        Picamera2.held = True
        self.calls = []
        self.number = 0
        Picamera2.opened.append(self)

    def create_video_configuration(self, main, controls):
        return {"main": main, "controls": controls}

    def configure(self, configuration):
        self.configuration = configuration

    def camera_configuration(self):
        return self.configuration

    def start(self):
        self.calls.append("start")

    def capture_array(self, name, signal_function):
        assert name == "main" and self.calls == ["start"]
        time.sleep(0.005)
        if self.number == Picamera2.silent_after:
            return None  # a job that is never done
        self.number += 1
        signal_function(self.number - 1)
        return self.number - 1

    def wait(self, job):
        return numbered(job)

    def close(self):
        self.calls.append("close")
        Picamera2.held = False
        if Picamera2.unwilling:
            raise RuntimeError("Failed to release camera")
"""


@pytest.fixture
def picamera2(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Put the module where it is imported from."""
    (tmp_path / "picamera2.py").write_text(MODULE)
    monkeypatch.syspath_prepend(str(tmp_path))
    yield tmp_path / "picamera2.py"
    sys.modules.pop("picamera2", None)


def test_it_is_configured_started_read_and_let_go(picamera2: Path) -> None:
    with open_source("picamera2", asked=Asked(800, 600, 15)) as source:
        frames = [next(source.frames) for _ in range(3)]
    for frame in frames:
        assert frame is not None
        assert number_of(frame.image) == frame.index
    (camera,) = sys.modules["picamera2"].Picamera2.opened
    assert camera.configuration["main"] == {"size": (800, 600), "format": "RGB888"}
    assert camera.configuration["controls"] == {"FrameRate": 15}
    assert camera.calls == ["start", "close"]


@pytest.mark.parametrize("unwilling", [False, True])
def test_a_camera_that_falls_silent_is_let_go_and_found_again(
    picamera2: Path, monkeypatch: pytest.MonkeyPatch, unwilling: bool
) -> None:
    monkeypatch.setattr("emo_edge.sources.picamera.SILENCE_SECONDS", 0.05)
    monkeypatch.syspath_prepend(str(picamera2.parent))
    module = importlib.import_module("picamera2").Picamera2
    module.silent_after, module.unwilling = 3, unwilling
    health, patience = Health(), Patience(silence=0.2, first_pause=0.02, longest_pause=0.1)
    with live(Picamera("picamera2", 0, Asked()), health, patience) as source:
        deadline = time.monotonic() + 20
        while health.source.reopened < 2:
            next(source.frames)
            assert time.monotonic() < deadline
    assert module.opened[0].calls == ["start", "close"]
    assert not module.held


@pytest.mark.parametrize(("text", "message"), [("picamera2:1", "busy"), ("picamera2:2", "sees 2")])
def test_a_camera_that_cannot_be_opened_is_refused(
    picamera2: Path, text: str, message: str
) -> None:
    with pytest.raises(SourceError, match=message), open_source(text):
        pass


def test_where_it_cannot_be_imported_the_way_out_is_said(
    picamera2: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    picamera2.write_text("raise ValueError('numpy.dtype size changed')")
    with (
        pytest.raises(SourceError, match=r"dtype size changed.*python3-picamera2.*rpicam"),
        open_source("picamera2"),
    ):
        pass
    assert not [camera for camera in cameras() if camera.name.startswith("picamera2")]


def test_cameras_that_cannot_be_listed_are_said_and_the_others_shown(
    picamera2: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    broken = "raise RuntimeError('no camera manager')"
    picamera2.write_text(
        MODULE.replace("def global_camera_info():", f"def global_camera_info():\n        {broken}")
    )
    assert not [camera for camera in cameras() if camera.name.startswith("picamera2")]
    assert "picamera2 cannot list its cameras: no camera manager" in capsys.readouterr().err


def test_its_cameras_are_listed(picamera2: Path) -> None:
    listed = {camera.name: camera.title for camera in cameras()}
    assert (listed["picamera2:0"], listed["picamera2:1"]) == ("imx708", "ov5647")
