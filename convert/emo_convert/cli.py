"""`emo-convert`: a run folder becomes one TFLite file that passed the parity gate."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from emo_edge.commands import guarded, new_app, require_extra, show_version
from emo_edge.errors import EmoError, UsageError
from emo_edge.messages import hushed, say

app = new_app(
    """Convert a training run to TFLite.

    The exported model is scored by the device's own interpreter, in a process of its own, on the
    faces that scored the Keras model. If it loses too much, no model is written.

    \b
    Examples:
      emo-convert runs/a --quantize int8
      emo-convert runs/a --quantize all
      emo-convert runs/a --quantize fp16 -o face.tflite --max-drop 0.5"""
)


@app.command()
@guarded
def run(
    folder: Annotated[Path, typer.Argument(metavar="RUN", help="Run folder made by emo-train.")],
    quantize: Annotated[
        str, typer.Option(help="none (float32), fp16, dynamic, int8, or all of them.")
    ] = "int8",
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", help="Model file; default RUN/<name>-<quantize>.tflite."),
    ] = None,
    max_drop: Annotated[
        float, typer.Option(min=0.0, max=100.0, help="Points of top-1 an export may lose.")
    ] = 1.0,
    min_agreement: Annotated[
        float, typer.Option(min=0.0, max=1.0, help="Least share of equal top-1 answers.")
    ] = 0.95,
    backend: Annotated[
        str, typer.Option(help="Runtime of the gate: auto, tflite_runtime, ai_edge_litert.")
    ] = "auto",
    version: Annotated[
        bool, typer.Option("--version", callback=show_version, is_eager=True, help="Show version.")
    ] = False,
) -> None:
    """Export, compare with the Keras model, and write the file that travels to the device."""
    require_extra("workstation", "tensorflow", "keras")
    with hushed():
        import tensorflow as tf

        tf.constant(0)  # looks for GPUs, which is as talkative as the import
        from emo_convert.convert import convert, default_target
        from emo_convert.export import QUANTIZATIONS
    from emo_convert.parity import Gate
    from emo_convert.run import read_run

    if quantize not in (*QUANTIZATIONS, "all"):
        raise UsageError(f"unknown --quantize {quantize!r}; choose {', '.join(QUANTIZATIONS)}, all")
    if quantize == "all" and output is not None:
        raise UsageError("--quantize all writes several files into the run: leave --output away")
    gate = Gate(max_drop, min_agreement)
    source = read_run(folder)
    failure: EmoError | None = None
    for name in QUANTIZATIONS if quantize == "all" else (quantize,):
        target = output or default_target(folder, name)
        try:
            done = convert(source, name, target, gate, backend)
        except EmoError as error:
            if quantize != "all":
                raise
            say(f"error: {error}")
            failure = error
            continue
        parity = done.parity
        print(
            f"{done.path}  {done.size / 1000:.0f} kB  top-1 {parity.export_top1:.1%} "
            f"(Keras {parity.keras_top1:.1%}, {parity.images} {parity.split} faces)  "
            f"same top-1 {parity.agreement:.1%}  mean |dp| {parity.mean_difference:.4f}"
        )
    if failure is not None:
        raise typer.Exit(failure.exit_code)
    say("next: copy one file to the device, then: emo-edge --model FILE --camera 0")


def main() -> None:
    """Entry point of `emo-convert`."""
    app()
