"""`emo-convert`: a trained model becomes one TFLite file that passed the parity gate."""

from __future__ import annotations

import math
import os
import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from emo_edge.artifacts import as_text, require_writable
from emo_edge.commands import Command, guarded, new_app, require_extra, show_version
from emo_edge.errors import EmoError, UsageError
from emo_edge.messages import hushed, say, warn

FEW_FACES = 200  # one answer is then half a point: half of what the gate allows

if TYPE_CHECKING:
    from emo_convert.convert import Converted, Plan
    from emo_convert.export import PixelType
    from emo_convert.subject import Subject

app = new_app(
    """Convert a training run, or a Keras model, to TFLite.

    The exported model is scored by the device's own interpreter, in a process of its own, on the
    faces that scored the Keras model. If it loses too much, no model is written.

    \b
    Examples:
      emo-convert runs/a --quantize int8
      emo-convert runs/a --quantize all
      emo-convert runs/a --quantize fp16 -o face.tflite --max-drop 0.5
      emo-convert runs/a --repair --debug-layers
      emo-convert model.h5 --labels labels.txt --input-range -1 1 --calibration train/
      emo-convert inspect face.tflite"""
)
inspect_app = new_app("Show what a .tflite is made of, where it comes from and who can run it.")


# Else the only command's docstring would stand in for the help.
@app.command(cls=Command, help=app.info.help)
@guarded
def run(
    source: Annotated[
        Path, typer.Argument(metavar="RUN|MODEL", help="Run folder, .keras, .h5 or SavedModel.")
    ],
    quantize: Annotated[
        str, typer.Option(help="none (float32), fp16, dynamic, int8, int16x8, or all of them.")
    ] = "int8",
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", help="Model file; default RUN/<name>-<quantize>.tflite."),
    ] = None,
    pixels: Annotated[
        str, typer.Option(help="Input of an int8 model: uint8 (raw pixels), int8 or float32.")
    ] = "uint8",
    runtime: Annotated[
        str | None,
        typer.Option(help="Oldest runtime that must run it, e.g. litert-1.2.  [default: oldest]"),
    ] = None,
    calibration: Annotated[
        str, typer.Option(help="Training faces: folder, .npz, or auto (the run's own).")
    ] = "auto",
    calibration_size: Annotated[
        int | None,
        typer.Option(min=1, help="Faces to calibrate on, stratified, seeded.  [default: 512]"),
    ] = None,
    evaluation: Annotated[
        Path | None, typer.Option(help="Faces to score: class folders or .npz; default the run's.")
    ] = None,
    labels: Annotated[
        Path | None, typer.Option(help="Labels, one a line, for a model without a run.")
    ] = None,
    input_range: Annotated[
        tuple[float, float] | None,
        typer.Option(help="What pixels 0 and 255 become for a model without a run, e.g. -1 1."),
    ] = None,
    max_drop: Annotated[
        float, typer.Option(min=0.0, max=100.0, help="Points of top-1 an export may lose.")
    ] = 1.0,
    max_class_drop: Annotated[
        float,
        typer.Option(
            min=0.0, max=100.0, help="Points of recall a class of 50 or more faces may lose."
        ),
    ] = 5.0,
    min_agreement: Annotated[
        float, typer.Option(min=0.0, max=1.0, help="Least share of equal top-1 answers.")
    ] = 0.95,
    repair: Annotated[
        bool, typer.Option("--repair", help="Repair an int8 model that fails the gate.")
    ] = False,
    debug_layers: Annotated[
        bool, typer.Option("--debug-layers", help="Report what int8 costs layer by layer.")
    ] = False,
    backend: Annotated[
        str, typer.Option(help="Runtime of the gate; auto asks every device runtime installed.")
    ] = "auto",
    seed: Annotated[int, typer.Option(min=0, help="Of the calibration set.")] = 0,
    version: Annotated[
        bool, typer.Option("--version", callback=show_version, is_eager=True, help="Show version.")
    ] = False,
) -> None:
    """Export, compare with the Keras model, and write the file that travels to the device."""
    _start_tensorflow()
    from emo_convert import report
    from emo_convert.convert import Plan, card_path, gate_backends, report_path
    from emo_convert.export import QUANTIZATIONS
    from emo_convert.parity import Gate
    from emo_convert.runtimes import OLDEST, accepted
    from emo_convert.subject import Options, home_of, load_subject

    if quantize not in (*QUANTIZATIONS, "all"):
        raise UsageError(f"unknown --quantize {quantize!r}; choose {', '.join(QUANTIZATIONS)}, all")
    if quantize not in ("int8", "all") and (repair or pixels != "uint8"):
        raise UsageError("--repair and --pixels are for --quantize int8")
    _refuse_target(output, quantize)
    _require_finite(max_drop=max_drop, max_class_drop=max_class_drop, min_agreement=min_agreement)
    runtime = runtime or OLDEST
    accepted(runtime)  # refuses an unknown name before anything is computed
    backends = gate_backends(backend, runtime)
    subject = load_subject(
        source, Options(labels, input_range, calibration, calibration_size, evaluation, seed)
    )
    home = home_of(source)
    plans = {
        output or home / f"{subject.name}-{QUANTIZATIONS[name].suffix}.tflite": Plan(
            quantization=name,
            pixels=_pixel_type(pixels),
            runtime=runtime,
            backends=backends,
            gate=Gate(max_drop, max_class_drop, min_agreement),
            repair=repair and name == "int8",
            command=_command(
                subject.name,
                quantize=name,
                pixels=pixels,
                runtime=runtime,
                calibration=Path(calibration).name,
                calibration_size=calibration_size,
                evaluation=evaluation.name if evaluation else None,
                labels=labels.name if labels else None,
                input_range=input_range,
                max_drop=max_drop,
                max_class_drop=max_class_drop,
                min_agreement=min_agreement,
                repair=repair,
                backend=backend,
                seed=seed,
            ),
        )
        for name in (QUANTIZATIONS if quantize == "all" else [quantize])
    }
    for target in plans:
        for path in (report_path(target), card_path(target), target):
            require_writable(path)
    _warn_of_coarse_gate(subject)
    if debug_layers:
        _report_layers(subject, _layers_plot(output or home / f"{subject.name}-int8.tflite"))
    converted, failures = _convert_each(subject, plans)
    if converted:
        report.show(converted)
        if quantize == "all":
            report.write(home / "conversion.json", converted)
            report.plot(home / "conversion.png", converted)
            say(f"wrote {home / 'conversion.json'} and {home / 'conversion.png'}")
    if failures:
        raise failures[0]
    say("next: copy one file to the device, then: emo-edge --model FILE --camera 0")


