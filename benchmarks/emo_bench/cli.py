"""`emo-bench`: what a model costs and how right it is."""

from __future__ import annotations

from typing import Annotated

import typer

from emo_bench.commands.accuracy import accuracy
from emo_bench.commands.compare import compare
from emo_bench.commands.demo import demo
from emo_bench.commands.detectors import detectors
from emo_bench.commands.everything import everything
from emo_bench.commands.latency import latency
from emo_bench.commands.pipeline import pipeline
from emo_bench.commands.training import training
from emo_edge.commands import new_app, show_version

app = new_app(
    """Measure models with the device's own preprocessing and interpreter.

    \b
    Examples:
      emo-bench latency face-int8.tflite face-float32.tflite
      emo-bench accuracy face-int8.tflite --data faces/
      emo-bench pipeline --source talk.mp4 --duration 60 --plot memory.png
      emo-bench detectors --data boxes.csv --video talk.mp4
      emo-bench training --architecture small
      emo-bench all runs/a --report report/
      emo-bench compare yesterday.json today.json --max-slowdown 10% --max-drop 0.5
      emo-bench demo --out demo/"""
)


@app.callback()
def start(
    version: Annotated[
        bool, typer.Option("--version", callback=show_version, is_eager=True, help="Show version.")
    ] = False,
) -> None:
    """Take the options that all benchmarks share."""


for command in (latency, accuracy, pipeline, detectors, training, compare, demo):
    app.command()(command)
app.command("all")(everything)


def main() -> None:
    """Entry point of `emo-bench`."""
    app()
