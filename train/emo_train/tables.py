"""Tables for people: drawn on a terminal, plain columns elsewhere."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence

from rich import box
from rich.console import Console
from rich.table import Table


def show(columns: Sequence[str], rows: Iterable[Sequence[str]], *, result: bool) -> None:
    """Print a table whose first column is text and whose others are numbers.

    Args:
        columns: Headings.
        rows: Cells.
        result: Whether it is what the command was asked for (stdout), or a remark (stderr).
    """
    file = sys.stdout if result else sys.stderr
    console = Console(file=file, highlight=False)
    drawn = console.is_terminal
    table = Table(box=box.ROUNDED if drawn else None, pad_edge=drawn)
    for number, column in enumerate(columns):
        table.add_column(column, justify="right" if number else "left", no_wrap=True)
    for row in rows:
        table.add_row(*row)
    if not drawn:
        console.width = console.measure(table).maximum
    console.print(table)
