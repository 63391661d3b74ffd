"""`emo-bench latency`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from emo_bench.commands.options import (
    DetectorOption,
    InputRangeOption,
    JsonOption,
    ModelLabelsOption,
    Models,
    finish,
    finite,
    require_places,
)
from emo_edge.commands import guarded, require_extra

SECONDS = 10.0


@guarded
def latency(
    models: Models,
    backends: Annotated[
        str,
        typer.Option(help="Runtimes: auto (emo-edge's), all, device (all but TensorFlow), or a,b."),
    ] = "auto",
    threads: Annotated[str, typer.Option(help="Threads of the runtime: 1, or 1,2,4.")] = "1",
    seconds: Annotated[
        float | None,
        typer.Option(
            min=0.0, callback=finite, help="Least time to measure; 10, or 600 with --mlperf."
        ),
    ] = None,
    picture: Annotated[
        Path | None,
        typer.Option(help="Picture with a face, for the stages; a drawn one if none is given."),
    ] = None,
    detector: DetectorOption = "auto",
    mlperf: Annotated[
        bool, typer.Option("--mlperf", help="MLPerf single-stream: 600 s, 90th percentile.")
    ] = False,
    per_op: Annotated[
        bool, typer.Option("--per-op", help="Time each operator of the model, too.")
    ] = False,
    model_labels: ModelLabelsOption = None,
    input_range: InputRangeOption = None,
    json_file: JsonOption = None,
) -> None:
    """Time one face: steady state, cold start, memory, stages; every point in its own processes."""
    require_extra("workstation", "rich")
    require_places(json_file)
    import tempfile

    from emo_bench.latency.measure import MLPERF_SECONDS, Task, measure
    from emo_bench.latency.sweep import backend_names, draw_picture, thread_counts
    from emo_bench.results import Job, Result, measure_all
    from emo_bench.views.latency import grids
    from emo_edge.shipped import find_model

    points = [(b, t) for b in backend_names(backends) for t in thread_counts(threads)]
    with tempfile.TemporaryDirectory(prefix="emo-bench-") as folder:
        face = draw_picture(Path(folder, "drawn.jpg")) if picture is None else picture

        def job(model: str, backend: str, count: int) -> Job:
            def timed() -> Result:
                task = Task(
                    find_model(model),
                    backend,
                    count,
                    (MLPERF_SECONDS if mlperf else SECONDS) if seconds is None else seconds,
                    model_labels,
                    input_range,
                    face,
                    detector,
                    mlperf,
                    per_op,
                )
                # Beside plain models others may stand, which carry labels and range of their own.
                return measure(task if len(models) == 1 else task.for_its_file())

            return f"{Path(model).name} on {backend}, {count} thread(s)", timed

        jobs = [job(model, *point) for model in models for point in points]
        outcome = measure_all("latency", jobs, json_file)
    finish(outcome, grids)
