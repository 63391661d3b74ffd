"""`emo-bench accuracy`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from emo_bench.commands.options import BackendOption, JsonOption, Models, finish
from emo_edge.commands import guarded, require_extra


@guarded
def accuracy(
    models: Models,
    data: Annotated[Path, typer.Option(help="Class folders, or a folder with fer2013.csv.")],
    backend: BackendOption = "auto",
    json_file: JsonOption = None,
) -> None:
    """Score models on labelled face crops: the test split where there is one."""
    require_extra("workstation", "rich")
    from emo_bench.accuracy import measure
    from emo_bench.results import Job, measure_all
    from emo_bench.views.accuracy import grids
    from emo_edge.shipped import find_model

    def job(model: str) -> Job:
        return model, lambda: measure(find_model(model), data, backend)

    finish(measure_all("accuracy", [job(model) for model in models]), grids, json_file)