def _warn_of_coarse_gate(subject: Subject) -> None:
    from emo_convert.parity import JUDGED_CLASS_FACES, unjudged

    faces, truth = len(subject.evaluation.pixels), subject.evaluation.truth
    if faces < FEW_FACES:
        warn(f"{faces} evaluation faces: a single answer is {100 / faces:.1f} points of the gate")
    classes = len(subject.spec.labels)
    if truth is not None and (few := unjudged(truth, classes)):
        warn(
            f"{few} of {classes} classes have fewer than {JUDGED_CLASS_FACES} evaluation faces: "
            "--max-class-drop does not judge them"
        )


def _require_finite(**limits: float) -> None:
    """Refuse NaN, which Typer's ranges let pass and nothing exceeds."""
    for name, value in limits.items():
        if not math.isfinite(value):
            raise UsageError(f"--{name.replace('_', '-')} must be a number, not {value}")


def _refuse_target(output: Path | None, quantize: str) -> None:
    if output is None:
        return
    if quantize == "all":
        raise UsageError("--quantize all writes several files into the run: leave --output away")
    if output.suffix != ".tflite":  # its report and card take its name with other suffixes
        raise UsageError(f"--output names a .tflite file, not {output.name}")


def _command(source: str, **options: object) -> str:
    """Return the command line for the records: names without their folders.

    Folders say where the data of a person lie, and would make the bytes depend on them.
    """
    words = ["emo-convert", source]
    for name, value in options.items():
        if value is None or value is False:
            continue
        words.append(f"--{name.replace('_', '-')}")
        if value is not True:
            words += map(str, value if isinstance(value, tuple) else (value,))
    return as_text(shlex.join(words))


def _convert_each(
    subject: Subject, plans: dict[Path, Plan]
) -> tuple[list[Converted], list[EmoError]]:
    """Convert by every plan; one that fails is named and does not stop the others."""
    from emo_convert.convert import convert

    converted, failures = [], []
    for target, plan in plans.items():
        say(f"{plan.quantization}: converting and scoring ...")
        try:
            converted.append(convert(subject, plan, target))
        except EmoError as error:
            if len(plans) > 1:
                say(f"{plan.quantization}: {error}")
            failures.append(error)
    return converted, failures


def _report_layers(subject: Subject, plot: Path) -> None:
    from emo_convert.repair.layers import layer_errors, plot_layer_errors

    with hushed():
        errors = layer_errors(subject.model, subject.spec, subject.calibration.pixels)
    plot_layer_errors(plot, errors)
    print("signal to quantization noise, dB (mean over channels, all), worst layer first")
    for error in errors:
        numbers = f"{error.channel_sqnr:7.1f} {error.sqnr:7.1f}"
        print(f"{numbers}  {error.operator:<18} {error.label}")
    say(f"drew {plot}")


def _layers_plot(target: Path) -> Path:
    """Return the plot beside a model file; its name may hold dots ("v1.2-int8.tflite")."""
    return target.with_name(f"{target.name.removesuffix('.tflite')}.layers.png")


def _pixel_type(name: str) -> PixelType:
    from emo_convert.export import PIXEL_TYPES

    for known in PIXEL_TYPES:
        if name == known:
            return known
    raise UsageError(f"unknown --pixels {name!r}; choose from {', '.join(PIXEL_TYPES)}")


@inspect_app.command(cls=Command, help=inspect_app.info.help)
@guarded
def inspect(
    model: Annotated[Path, typer.Argument(metavar="FILE", help="Any .tflite.")],
) -> None:
    """Print what is inside, one fact a line."""
    _start_tensorflow()
    from emo_convert.inspection import describe

    for subject, text in describe(model):
        print(f"{subject:<12} {text}")


def _start_tensorflow() -> None:
    require_extra("workstation", "tensorflow", "keras", "matplotlib", "rich")
    # Whatever the user trains with: the converter is TensorFlow's.
    os.environ["KERAS_BACKEND"] = "tensorflow"
    os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")  # as emo-train does
    with hushed():
        import tensorflow as tf

        tf.constant(0)  # looks for GPUs, which is as talkative as the import


def main() -> None:
    """Entry point of `emo-convert`."""
    # A run folder called "inspect" is still reached as ./inspect.
    if sys.argv[1:2] == ["inspect"]:
        inspect_app(args=sys.argv[2:], prog_name="emo-convert inspect")
    else:
        app()
