"""`emo-train inspect DIR`: what a data set holds, without training."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from emo_edge.artifacts import require_writable
from emo_edge.commands import guarded, require_extra
from emo_edge.messages import say
from emo_train.recipe import Recipe


@guarded
def inspect(
    data: Annotated[Path, typer.Argument(help="Folder with the pictures, or an .npz file.")],
    out: Annotated[
        Path | None, typer.Option(help="Folder for survey.json, the balance and contact sheets.")
    ] = None,
    labels: Annotated[
        str, typer.Option(help="Of FER2013: auto (fer), fer, ferplus or ferplus-soft.")
    ] = "auto",
    seed: Annotated[int, typer.Option(min=0, help="Of the pictures on the contact sheets.")] = 0,
) -> None:
    """Say what a data set holds: classes, splits, sizes, duplicates, unusable files."""
    require_extra("workstation", "matplotlib", "rich")
    from emo_train import inspection
    from emo_train.data import open_layout
    from emo_train.data.layout import require_outside

    layout = open_layout(data, Recipe(labels=labels).labels)
    if out is not None:
        require_outside(out, data, layout)
        require_writable(out / inspection.SURVEY)
    survey = inspection.inspect(layout, out, seed)
    for line in inspection.show_survey(survey, result=True):
        print(line)
    if out is not None:
        say(f"wrote {out / inspection.BALANCE_PLOT} and a contact sheet of each class beside it")
