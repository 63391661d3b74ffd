"""The board's part in a run: its sensors into the health, its heat into the pace."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

from emo_edge.board.governor import LEVELS, step
from emo_edge.board.sensors import ROOT, BoardState, Throttling, read_board, throttle_celsius
from emo_edge.health import Health
from emo_edge.messages import say, warn
from emo_edge.pace import Pace

SAMPLE_SECONDS = 5.0  # heat needs tens of seconds to come or go
UNDER_VOLTAGE = "under-voltage"
# So long after the last "throttled" the pace is as it was: slowing down takes the cause away, and a
# weak supply flickers.
CALM_SAMPLES = 12


class BoardWatch:
    """Reads the sensors in a thread of its own; `beat`, called by the loop, acts on what is new.

    A sensor may take a while to answer (a Raspberry Pi's firmware is asked through a command), and
    the loop must not wait for it. Use as a context manager: leaving it ends the thread.

    Args:
        health: Gets `board`.
        pace: Is slowed down, never below what it was when the run began.
        limit: Temperature at which the board throttles; None asks the board.
        root: Where the sensors are.
        period: Seconds between two samples.
    """

    def __init__(
        self,
        health: Health,
        pace: Pace,
        *,
        limit: float | None = None,
        root: Path = ROOT,
        period: float = SAMPLE_SECONDS,
    ) -> None:
        self._health, self._pace = health, pace
        self._wanted_fps, self._wanted_stretch = pace.max_fps, pace.search_stretch
        self._limit = throttle_celsius(root) if limit is None else limit
        self._root, self._period = root, period
        self._level, self._weak = 0, False
        self._calm = CALM_SAMPLES  # samples since the board last throttled
        self._seen: BoardState | None = None
        self._newest = read_board(root)
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._sample, name="board", daemon=True)

    def __enter__(self) -> BoardWatch:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join()

    def _sample(self) -> None:
        while not self._ended.wait(self._period):
            self._newest = read_board(self._root)

    def beat(self) -> None:
        """Take in a new sample, if there is one."""
        state = self._newest
        if state is self._seen:
            return
        self._seen = state
        now = (state.throttling or Throttling()).now
        self._report_voltage(UNDER_VOLTAGE in now)
        self._turn(state.celsius, throttled="throttled" in now)
        with self._health.lock:
            self._health.board = described(state, self._level)

    def _report_voltage(self, weak: bool) -> None:
        if weak and not self._weak:  # once a run: a weak supply flickers
            warn("under-voltage: the power supply or its cable is too weak for this board")
            self._weak = True

    def _turn(self, celsius: float | None, *, throttled: bool) -> None:
        self._calm = 0 if throttled else min(self._calm + 1, CALM_SAMPLES)
        throttles = self._calm < CALM_SAMPLES
        level = step(self._level, celsius, throttled=throttles, limit=self._limit)
        if level == self._level:
            return
        self._level = level
        self._pace.max_fps, self._pace.search_stretch = self._wanted_fps, self._wanted_stretch
        at = "" if celsius is None else f" at {celsius:.0f} C"
        if not level:
            say(f"the board is{at or ' calm'}: full speed again")
            return
        allowed = LEVELS[level - 1]
        self._pace.max_fps = min(allowed.max_fps, self._wanted_fps or allowed.max_fps)
        self._pace.search_stretch = max(allowed.search_stretch, self._wanted_stretch)
        hot = f"the board is{at} (it throttles at {self._limit:.0f} C)"
        why = f"the board throttles{at}" if throttles else hot
        say(f"{why}: slowed down to {self._pace.max_fps:g} frames a second")


def described(state: BoardState, level: int) -> dict[str, Any]:
    """Return `Health.board`: the state, JSON-ready, with the governor's level (0 is full speed).

    Keys: celsius, throttled and throttled_since_boot (lists of words, or None), cpu_governor,
    megahertz, max_megahertz, load, level.
    """
    flags = state.throttling
    return {
        "celsius": state.celsius,
        "throttled": None if flags is None else list(flags.now),
        "throttled_since_boot": None if flags is None else list(flags.since_boot),
        "cpu_governor": state.governor,
        "megahertz": state.megahertz,
        "max_megahertz": state.max_megahertz,
        "load": state.load,
        "level": level,
    }
