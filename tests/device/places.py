"""Every system, on every board that runs it, and on every core."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from boards import BOARDS
from userland import SUITES, Userland

ROOT = Path(__file__).parents[2]
Guest = Callable[[str], Userland]

SHORT = ("bookworm", "pi4")  # what continuous integration runs
SYSTEMS = [
    pytest.param(name, marks=[pytest.mark.short] * (name == SHORT[0]), id=name) for name in SUITES
]


def _place(system: str, board: str) -> Any:
    marks = [pytest.mark.short] * ((system, board) == SHORT)
    return pytest.param(system, board, marks=marks, id=f"{system}-{board}")


PLACES = [_place(name, board) for name, suite in SUITES.items() for board in suite.boards]
# One board of those with the same core (the Zero 2 W has the Pi 3's): they compute alike.
CORES = [
    _place(name, board)
    for name, suite in SUITES.items()
    for board in {BOARDS[board].cpu: board for board in suite.boards}.values()
]
