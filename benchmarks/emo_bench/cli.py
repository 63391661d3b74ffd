"""`emo-bench`: what a model costs and how right it is."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from emo_edge.commands import guarded, new_app, require_extra, show_version
from emo_edge.errors import EmoError
from emo_edge.messages import say, warn
from emo_edge.shipped import find_model

app = new_app(
    """Measure models with the device's own preprocessing and interpreter.

    \b
    Examples:
      emo-bench latency face-int8.tflite face-float32.tflite
      emo-bench accuracy face-int8.tflite --data faces/
      emo-bench demo --out demo/"""
)

Models = Annotated[
    list[str], typer.Argument(metavar="MODEL...", help="Model files, or shipped ones by name.")
]
BackendOption = Annotated[
    str, typer.Option(help="Runtime: auto, tflite_runtime, ai_edge_litert, tensorflow.")
]
JsonOption = Annotated[Path | None, typer.Option("--json", help="Write the results here too.")]


@app.callback()
def start(
    version: Annotated[
        bool, typer.Option("--version", callback=show_version, is_eager=True, help="Show version.")
    ] = False,
) -> None:
    """Take the options that all benchmarks share."""


@app.command()
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
    from emo_bench.tables import latency_table, show, write_results

    results, failures = _each(
        models,
        lambda model: measure(model, backend=backend, threads=threads, seconds=seconds),
    )
    if results:
        show(latency_table(results))
        for result in results:
            for warning in result["warnings"]:
                warn(f"{result['model']}: {warning}")
    if results and json_file is not None:
        write_results(json_file, "latency", results)
    _exit_with(failures)


@app.command()
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
    from emo_bench.tables import accuracy_table, show, write_results

    results, failures = _each(models, lambda model: measure(model, data, backend))
    if results:
        show(accuracy_table(results))
        for result in results:
            _warn_of_training_faces(result)
    if results and json_file is not None:
        write_results(json_file, "accuracy", results)
    _exit_with(failures)


@app.command()
@guarded
def demo(
    out: Annotated[Path, typer.Option(help="Folder to make.")] = Path("demo"),
) -> None:
    """Run the whole toolkit on drawn faces: data, training, int8, a live timeline, a report."""
    require_extra("workstation", "tensorflow", "keras", "matplotlib", "rich")
    from emo_bench.demo import run

    run(out)


def _warn_of_training_faces(result: dict[str, Any]) -> None:
    fair = result.get("without_training_duplicates")
    if fair is not None:
        copied = result["images"] - fair["images"]
        warn(
            f"{result['model']}: {copied} of these faces are copies of training faces; without "
            f"them top-1 {fair['top1']:.1%} of {fair['images']}"
        )


def _each(
    models: Sequence[str], measure: Callable[[Path], dict[str, Any]]
) -> tuple[list[dict[str, Any]], list[EmoError]]:
    """Measure every model; one that fails is named and does not stop the others."""
    results, failures = [], []
    for model in models:
        try:
            results.append(measure(find_model(model)))
        except EmoError as error:
            say(f"error: {error}")
            failures.append(error)
    return results, failures


def _exit_with(failures: Sequence[EmoError]) -> None:
    if failures:
        raise typer.Exit(failures[0].exit_code)


def main() -> None:
    """Entry point of `emo-bench`."""
    app()
