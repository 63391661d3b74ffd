"""`emo-train`: a folder of pictures becomes a Keras model in a run folder."""

from __future__ import annotations

import os
import shlex
import shutil
from pathlib import Path
from typing import Annotated, Any

import typer

from emo_edge.artifacts import require_writable, write_json
from emo_edge.commands import guarded, new_app, require_extra, show_version
from emo_edge.errors import UsageError
from emo_edge.messages import hushed, say
from emo_edge.runfolder import CONFIG

app = new_app(
    """Train a facial-expression classifier.

    The data is a folder of class folders (data/happy/*.png ...), optionally below train/, val/ and
    test/, or a folder with fer2013.csv. Pictures are face crops; any number of classes from two.

    \b
    Examples:
      emo-train --data faces/ --out runs/a
      emo-train --data faces/ --out runs/colour --colour rgb --input-size 96 --architecture base
      emo-train --data fer2013/ --labels ferplus-soft --out runs/fer --epochs 60
      emo-train --resume runs/fer
      emo-train synthesize --out synthetic/"""
)


@app.callback(invoke_without_command=True)
@guarded
def run(
    context: typer.Context,
    data: Annotated[Path | None, typer.Option(help="Folder with the pictures.")] = None,
    out: Annotated[Path | None, typer.Option(help="Run folder to make.")] = None,
    resume: Annotated[Path | None, typer.Option(help="Go on with an interrupted run.")] = None,
    labels: Annotated[
        str | None, typer.Option(help="For fer2013.csv: fer, ferplus or ferplus-soft.")
    ] = None,
    architecture: Annotated[str, typer.Option(help="micro, small or base.")] = "small",
    input_size: Annotated[
        int, typer.Option(min=8, max=1024, help="Side of the model's input in pixels.")
    ] = 48,
    colour: Annotated[str, typer.Option(help="grey or rgb.")] = "grey",
    crop_margin: Annotated[
        float,
        typer.Option(help="How far the pictures reach beyond a face box, per side."),
    ] = 0.0,
    epochs: Annotated[int, typer.Option(min=1, help="Passes over the pictures.")] = 30,
    batch_size: Annotated[int, typer.Option(min=1, help="Pictures a step.")] = 64,
    learning_rate: Annotated[float, typer.Option(min=0.0, help="Peak learning rate.")] = 0.05,
    seed: Annotated[int, typer.Option(min=0, help="Of everything random.")] = 0,
    version: Annotated[
        bool, typer.Option("--version", callback=show_version, is_eager=True, help="Show version.")
    ] = False,
) -> None:
    """Train, evaluate and leave a run folder."""
    if context.invoked_subcommand is not None:
        return
    _require_workstation()
    from emo_train.recipe import Recipe
    from emo_train.records import read_config, refuse_existing
    from emo_train.run import configure, train

    if resume is not None:
        if data is not None or out is not None:
            raise UsageError("--resume takes everything from the run: leave --data and --out away")
        folder, config = resume, read_config(resume)
    elif data is None or out is None:
        raise UsageError("give --data DIR and --out RUN (see emo-train --help)")
    else:
        refuse_existing(out)
        if not learning_rate > 0:  # NaN too
            raise UsageError("--learning-rate must be a number above 0")
        spec: dict[str, Any] = {"height": input_size, "width": input_size}
        spec |= {"colour": colour, "crop_margin": crop_margin}
        recipe = Recipe(
            architecture=architecture,
            epochs=epochs,
            batch_size=batch_size,
            learning_rate=learning_rate,
            seed=seed,
        )
        folder, config = out, configure(data, labels, spec, recipe)
        require_writable(out / CONFIG)
    metrics = train(folder, config)
    say(
        f"top-1 {metrics['top1']:.1%} on {metrics['images']} {metrics['protocol']['scored_on']} "
        f"pictures; next: emo-convert {shlex.quote(str(folder))} --quantize int8"
    )


@app.command()
@guarded
def synthesize(
    out: Annotated[Path, typer.Option(help="Folder to make.")],
    per_class: Annotated[int, typer.Option(min=2, help="Training pictures per class.")] = 240,
    video: Annotated[Path | None, typer.Option(help="Draw a video (.mp4) too.")] = None,
    seed: Annotated[int, typer.Option(min=0, help="Of the drawing.")] = 0,
) -> None:
    """Draw parametric faces as class folders, to try the toolkit without any data.

    They are drawings: what a model scores on them says nothing about real faces.
    """
    from emo_train.synthetic import write_dataset, write_video

    if out.exists():
        raise UsageError(f"{out} exists; choose another --out, or remove it")
    # Under another name until it is whole: half a data set would train without a word.
    partial = out.with_name(f".{out.name}.partial")
    require_writable(partial / "faces")
    try:
        write_dataset(partial, per_class=per_class, seed=seed)
        partial.rename(out)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    say(f"drew faces into {out}")
    if video is not None:
        truth = write_video(video, seed=seed + 1)
        write_json(video.with_suffix(".json"), {"truth": truth})
        say(f"drew {video}; {video.with_suffix('.json').name} says what it shows when")


def _require_workstation() -> None:
    require_extra("workstation", "tensorflow", "keras", "matplotlib", "rich")
    os.environ.setdefault("KERAS_BACKEND", "tensorflow")
    with hushed():
        import tensorflow as tf

        tf.constant(0)  # looks for GPUs, which is as talkative as the import


def main() -> None:
    """Entry point of `emo-train`."""
    app()
