"""Boxes that people drew around faces: a CSV file beside its pictures.

    image,x,y,w,h
    street.jpg,194,90,37,37

One row a face, in pixels of the picture; further columns do not matter. Pictures lie beside the CSV
file or below it.
"""

from __future__ import annotations

import csv
import math
from pathlib import Path

from emo_edge.contract import Box
from emo_edge.errors import DataError

COLUMNS = ("image", "x", "y", "w", "h")


def read_boxes(path: Path) -> dict[Path, list[Box]]:
    """Return the faces of every picture in the order of the file; raises `DataError`."""
    found: dict[Path, list[Box]] = {}
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            rows = csv.DictReader(file, restval="")
            missing = [name for name in COLUMNS if name not in (rows.fieldnames or ())]
            if missing:
                raise DataError(f"{path} lacks the columns {', '.join(missing)}")
            for number, row in enumerate(rows, start=2):
                found.setdefault(path.parent / row["image"], []).append(_box(row, path, number))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"cannot read {path}: {error}") from error
    if not found:
        raise DataError(f"{path} holds no boxes")
    return found


def _box(row: dict[str, str], path: Path, number: int) -> Box:
    try:
        x, y, w, h = (float(row[name]) for name in COLUMNS[1:])
    except ValueError as error:
        raise DataError(f"{path} line {number} is not a box: {error}") from error
    if not all(map(math.isfinite, (x, y, w, h))) or w <= 0 or h <= 0:
        raise DataError(f"{path} line {number}: a box has a width and a height above 0")
    return Box(x, y, w, h)
