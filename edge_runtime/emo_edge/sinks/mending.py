"""The end of a log after a power cut: whole rows stay, what is torn is cut."""

from __future__ import annotations

import os
from pathlib import Path

from emo_edge.messages import warn

CHUNK = 1 << 16


def mend(file: int, path: Path) -> None:
    """Cut what a power cut left of a last row (a row without its end, NUL bytes); say so."""
    size = os.fstat(file).st_size
    whole = _end_of_whole_rows(file, size)
    if whole < size:
        os.ftruncate(file, whole)
        os.fsync(file)
        warn(f"{path}: cut {size - whole} bytes off its end, where a power cut tore a row")


def _end_of_whole_rows(file: int, size: int) -> int:
    """Return the offset after the last row that ends in a newline and holds no NUL byte."""
    end = _last_newline(file, size) + 1
    while end > 0:
        start = _last_newline(file, end - 1) + 1
        if b"\0" not in os.pread(file, end - start, start):
            return end
        end = start
    return 0


def _last_newline(file: int, end: int) -> int:
    """Return the offset of the last newline before `end`, -1 if there is none."""
    while end > 0:
        start = max(0, end - CHUNK)
        found = os.pread(file, end - start, start).rfind(b"\n")
        if found >= 0:
            return start + found
        end = start
    return -1
