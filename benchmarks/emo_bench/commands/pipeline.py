"""`emo-bench pipeline`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from emo_bench.commands.options import (
    BackendOption,
    DetectorOption,
    JsonOption,
    finish,
    finite,
    require_places,
)
from emo_edge.commands import guarded, require_extra
from emo_edge.errors import UsageError
from emo_edge.shipped import DEFAULT

# Not asked of Matplotlib: it would be counted in the memory of the loop.
PLOTS = (".png", ".jpg", ".jpeg", ".svg", ".pdf")


@guarded
def pipeline(
    source: Annotated[str, typer.Option(help="Camera, stream or video, as for emo-edge.")],
    model: Annotated[str, typer.Option("--model", "-m", help="Model file, or shipped.")] = DEFAULT,
    detector: DetectorOption = "auto",
    backend: BackendOption = "auto",
    threads: Annotated[int, typer.Option(min=1, max=64, help="Threads of the runtime.")] = 1,
    duration: Annotated[
        float,
        typer.Option(
            min=0.1, callback=finite, help="Seconds to run; a video begins anew at its end."
        ),
    ] = 30.0,
    soak: Annotated[
        float | None,
        typer.Option(min=0.001, callback=finite, help="Hours to run, in place of --duration."),
    ] = None,
    frames: Annotated[
        int | None,
        typer.Option(min=1, help="End after a warm-up and so many frames, if that is earlier."),
    ] = None,
    preload: Annotated[
        bool, typer.Option("--preload", help="Repeat the first frames from memory: no decoding.")
    ] = False,
    page: Annotated[
        bool, typer.Option("--page", help="Serve the page too, to somebody who looks at it.")
    ] = False,
    plot: Annotated[
        Path | None, typer.Option(help="PNG, JPEG, SVG or PDF of memory, descriptors and threads.")
    ] = None,
    json_file: JsonOption = None,
) -> None:
    """Run the whole loop: frames a second, age of readings, CPU time by stage, memory over time."""
    require_extra("workstation", "rich", "matplotlib")
    _require_picture(plot)
    require_places(json_file, plot)
    from emo_bench.pipeline import Plan, measure
    from emo_bench.results import measure_all
    from emo_edge.shipped import find_model

    seconds = duration if soak is None else 3600 * soak
    plan = Plan(
        source,
        find_model(model),
        detector,
        backend,
        threads,
        seconds,
        frames,
        preload,
        page,
    )
    outcome = measure_all("pipeline", [(source, lambda: measure(plan))], json_file)
    # Only now: it would be counted in the memory of the loop.
    from emo_bench.views.pipeline import draw_vital_signs, grids

    if plot is not None and outcome.results:
        draw_vital_signs(plot, outcome.results[0])
    finish(outcome, grids)


def _require_picture(plot: Path | None) -> None:
    if plot is not None and plot.suffix.lower() not in PLOTS:
        raise UsageError(f"--plot {plot}: the name must end in one of {', '.join(PLOTS)}")
