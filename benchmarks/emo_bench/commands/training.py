"""`emo-bench training`."""

from __future__ import annotations

from typing import Annotated

import typer

from emo_bench.commands.options import JsonOption, finish, require_places
from emo_edge.commands import guarded
from emo_train.commands.workstation import require_workstation


@guarded
def training(
    architecture: Annotated[str, typer.Option(help="A name of `emo-train models`.")] = "small",
    input_size: Annotated[int, typer.Option(min=8, max=1024, help="Side in pixels.")] = 48,
    batch_size: Annotated[int, typer.Option(min=1, help="Pictures a step.")] = 64,
    steps: Annotated[int, typer.Option(min=1, help="Measured in each round.")] = 20,
    rounds: Annotated[int, typer.Option(min=1, help="Of all ways in turn.")] = 5,
    json_file: JsonOption = None,
) -> None:
    """Compare training with no, with batched and with per-picture augmentation."""
    require_places(json_file)
    require_workstation()
    from emo_bench.results import measure_all
    from emo_bench.training import measure
    from emo_bench.views.training import grids

    job = (architecture, lambda: measure(architecture, input_size, batch_size, steps, rounds))
    finish(measure_all("training", [job], json_file), grids)
