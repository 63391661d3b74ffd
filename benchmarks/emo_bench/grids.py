"""Tables, written once and shown in a terminal, in Markdown and in HTML."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

from rich.console import Console
from rich.table import Table

WIDTH = 160  # where stdout is no terminal


@dataclass(frozen=True)
class Grid:
    """A table of texts.

    Attributes:
        title: What is shown, with its unit.
        columns: Their names.
        rows: Cells, as many as columns.
        left: How many columns hold words and stand left; the others hold numbers and stand right.
    """

    title: str
    columns: Sequence[str]
    rows: Sequence[Sequence[str]]
    left: int = 1


class _Stdout(Console):
    """Lets a reader that is gone be an error like any other; Rich would exit with 1."""

    def on_broken_pipe(self) -> None:
        """Raise the `BrokenPipeError` that is being handled."""
        raise  # noqa: PLE0704


def show(grid: Grid) -> None:
    """Print a table to stdout; wide enough for a file when stdout is none of a terminal's."""
    console = _Stdout()
    if not console.is_terminal:
        console = _Stdout(width=WIDTH)

    def shown(text: str) -> str:  # a name may hold what stdout cannot take
        return text.encode(console.encoding, "backslashreplace").decode(console.encoding)

    table = Table(title=shown(grid.title), title_justify="left")
    for number, name in enumerate(grid.columns):
        table.add_column(
            shown(name), justify="left" if number < grid.left else "right", overflow="fold"
        )
    for row in grid.rows:
        table.add_row(*map(shown, row))
    console.print(table, markup=False)


def markdown(grid: Grid) -> str:
    """Return the table in GitHub's Markdown, below its title."""
    rules = ["---" if number < grid.left else "---:" for number in range(len(grid.columns))]
    lines = [grid.columns, rules, *grid.rows]
    return "\n".join(
        [f"**{grid.title}**", "", *("| " + " | ".join(map(_cell, line)) + " |" for line in lines)]
    )


def html(grid: Grid) -> str:
    """Return the table as HTML."""

    def row(tag: str, cells: Sequence[str]) -> str:
        styles = ["" if number < grid.left else ' class="number"' for number in range(len(cells))]
        parts = [
            f"<{tag}{style}>{escape(cell)}</{tag}>"
            for style, cell in zip(styles, cells, strict=True)
        ]
        return f"<tr>{''.join(parts)}</tr>"

    body = "\n".join(row("td", cells) for cells in grid.rows)
    head = row("th", grid.columns)
    caption = f"<caption>{escape(grid.title)}</caption>"
    return f"<table>{caption}\n<thead>{head}</thead>\n<tbody>\n{body}\n</tbody></table>"


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")
