"""`emo-bench latency`."""

from __future__ import annotations

from typing import Annotated

import typer

from emo_bench.commands.options import BackendOption, JsonOption, Models, finish
from emo_edge.commands import guarded, require_extra


@guarded
def latency(
    models: Models,
    backend: BackendOption = "auto",
    threads: Annotated[int, typer.Option(min=1, max=64, help="Threads of the runtime.")] = 1,
    seconds: Annotated[float, typer.Option(min=0.0, help="Least time to measure.")] = 10.0,
    json_file: JsonOption = None,
) -> None:
    """Time one classification: at least 1,000 runs after a warm-up, with percentiles."""
    require_extra("workstation", "rich")
    from emo_bench.latency import measure
    from emo_bench.results import Job, measure_all
    from emo_bench.views.latency import grids
    from emo_edge.shipped import find_model

    def job(model: str) -> Job:
        return model, lambda: measure(
            find_model(model), backend=backend, threads=threads, seconds=seconds
        )

    finish(measure_all("latency", [job(model) for model in models]), grids, json_file)
