"""What a long run knows about itself: written by the source and the loop, read by everyone."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np

SourceState = Literal["opening", "delivering", "lost"]
STAGES = ("detect", "classify", "sinks")
FPS_SECONDS = 10.0
AGE_SECONDS = 60.0
KEPT_FRAMES = 3600  # a minute at 60 frames a second; of faster sources less than a minute is kept


@dataclass
class SourceHealth:
    """How the source fares.

    Attributes:
        name: What the user asked for, without credentials.
        kind: "live", "video" or "stills".
        state: "opening" until the first frame, then "delivering" or "lost".
        since: `time.monotonic` seconds at which the state began.
        reopened: How often a lost camera was found again.
        frames: Frames that arrived.
        skipped: Frames that arrived but were too old when the loop came for the next one.
        broken: Frames that arrived damaged.
        fps: Frames a second that arrived over the last seconds; None while nobody knows.
        error: Why the source was lost, or what is suspicious about it; empty while all is well.
    """

    name: str = ""
    kind: str = ""
    state: SourceState = "opening"
    since: float = field(default_factory=time.monotonic)
    reopened: int = 0
    frames: int = 0
    skipped: int = 0
    broken: int = 0
    fps: float | None = None
    error: str = ""

    def turn(self, state: SourceState, error: str = "") -> None:
        """Change the state, if it is another."""
        if state != self.state:
            self.since = time.monotonic()
        self.state, self.error = state, error


@dataclass
class SinkHealth:
    """How one sink fares: frames `written` and `dropped`, `error` while it is failing."""

    state: Literal["ok", "failing"] = "ok"
    written: int = 0
    dropped: int = 0
    error: str = ""


class LoopHealth:
    """How the loop fares.

    Attributes:
        frames: Frames that were analysed.
        readings: Readings given, all frames together.
        faces: Faces in the newest frame.
    """

    def __init__(self) -> None:
        self.frames = self.readings = self.faces = 0
        # Columns: monotonic seconds, age, one for each stage; seconds.
        self._ring = np.zeros((KEPT_FRAMES, 2 + len(STAGES)))

    def took(self, at: float, age: float, stages: Sequence[float], faces: int) -> None:
        """Take in one analysed frame.

        Args:
            at: `time.monotonic` seconds at which the frame was finished.
            age: Seconds from its capture to its readings.
            stages: Seconds of each of `STAGES`.
            faces: Number of its readings.
        """
        row = self._ring[self.frames % KEPT_FRAMES]
        row[0], row[1], row[2:] = at, age, stages
        self.frames += 1
        self.readings += faces
        self.faces = faces

    def snapshot(self, now: float) -> dict[str, Any]:
        """Return the numbers as of `now`; what cannot be known yet is None."""
        rows = self._ring[: min(self.frames, KEPT_FRAMES)]
        recent = rows[rows[:, 0] > now - AGE_SECONDS]
        lately = rows[rows[:, 0] > now - FPS_SECONDS, 0]
        span = now - lately.min() if len(lately) else FPS_SECONDS
        ages: list[float | None] = [None] * 3
        stages: list[float | None] = [None] * len(STAGES)
        if len(recent):
            ages = [_ms(age) for age in np.percentile(recent[:, 1], (50, 90, 99))]
            stages = [_ms(seconds) for seconds in recent[:, 2:].mean(axis=0)]
        return {
            "frames": self.frames,
            "readings": self.readings,
            "faces": self.faces,
            "fps": round(len(lately) / max(float(span), 1.0), 2),
            "age_ms": dict(zip(("p50", "p90", "p99"), ages, strict=True)),
            "stages_ms": dict(zip(STAGES, stages, strict=True)),
        }


class Health:
    """The health of one run.

    Attributes:
        source: How the source fares.
        loop: How the loop fares.
        sinks: Name of a sink -> how it fares.
        board: What the sensors of the board say (JSON-ready), None where nobody asks them.
        lock: Held by whoever changes several numbers that belong together.
    """

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.started = self._beat_at = time.monotonic()
        self.source, self.loop = SourceHealth(), LoopHealth()
        self.sinks: dict[str, SinkHealth] = {}
        self.board: dict[str, Any] | None = None

    def beat(self) -> None:
        """Take in that the loop turns, whether or not there is a frame."""
        self._beat_at = time.monotonic()

    def snapshot(self) -> dict[str, Any]:
        """Return everything, JSON-ready and consistent; durations in seconds unless named ms."""
        with self.lock:
            now = time.monotonic()
            source = {k: v for k, v in vars(self.source).items() if k != "since"}
            loop = self.loop.snapshot(now)
            if self.source.state == "lost":  # whoever was in the newest frame may be gone
                loop["faces"] = 0
            return {
                "uptime": round(now - self.started, 3),
                "seconds_since_beat": round(now - self._beat_at, 3),
                "source": {**source, "seconds_in_state": round(now - self.source.since, 3)},
                "loop": loop,
                "sinks": {name: dict(vars(sink)) for name, sink in self.sinks.items()},
                "board": None if self.board is None else dict(self.board),
            }


def _ms(seconds: float) -> float:
    return round(float(seconds) * 1000, 3)
