"""How a comparison is shown."""

from __future__ import annotations

from collections.abc import Sequence

from emo_bench.compare import Change
from emo_bench.grids import Grid


def grids(changes: Sequence[Change]) -> list[Grid]:
    """Return the table of `emo-bench compare`."""
    columns = ("subject", "verdict", "quantity", "A", "B", "change", "95 % interval")
    rows = [
        (
            change.subject,
            change.verdict,
            change.quantity,
            f"{change.before:.3f}",
            f"{change.after:.3f}",
            _signed(change.change, change.quantity),
            f"{change.interval[0]:+.2f} to {change.interval[1]:+.2f}",
        )
        for change in changes
    ]
    return [Grid("B against A; above 0 is worse", columns, rows, left=3)]


def _signed(value: float, quantity: str) -> str:
    return f"{value:+.2f} points" if quantity.startswith("top-1") else f"{value:+.1f} %"
