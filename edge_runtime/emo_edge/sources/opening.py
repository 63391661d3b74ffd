"""One notation for everything that yields frames."""

from __future__ import annotations

import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import cv2

from emo_edge.errors import SourceError
from emo_edge.health import Health
from emo_edge.sources.frame import Source
from emo_edge.sources.live import live, open_camera, open_stream
from emo_edge.sources.recordings import recording
from emo_edge.sources.stills import pictures_in, stills


@contextmanager
def open_source(text: str, health: Health | None = None) -> Iterator[Source]:
    """Open a camera index ("0"), /dev/videoN, picture, folder, video file or stream URL.

    Args:
        text: What to open.
        health: Is told how the source fares.

    Raises:
        SourceError: it cannot be opened; says what is there instead where that helps.
    """
    health = health or Health()
    with _opened(text) as source:
        health.source.name, health.source.kind = source.name, source.kind
        health.source.turn("delivering")
        yield source


@contextmanager
def _opened(text: str) -> Iterator[Source]:
    if not text.strip():  # an unset shell variable would mean the current folder
        raise SourceError("the source is empty: give a camera index, a file, a folder or a URL")
    path, mode = Path(text), mode_of(Path(text))
    if text.isdigit() or text.startswith("/dev/video"):
        with live(text, open_camera(text)) as source:
            yield source
    elif "://" in text:
        with live(text, open_stream(text)) as source:
            yield source
    elif stat.S_ISDIR(mode):
        yield Source(text, "stills", 1.0, stills(pictures_in(path), skip_unreadable=True))
    elif stat.S_ISREG(mode) and cv2.haveImageReader(str(path)):
        yield Source(text, "stills", 1.0, stills([path], skip_unreadable=False))
    elif stat.S_ISREG(mode):
        with recording(text) as source:
            yield source
    else:
        raise SourceError(f"no such file, folder or camera: {text}")


def mode_of(path: Path) -> int:
    """Return the mode of what is there, 0 if nothing is; raises `SourceError` if one cannot ask."""
    try:
        return path.stat().st_mode
    except (FileNotFoundError, NotADirectoryError):
        return 0
    except OSError as error:  # a name that is too long, a folder that may not be entered
        raise SourceError(f"cannot open {str(path)[:80]}: {error.strerror}") from error
