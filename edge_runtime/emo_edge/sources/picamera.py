"""A Raspberry Pi's CSI camera through picamera2, where it can be imported."""

from __future__ import annotations

import importlib
import importlib.util
import threading
import time
from typing import Any

import numpy as np

from emo_edge.contract import Image
from emo_edge.errors import SourceError
from emo_edge.messages import warn
from emo_edge.sources.settings import Asked

SILENCE_SECONDS = 2.0


class Picamera:
    """The CSI camera `number`: "picamera2" is the first, "picamera2:1" the second."""

    def __init__(self, name: str, number: int, asked: Asked) -> None:
        self.name, self._number, self._asked = name, number, asked

    def open(self) -> PicameraCapture:
        """Open it; raises `SourceError` if picamera2 or the camera is not there."""
        module = _picamera2()
        try:
            cameras = len(module.Picamera2.global_camera_info())
            if self._number >= cameras:
                raise IndexError(f"no CSI camera {self._number}, picamera2 sees {cameras}")
            return PicameraCapture(module.Picamera2(self._number), self._asked)
        except Exception as error:  # which, libcamera does not say: in use, or it does not answer
            raise SourceError(f"{self.name} cannot be opened: {error}") from error

    def hint(self) -> object:
        """A CSI camera has no node to watch."""
        return None


class PicameraCapture:
    """An open Picamera2."""

    noisy = True

    def __init__(self, camera: Any, asked: Asked) -> None:
        # picamera2 calls BGR in memory "RGB888".
        controls = {} if asked.fps is None else {"FrameRate": asked.fps}
        main = {"size": (asked.width, asked.height), "format": "RGB888"}
        self._camera, self._arrived = camera, threading.Event()
        self._job: Any = None  # a picture that was asked for
        try:
            camera.configure(camera.create_video_configuration(main=main, controls=controls))
            camera.start()
        except BaseException:
            camera.close()
            raise
        width, height = camera.camera_configuration()["main"]["size"]
        self.fps = asked.fps or 30.0
        self.title = f"{width}x{height} at {self.fps:g} fps from picamera2"

    def read(self) -> tuple[Image, float] | None:
        """Return the next picture, or None if libcamera is silent for two seconds."""
        try:
            if self._job is None:
                self._arrived.clear()
                # With a function to call it returns at once.
                self._job = self._camera.capture_array("main", signal_function=self._signal)
            if not self._arrived.wait(SILENCE_SECONDS):
                return None
            job, self._job = self._job, None
            image = self._camera.wait(job)
        except Exception as error:
            raise SourceError(f"picamera2 failed ({error})") from error
        return np.ascontiguousarray(image, np.uint8), time.monotonic()

    def _signal(self, _job: Any) -> None:
        self._arrived.set()

    def close(self) -> None:
        """Let it go; raises `SourceError` if picamera2 does not."""
        try:
            # It stops the camera, too. Its stop() would wait behind a picture that does not come.
            self._camera.close()
        except Exception as error:
            raise SourceError(f"picamera2 cannot be closed ({error})") from error


def picameras() -> list[str]:
    """Return the models of the CSI cameras that picamera2 sees; empty where it is not there."""
    if importlib.util.find_spec("picamera2") is None:
        return []
    try:
        return [str(info.get("Model", "?")) for info in _picamera2().Picamera2.global_camera_info()]
    except SourceError:
        return []
    except Exception as error:  # as in `Picamera.open`: what a broken libcamera raises is anything
        warn(f"picamera2 cannot list its cameras: {error}")
        return []


def _picamera2() -> Any:
    try:
        return importlib.import_module("picamera2")
    except Exception as error:  # what a broken libcamera raises is anything
        raise SourceError(
            f"picamera2 cannot be imported ({error}); run: sudo apt install python3-picamera2 and "
            "make the environment with: python3 -m venv --system-site-packages; or use "
            "--camera rpicam"
        ) from error
