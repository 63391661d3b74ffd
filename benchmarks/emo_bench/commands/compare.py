"""`emo-bench compare`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from emo_bench.commands.options import finite
from emo_edge.commands import guarded, require_extra
from emo_edge.errors import RegressionError
from emo_edge.messages import warn


@guarded
def compare(
    a: Annotated[Path, typer.Argument(metavar="A.json", help="Reference results.")],
    b: Annotated[Path, typer.Argument(metavar="B.json", help="Results to judge.")],
    max_slowdown: Annotated[
        str,
        typer.Option(
            help="How much larger a median time, or a count of instructions, may be than A's."
        ),
    ] = "10%",
    max_drop: Annotated[
        float,
        typer.Option(min=0.0, callback=finite, help="How many points of top-1 may be lost."),
    ] = 0.5,
    across_machines: Annotated[
        bool, typer.Option("--across-machines", help="Compare times of different machines.")
    ] = False,
) -> None:
    """Judge whether B is worse than A; exit code 10 if it is, by more than is allowed."""
    require_extra("workstation", "rich")
    from emo_bench.compare import UNCLEAR, WORSE, Allowed, percent
    from emo_bench.compare import compare as judge
    from emo_bench.grids import show
    from emo_bench.results import parts, read
    from emo_bench.views.compare import grids

    allowed = Allowed(percent(max_slowdown), max_drop)
    before, after = read(a), read(b)
    changes, lost, worse = judge(before, after, allowed, across_machines=across_machines)
    for grid in grids(changes) if changes else ():
        show(grid)
    for name, outcome in (("A", before), ("B", after)):
        for part in parts(outcome):
            for text in part.all_warnings():
                warn(f"{name}: {text}")
    for text in lost:
        warn(text)
    for change in changes:
        if change.verdict == UNCLEAR:
            warn(
                f"{change.subject}: {change.change:+.1f} % cannot be told from none; measure "
                "longer, or on a calmer machine"
            )
    worse += [
        f"{change.subject}: {change.quantity} {change.before:.3f} -> {change.after:.3f}"
        for change in changes
        if change.verdict == WORSE
    ]
    if worse:
        raise RegressionError(f"{b} is worse than {a} by more than is allowed: {'; '.join(worse)}")
