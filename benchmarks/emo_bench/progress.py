"""How far a benchmark is: a live bar on a terminal, one line a job elsewhere."""

from __future__ import annotations

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Column

from emo_edge.messages import say


class Jobs:
    """Tells of one job after the other; a context.

    The bar has no thread that would redraw it: some benchmarks measure their own process. It is
    drawn anew when a job begins.

    Args:
        kind: What is measured.
        count: How many jobs there are; one alone is not told of.
    """

    def __init__(self, kind: str, count: int) -> None:
        self._kind, self._count, self._begun = kind, count, 0
        console = Console(stderr=True)
        one_line = Column(ratio=1, no_wrap=True, overflow="ellipsis")
        self._bar = Progress(
            TextColumn("{task.description}", markup=False, table_column=one_line),
            BarColumn(bar_width=12),
            MofNCompleteColumn(),
            TimeRemainingColumn(),
            TextColumn("left"),
            console=console,
            expand=True,
            auto_refresh=False,
            transient=True,
            redirect_stdout=False,
            disable=not console.is_terminal or count < 2,
        )
        self._task = self._bar.add_task(kind, total=count)

    def __enter__(self) -> Jobs:
        self._bar.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self._bar.stop()

    def begin(self, subject: str) -> None:
        """Say that the next job begins."""
        if not self._bar.disable:
            told = f"{self._kind}: {subject}"
            self._bar.update(self._task, completed=self._begun, description=told)
            self._bar.refresh()
        elif self._count > 1:
            say(f"{self._kind} {self._begun + 1}/{self._count}: {subject}")
        self._begun += 1
