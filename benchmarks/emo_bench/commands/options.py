"""Options that several benchmarks share, and how each of them ends."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from emo_edge.artifacts import require_writable
from emo_edge.messages import warn

if TYPE_CHECKING:
    from emo_bench.grids import Grid
    from emo_bench.results import Outcome, Result

Models = Annotated[
    list[str], typer.Argument(metavar="MODEL...", help="Model files, or shipped ones by name.")
]
BackendOption = Annotated[
    str, typer.Option(help="Runtime: auto, tflite_runtime, ai_edge_litert, tensorflow.")
]
DetectorOption = Annotated[str, typer.Option(help="Face detector: auto, yunet, haar, none.")]
ModelLabelsOption = Annotated[
    Path | None, typer.Option(help="Labels of a plain .tflite, one a line.")
]
InputRangeOption = Annotated[
    tuple[float, float] | None,
    typer.Option(help="What pixels 0 and 255 become for a plain .tflite, e.g. -1 1."),
]
JsonOption = Annotated[Path | None, typer.Option("--json", help="Write the results here too.")]


def finite(value: float | None) -> float | None:
    """Return what an option was given; a callback, because NaN is within the limits of any."""
    if value is not None and not math.isfinite(value):
        raise typer.BadParameter(f"{value} is not a finite number")
    return value


def require_places(*files: Path | None) -> None:
    """Raise `OutputError` if a file cannot be written: now, rather than after hours."""
    for file in files:
        if file is not None:
            require_writable(file)


def finish(outcome: Outcome, grids: Callable[[Sequence[Result]], list[Grid]]) -> None:
    """Show what was found, which is kept already, and exit with the code of the first failure."""
    from emo_bench.grids import show

    if outcome.results:
        for grid in grids(outcome.results):
            show(grid)
        for text in outcome.all_warnings():
            warn(text)
    if outcome.failures:
        raise typer.Exit(outcome.exit_code)
