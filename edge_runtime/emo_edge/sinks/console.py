"""What people see: a timeline of changes, and on a terminal a live line below it."""

from __future__ import annotations

import os
import time
import unicodedata
from collections.abc import Sequence
from typing import TextIO

from emo_edge.pipeline import Reading
from emo_edge.sinks.presence import Presence
from emo_edge.sinks.stdout import Stdout
from emo_edge.sources.frame import Frame, Kind

REDRAW_SECONDS = 0.1
FPS_SECONDS = 2.0
ERASE = "\r\x1b[K"  # the whole line


class Console:
    """A line whenever a face appears, changes its label or leaves; a picture is a line a face.

    On a terminal a last line shows every face as it is now, redrawn ten times a second at most. The
    cursor rests at its beginning, so that whatever else is printed takes its place.
    """

    def __init__(self, kind: Kind, stream: TextIO | None = None) -> None:
        self._out = Stdout(stream)
        self._kind = kind
        self._presence = Presence()
        self._origin: float | None = None
        self._live = LiveLine(self._out.stream) if kind != "stills" else None
        if self._live is not None and not self._live.possible:
            self._live = None

    def __call__(self, frame: Frame, readings: Sequence[Reading]) -> bool:
        """Print what changed; return whether something did."""
        if self._kind == "stills":
            lines = [_still_line(reading) for reading in readings] or ["no face"]
            return self._print([f"{_plain(frame.name)}: {line}" for line in lines])
        if self._origin is None:  # a video has a clock of its own, a camera's begins now
            self._origin = frame.captured_at if self._kind == "live" else 0.0
        at = frame.captured_at - self._origin
        changed, gone = self._presence.update(frame.captured_at, readings)
        lines = [f"{at:8.2f} s  {_change(reading)}" for reading in changed]
        lines += [f"{at:8.2f} s  face {track}  gone" for track in gone]
        below = ""
        if self._live is not None:
            below = self._live.draw(at, frame, list(self._presence.faces.values()), bool(lines))
        return self._print(lines, below)

    def close(self) -> None:
        """Take the live line away."""
        if self._live is not None:
            self._out.append(ERASE)

    def _print(self, lines: Sequence[str], below: str = "") -> bool:
        if self._live is not None and lines:
            lines = [ERASE + line for line in lines]
        text = "".join(f"{line}\n" for line in lines) + below
        if text:
            self._out.append(text)  # at once: a line that is cleared and drawn apart flickers
        return bool(text)


class LiveLine:
    """The last line of a terminal."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self.possible = stream.isatty() and os.environ.get("TERM", "dumb") != "dumb"
        self._drawn_at = self._counted_at = -FPS_SECONDS
        self._frames, self._fps = 0, ""

    def draw(self, at: float, frame: Frame, faces: Sequence[Reading], now: bool) -> str:
        """Return what redraws the line; nothing if it was redrawn a moment ago, unless `now`."""
        clock = time.monotonic()
        self._frames += 1
        if clock - self._counted_at >= FPS_SECONDS:
            if self._frames > 1:
                self._fps = f"  {self._frames / (clock - self._counted_at):.1f} fps"
            self._counted_at, self._frames = clock, 0
        if not now and clock - self._drawn_at < REDRAW_SECONDS:
            return ""
        self._drawn_at = clock
        age = (clock - frame.grabbed_at) * 1000
        seen = "  ".join(_now(face) for face in faces) or "no face"
        text = f"{at:8.2f} s  {seen}{self._fps}  {age:.0f} ms"
        # The last column stays empty: some terminals wrap when it is written.
        return f"\r{fitted(text, self._columns() - 1)}\x1b[K\r"

    def _columns(self) -> int:
        try:
            return os.get_terminal_size(self._stream.fileno()).columns or 80
        except OSError:
            return 80


def fitted(text: str, columns: int) -> str:
    """Return as much of `text` as fits into so many terminal cells (East Asian signs take two)."""
    kept, used = [], 0
    for sign in text:
        if unicodedata.combining(sign):
            width = 0
        else:
            width = 2 if unicodedata.east_asian_width(sign) in "WF" else 1
        used += width
        if used > columns:
            break
        kept.append(sign)
    return "".join(kept)


def _plain(text: str) -> str:
    """Return `text` without control characters, which could steer the terminal."""
    return "".join(sign if sign.isprintable() else "?" for sign in text)


def _change(reading: Reading) -> str:
    age = (reading.ready_at - reading.captured_at) * 1000
    label = f"{_plain(reading.label):<12} {reading.confidence:4.0%}"
    return f"face {reading.track}  {label}  ({age:.0f} ms old)"


def _now(reading: Reading) -> str:
    return f"face {reading.track} {_plain(reading.label)} {reading.confidence:.0%}"


def _still_line(reading: Reading) -> str:
    x, y, w, h = (round(v) for v in reading.box[:4])
    return f"{_plain(reading.label)} {reading.confidence:.0%}  (face {w}x{h} at {x},{y})"
