"""One notation for everything that yields frames."""

from __future__ import annotations

import errno
import glob
import os
import re
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import cv2

from emo_edge.artifacts import opencv_name
from emo_edge.errors import SourceError, UsageError
from emo_edge.health import Health
from emo_edge.sources.capture import Camera
from emo_edge.sources.frame import Frame, Source
from emo_edge.sources.live import live
from emo_edge.sources.picamera import Picamera
from emo_edge.sources.recordings import recording
from emo_edge.sources.rpicam import Rpicam
from emo_edge.sources.settings import Asked
from emo_edge.sources.stills import PICTURES, pictures_among, pictures_in, stills
from emo_edge.sources.streams import Stream
from emo_edge.sources.webcam import Webcam

# A camera that is not plugged in has no node to be told by.
NODES = ("/dev/video", "/dev/v4l/")
CSI = re.compile(r"(rpicam|picamera2)(?::(\d))?")


@contextmanager
def open_source(
    text: str, health: Health | None = None, asked: Asked | None = None
) -> Iterator[Source]:
    """Open what `text` names.

    Args:
        text: Camera index ("0"), /dev/videoN, "rpicam", "picamera2" (":1" for the second), URL of
            a stream, picture, folder, glob or video file.
        health: Is told how the source fares.
        asked: Size and rate to ask a camera for; None for the camera's usual.

    Raises:
        SourceError: it cannot be opened; says what is there instead where that helps.
        UsageError: a size or rate is asked of something that has its own, or a name is none that
            OpenCV may be given.
    """
    if not text.strip():  # an unset shell variable would mean the current folder
        raise SourceError("the source is empty: give a camera, a file, a folder or a URL")
    health = health or Health()
    camera = _camera(text, asked or Asked())
    if asked is not None and not is_camera(text):
        raise UsageError(
            "--size and --fps are for cameras at this machine; this source has its own"
        )
    health.source.name = text if camera is None else camera.name
    with _files(text, health) if camera is None else live(camera, health) as source:
        health.source.kind = source.kind
        health.source.turn("delivering")
        yield source


def reads(text: str, place: Path) -> bool:
    """Whether a source of files reads what stands at `place` (resolved), or will the next time."""
    given = Path(text)
    if given.is_dir():
        return place.suffix.lower() in PICTURES and place.is_relative_to(given.resolve())
    if given.exists():
        return place == given.resolve()
    return any(place == Path(found).resolve() for found in glob.glob(text, recursive=True))  # noqa: PTH207


def is_camera(text: str) -> bool:
    """Whether `text` names a camera at this machine, which has a size and a rate to ask for."""
    camera = _camera(text, Asked())
    return camera is not None and not isinstance(camera, Stream)


def _camera(text: str, asked: Asked) -> Camera | None:
    csi = CSI.fullmatch(text)
    if csi is not None:
        opens = Rpicam if csi[1] == "rpicam" else Picamera
        return opens(text, int(csi[2] or 0), asked)
    if "://" in text:
        return Stream(text)
    if text.isdigit() or text.startswith(NODES) or stat.S_ISCHR(_mode(Path(text))):
        return Webcam(text, asked)
    return None


@contextmanager
def _files(text: str, health: Health) -> Iterator[Source]:
    with _read(text) as source:
        yield replace(source, frames=_counted(source.frames, health))


def _counted(frames: Iterator[Frame | None], health: Health) -> Iterator[Frame | None]:
    for frame in frames:
        health.source.frames += 1
        yield frame


@contextmanager
def _read(text: str) -> Iterator[Source]:
    path, mode = Path(text), _mode(Path(text))
    if mode and not os.access(path, os.R_OK):
        raise SourceError(f"cannot open {text}: {os.strerror(errno.EACCES)}")
    if stat.S_ISDIR(mode):
        yield Source(text, "stills", 1.0, stills(pictures_in(path), skip_unreadable=True))
    elif stat.S_ISREG(mode) and cv2.haveImageReader(opencv_name(path)):
        yield Source(text, "stills", 1.0, stills([path], skip_unreadable=False))
    elif stat.S_ISREG(mode):
        with recording(text) as source:
            yield source
    elif glob.has_magic(text):
        paths = pictures_among(text, glob.glob(text, recursive=True))  # noqa: PTH207 (text may be absolute)
        yield Source(text, "stills", 1.0, stills(paths, skip_unreadable=True))
    else:
        raise SourceError(f"no such file, folder or camera: {text}")


def _mode(path: Path) -> int:
    """Return the mode of what is there, 0 if nothing is; raises `SourceError` if one cannot ask."""
    try:
        return path.stat().st_mode
    except (FileNotFoundError, NotADirectoryError):
        return 0
    except OSError as error:  # a name that is too long, a folder that may not be entered
        raise SourceError(f"cannot open {str(path)[:80]}: {error.strerror}") from error
    except ValueError as error:  # a NUL
        raise SourceError(f"cannot open {str(path)[:80]!r}: {error}") from error
