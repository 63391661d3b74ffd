"""A Raspberry Pi's CSI camera, through the pipe of rpicam-vid (libcamera-vid before 2023).

The program is the system's, so that any virtual environment will do.
"""

from __future__ import annotations

import os
import select
import shutil
import subprocess
import time
from pathlib import Path

from emo_edge.errors import SourceError
from emo_edge.sources.jpeg import START, end_of_picture
from emo_edge.sources.settings import Asked

PROGRAMS = ("rpicam-vid", "libcamera-vid")
LISTERS = ("rpicam-hello", "libcamera-hello")
DEFAULT_FPS = 30.0
SILENCE_SECONDS = 2.0
ENDING_SECONDS = 2.0
LISTING_SECONDS = 10.0
PIECE = 1 << 16
LARGEST_PICTURE = 8 << 20
LAST_WORDS = 300


class Rpicam:
    """The CSI camera `number`: "rpicam" is the first, "rpicam:1" the second."""

    def __init__(self, name: str, number: int, asked: Asked) -> None:
        self.name, self._number, self._asked = name, number, asked

    def open(self) -> Pipe:
        """Start the program; raises `SourceError` if it is not installed."""
        program = _installed(PROGRAMS)
        if program is None:
            raise SourceError("rpicam-vid is not installed; run: sudo apt install rpicam-apps-lite")
        width, height = self._asked.width, self._asked.height
        fps = self._asked.fps or DEFAULT_FPS
        command = [program, "--camera", str(self._number), "--codec", "mjpeg", "--nopreview"]
        command += ["--timeout", "0", "--flush", "--output", "-", "--framerate", f"{fps:g}"]
        command += ["--width", str(width), "--height", str(height)]
        title = f"{width}x{height} MJPG at {fps:g} fps from {Path(program).name}"
        return Pipe(command, title, fps)

    def hint(self) -> object:
        """A CSI camera has no node to watch."""
        return None


class Pipe:
    """A program that writes JPEG pictures, one after the other, to its stdout."""

    noisy = True

    def __init__(self, command: list[str], title: str, fps: float) -> None:
        self.title, self.fps = title, fps
        self._program = Path(command[0]).name
        self._words = b""
        try:
            self._process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                bufsize=0,
                start_new_session=True,  # Ctrl-C is for the loop, which ends the program itself
            )
        except OSError as error:
            raise SourceError(f"{command[0]} cannot be run: {error.strerror}") from error
        assert self._process.stdout is not None and self._process.stderr is not None
        self._pipes = [self._process.stdout.fileno(), self._process.stderr.fileno()]
        self._pieces = Pictures()

    def read(self) -> tuple[bytes, float] | None:
        """Return the next picture; see `Capture`."""
        until = time.monotonic() + SILENCE_SECONDS
        while (picture := self._pieces.take()) is None:
            left = until - time.monotonic()
            ready = select.select(self._pipes, [], [], left)[0] if left > 0 else []
            if not ready:
                return None
            for pipe in ready:
                self._add(pipe, os.read(pipe, PIECE))
        return picture, time.monotonic()

    def _add(self, pipe: int, piece: bytes) -> None:
        if pipe == self._pipes[0]:
            if not piece:
                raise SourceError(f"{self._program} ended{self._last_words()}")
            self._pieces.add(piece)
        elif piece:  # months of remarks: only the last may matter
            self._words = (self._words + piece)[-LAST_WORDS:]
        else:
            self._pipes.remove(pipe)

    def close(self) -> None:
        """End the program."""
        self._process.terminate()
        try:
            self._process.wait(ENDING_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        for pipe in (self._process.stdout, self._process.stderr):
            if pipe is not None:
                pipe.close()

    def _last_words(self) -> str:
        # The end of the pictures may be noticed together with what was said before it.
        for pipe in select.select(self._pipes[1:], [], [], 0)[0]:
            self._add(pipe, os.read(pipe, PIECE))
        lines = self._words.decode("utf-8", "replace").splitlines()
        said = [line.strip() for line in lines if line.strip()]
        return f": {said[-1]}" if said else ""


class Pictures:
    """Cuts a stream of bytes into JPEG pictures, by their markers; holds no more than one."""

    def __init__(self) -> None:
        self._held = bytearray()
        self._skipping = False

    def add(self, piece: bytes) -> None:
        """Take in what arrived."""
        self._held += piece

    def take(self) -> bytes | None:
        """Return the next picture, None until it is complete; what is damaged is given as it is."""
        start = self._held.find(START)
        if start < 0:
            del self._held[: max(0, len(self._held) - len(START) + 1)]
            return None
        del self._held[:start]
        try:
            end = end_of_picture(self._held)
        except ValueError:  # on to the next picture; this one is given, and counted as broken
            end = self._held.find(START, len(START))
            end = max(end, 0)
        if not end and len(self._held) > LARGEST_PICTURE:
            end = len(self._held)
        if not end:
            return None
        picture = bytes(self._held[:end])
        del self._held[:end]
        return picture


def rpicams() -> list[tuple[int, str]]:
    """Return (number, description) of the CSI cameras; empty without the programs."""
    program = _installed(LISTERS)
    if program is None:
        return []
    try:
        done = subprocess.run(
            [program, "--list-cameras"],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=LISTING_SECONDS,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return []
    found = []
    for line in done.stdout.splitlines() + done.stderr.splitlines():
        number, colon, description = line.partition(" : ")
        if colon and number.strip().isdigit():
            found.append((int(number), description.strip()))
    return found


def _installed(programs: tuple[str, ...]) -> str | None:
    return next((path for name in programs if (path := shutil.which(name))), None)
