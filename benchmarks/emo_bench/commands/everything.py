"""`emo-bench all`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from emo_bench.commands.accuracy import (
    LabelsOption,
    MarginsOption,
    RobustnessOption,
    Subjects,
    TrainingOption,
)
from emo_bench.commands.options import finite
from emo_edge.commands import guarded, require_extra
from emo_edge.errors import EmoError


@guarded
def everything(
    models: Subjects,
    report: Annotated[Path, typer.Option(help="Folder to make, with report.html.")],
    data: Annotated[
        Path | None, typer.Option(help="Labelled faces; a single run folder brings its own.")
    ] = None,
    labels: LabelsOption = "auto",
    training: TrainingOption = None,
    robustness: RobustnessOption = False,
    crop_margins: MarginsOption = False,
    backends: Annotated[str, typer.Option(help="As for latency.")] = "device",
    threads: Annotated[str, typer.Option(help="Threads of the runtime: 1, or 1,2,4.")] = "1",
    seconds: Annotated[
        float, typer.Option(min=0.0, callback=finite, help="Least time of each latency.")
    ] = 10.0,
    picture: Annotated[Path | None, typer.Option(help="Picture with a face, for stages.")] = None,
    source: Annotated[str | None, typer.Option(help="Video or camera for the whole loop.")] = None,
    duration: Annotated[
        float, typer.Option(min=0.1, callback=finite, help="Seconds of the whole loop.")
    ] = 30.0,
) -> None:
    """Run accuracy, latency and (with --source) the whole loop, and write a report."""
    require_extra("workstation", "rich", "matplotlib")
    from emo_bench.everything import Wanted, require_inputs, run_all
    from emo_bench.latency.sweep import backend_names, thread_counts
    from emo_bench.report import write_report

    # What the commands below would find wrong one by one, after the work of those before.
    backend_names(backends)
    thread_counts(threads)
    require_inputs(data, picture, source)
    timing = ["--backends", backends, "--threads", threads, "--seconds", f"{seconds:g}"]
    timing += ["--per-op"]
    timing += [] if picture is None else ["--picture", str(picture)]
    scoring = [] if labels == "auto" else ["--labels", labels]
    scoring += [] if training is None else ["--training", str(training)]
    scoring += ["--robustness"] if robustness else []
    scoring += ["--crop-margins"] if crop_margins else []
    looping = ["--duration", f"{duration:g}"]
    outcomes, code = run_all(Wanted(models, report, data, source, timing, scoring, looping))
    if outcomes:
        write_report(report, outcomes)
        print(f"Report: {report / 'report.html'}")
    if code:
        failure = EmoError("not everything could be measured, see above")
        failure.exit_code = code
        raise failure
