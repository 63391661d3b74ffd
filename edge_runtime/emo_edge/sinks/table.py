"""`--csv`: one row a reading, with columns that the labels of the model fix."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Sequence
from pathlib import Path

from emo_edge.pipeline import Reading
from emo_edge.sinks.log import Log
from emo_edge.sinks.records import as_record
from emo_edge.sinks.stdout import Stdout
from emo_edge.sources.frame import Frame, Kind

BOX = ("x", "y", "w", "h")
COLUMNS = ("utc", "source", "frame", "time", "track", "label", "confidence", "age", *BOX)


class Table:
    """Readings as CSV, appended to a log; "-" is stdout. The header is written once.

    Columns are `COLUMNS` and p_LABEL for each label of the model; `utc` is empty for recordings.
    A file with other columns is not appended to: `UsageError`.
    """

    def __init__(self, target: str, kind: Kind, labels: Sequence[str], *, limit: int = 0) -> None:
        self._live, self._labels = kind == "live", labels
        header = _row([*COLUMNS, *(f"p_{label}" for label in labels)])
        self._rows: Log | Stdout
        if target == "-":
            self._rows = Stdout()
            self._rows.append(header)
        else:
            self._rows = Log(Path(target), header=header, limit=limit)

    def __call__(self, frame: Frame, readings: Sequence[Reading]) -> bool:
        """Write one row for each reading; return whether there was one."""
        self._rows.append("".join(self._text(frame, reading) for reading in readings))
        return bool(readings)

    def close(self) -> None:
        """Close the file (never stdout)."""
        self._rows.close()

    def _text(self, frame: Frame, reading: Reading) -> str:
        record = as_record(frame, reading, self._live)
        record.update(zip(BOX, record["box"], strict=True))
        values = [record.get(column, "") for column in COLUMNS]
        return _row([*values, *(record["probabilities"][label] for label in self._labels)])


def _row(values: Iterable[object]) -> str:
    """Return one line of CSV; a row is a line, so control characters in names are escaped."""
    plain = ["".join(c if c.isprintable() else ascii(c)[1:-1] for c in str(v)) for v in values]
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerow(plain)
    return text.getvalue()
