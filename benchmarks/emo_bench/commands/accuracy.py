"""`emo-bench accuracy`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from emo_bench.commands.options import (
    BackendOption,
    InputRangeOption,
    JsonOption,
    ModelLabelsOption,
    finish,
    require_places,
)
from emo_edge.commands import guarded, require_extra

Subjects = Annotated[
    list[str],
    typer.Argument(metavar="MODEL...", help=".tflite, run folder, Keras model, or shipped name."),
]
LabelsOption = Annotated[
    str, typer.Option(help="Labels of FER2013 that score: auto (the model's), fer, ferplus.")
]
TrainingOption = Annotated[
    Path | None,
    typer.Option(help="Training faces (class folders, .npz): copies of them are scored apart."),
]
RobustnessOption = Annotated[
    bool, typer.Option("--robustness", help="Score shifted, rotated, dark ... faces too.")
]
MarginsOption = Annotated[
    bool,
    typer.Option("--crop-margins", help="Score faces as detectors cut them, by crop margin, too."),
]


@guarded
def accuracy(
    models: Subjects,
    data: Annotated[Path, typer.Option(help="Class folders, fer2013.csv or its folder, or .npz.")],
    labels: LabelsOption = "auto",
    training: TrainingOption = None,
    robustness: RobustnessOption = False,
    crop_margins: MarginsOption = False,
    backend: BackendOption = "auto",
    model_labels: ModelLabelsOption = None,
    input_range: InputRangeOption = None,
    json_file: JsonOption = None,
) -> None:
    """Score models on labelled face crops: the test split where there is one."""
    require_extra("workstation", "rich")
    require_places(json_file)
    from emo_bench.accuracy.measure import Accuracy
    from emo_bench.accuracy.subject import Given
    from emo_bench.accuracy.trial import Trials
    from emo_bench.results import Job, measure_all
    from emo_bench.views.accuracy import grids

    given = Given(backend, model_labels, input_range, alone=len(models) == 1)
    trials = Trials(data, labels, training)
    scores = Accuracy(trials, given, robustness=robustness, margins=crop_margins)

    def job(model: str) -> Job:
        return model, lambda: scores.measure(model)

    finish(measure_all("accuracy", [job(model) for model in models], json_file), grids)
