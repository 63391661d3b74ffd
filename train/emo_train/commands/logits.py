"""`emo-train logits`: what finished runs answer to their training faces, as a small file."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from emo_edge.artifacts import require_writable
from emo_edge.commands import guarded
from emo_edge.errors import UsageError
from emo_edge.messages import say
from emo_train.commands.workstation import require_workstation


@guarded
def logits(
    runs: Annotated[list[Path], typer.Argument(metavar="RUN...", help="Finished runs.")],
    out: Annotated[Path, typer.Option(help="File to write (.npz).")],
    data: Annotated[
        Path | None, typer.Option(help="Where the runs' data is now, if it has moved.")
    ] = None,
    flip: Annotated[
        bool, typer.Option(help="Average with the answers to the mirrored faces.")
    ] = True,
    features: Annotated[
        bool,
        typer.Option("--features", help="Keep what the last layer is given: --feature-weight."),
    ] = False,
) -> None:
    """Keep what teachers answer to the training faces: emo-train --teacher FILE.

    Several runs are averaged. Only faces of the training split are asked.
    """
    require_workstation()
    if out.suffix != ".npz":
        raise UsageError(f"--out {out}: the name must end in .npz")
    if features and len(runs) > 1:
        raise UsageError("--features are those of one RUN: nets have nothing else in common")
    from emo_train.loading import finished_config
    from emo_train.teachers import ask_run, averaged

    require_writable(out)
    for run in runs:
        root = data or Path(finished_config(run)["data"])
        if root.is_dir() and out.resolve().is_relative_to(root.resolve()):
            raise UsageError(
                f"--out {out} is inside {root}, where it would be taken for data: choose a place "
                "outside"
            )
    teacher = averaged([(run, ask_run(run, data, flip=flip, features=features)) for run in runs])
    teacher.save(out)
    say(f"wrote {out}: {len(teacher.logits)} faces, {len(runs)} teacher(s)")
