"""`emo-train average`: the mean of finished runs' weights, as a finished run."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Annotated

import typer

from emo_edge.artifacts import require_writable
from emo_edge.commands import guarded
from emo_edge.errors import UsageError
from emo_edge.messages import say
from emo_edge.runfolder import CONFIG
from emo_train.commands.workstation import require_workstation


@guarded
def average(
    runs: Annotated[
        list[Path],
        typer.Argument(metavar="RUN RUN...", help="Finished runs, one gone on from the other."),
    ],
    out: Annotated[Path, typer.Option(help="Run folder to write.")],
    data: Annotated[
        Path | None, typer.Option(help="Where the runs' data is now, if it has moved.")
    ] = None,
) -> None:
    """Average the weights of runs that went on from each other: often better than the best.

    The new run folder is scored and calibrated like any. Runs that began apart average to nothing.
    """
    require_workstation()
    if len(runs) < 2:
        raise UsageError("give two runs or more")
    from emo_train import soup
    from emo_train.records import refuse_existing

    refuse_existing(out)
    require_writable(out / CONFIG)
    metrics = soup.average(runs, out, data)
    say(
        f"top-1 {metrics['top1']:.1%} on {metrics['images']} {metrics['protocol']['scored_on']} "
        f"pictures; next: emo-convert {shlex.quote(str(out))} --quantize int8"
    )
