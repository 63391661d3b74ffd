"""The board: heat, power, clock speed, memory, disk, time of day."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Iterator
from datetime import datetime, timezone
from pathlib import Path
from typing import Literal

from emo_edge.board.sensors import (
    ROOT,
    BoardState,
    board_model,
    cpu_model,
    read_board,
    throttle_celsius,
)
from emo_edge.cache import cache_folder
from emo_edge.doctor.finding import Finding
from emo_edge.errors import OutputError

NEAR = 10.0  # degrees below the limit from which on heat is worth a note
POWER = "use the board's own power supply and a short cable"
COOLING = "give it a heat sink or a fan, or set --max-fps"
# A run holds some 100 MB; files are appended to for months.
LEAST_MEMORY, LEAST_DISK, LITTLE_DISK = 150e6, 100e6, 1e9
DAY = 86_400.0


def examine(root: Path = ROOT) -> Iterator[Finding]:
    """Yield the findings about the board."""
    state = read_board(root)
    # A Raspberry Pi calls its processor by the board's name.
    names = dict.fromkeys(name for name in (board_model(root), cpu_model(root)) if name)
    yield Finding("OK", "board", ", ".join(names) or "unknown")
    yield _temperature(state, throttle_celsius(root))
    yield _throttling(state)
    yield _governor(state)
    yield _memory(root)
    yield _disk()
    yield _clock()


def _problem_if(bad: bool) -> Literal["problem", "note"]:
    return "problem" if bad else "note"


def _temperature(state: BoardState, limit: float) -> Finding:
    if state.celsius is None:
        return Finding("note", "temperature", "no sensor: nothing slows down before it throttles")
    said = f"{state.celsius:.0f} C, throttles at {limit:.0f} C"
    if state.celsius < limit - NEAR:
        return Finding("OK", "temperature", said)
    return Finding(_problem_if(state.celsius >= limit), "temperature", said, COOLING)


def _throttling(state: BoardState) -> Finding:
    flags = state.throttling
    if flags is None:
        return Finding("OK", "throttling", "not told by this board")
    words, when = (flags.now, "now") if flags.now else (flags.since_boot, "since boot")
    if not words:
        return Finding("OK", "throttling", "none")
    fix = POWER if "under-voltage" in words else COOLING
    verdict = _problem_if(bool(flags.now))
    return Finding(verdict, "throttling", f"{', '.join(words)} ({when})", fix)


def _governor(state: BoardState) -> Finding:
    if state.governor is None:
        return Finding("OK", "governor", "not told by this board")
    speed = f", {state.megahertz:.0f} MHz" if state.megahertz else ""
    said = f"{state.governor}{speed} of {state.max_megahertz:.0f} MHz"
    if state.governor == "powersave":
        fix = "echo ondemand | sudo tee /sys/devices/system/cpu/cpu*/cpufreq/scaling_governor"
        return Finding("note", "governor", said, fix)
    return Finding("OK", "governor", said)


def _memory(root: Path) -> Finding:
    try:
        lines = (root / "proc/meminfo").read_text(encoding="utf-8").splitlines()
        kilobytes = dict(line.split(":", 1) for line in lines)["MemAvailable"].split()[0]
        free = int(kilobytes) * 1024
    except (OSError, ValueError, LookupError):
        return Finding("OK", "memory", "not told by this machine")
    said = f"{free / 1e6:.0f} MB free"
    if free < LEAST_MEMORY:
        fix = "stop other programs: a run needs some 100 MB"
        return Finding("problem", "memory", said, fix)
    return Finding("OK", "memory", said)


def _disk() -> Finding:
    places = {"here": Path.cwd()}
    try:
        above = cache_folder().parents
        # Not Path.exists, which raises for a folder that one may not look into.
        places["the cache"] = next(p for p in above if os.path.exists(p))  # noqa: PTH110
    except OutputError as error:
        return Finding("problem", "disk", str(error))
    free = {name: shutil.disk_usage(path).free for name, path in places.items()}
    name, least = min(free.items(), key=lambda place: place[1])
    said = f"{least / 1e6:.0f} MB free ({name})"
    if not os.access(places["the cache"], os.W_OK | os.X_OK):
        fix = "set XDG_CACHE_HOME to a folder that this user may write to"
        return Finding("note", "disk", f"{said}; {places['the cache']} cannot be written", fix)
    if least < LITTLE_DISK:
        fix = "make room, or bound the logs with --log-size"
        return Finding(_problem_if(least < LEAST_DISK), "disk", said, fix)
    return Finding("OK", "disk", said)


def _clock() -> Finding:
    """Judge the time of day: boards without a battery start somewhere in the past."""
    now, installed = time.time(), Path(__file__).stat().st_mtime
    said = datetime.fromtimestamp(now, timezone.utc).isoformat(timespec="seconds")
    if now < installed - DAY:
        fix = "sudo timedatectl set-ntp true, or set the clock"
        return Finding("problem", "clock", f"{said} is before this program was installed", fix)
    return Finding("OK", "clock", said)
