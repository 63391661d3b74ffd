"""`emo-edge`: live facial expressions from a camera, a video or pictures.

A subcommand is a module of this package; heavy imports happen inside its function.
"""

from __future__ import annotations

from emo_edge.cli import cameras, doctor, fetch_detector, models, run, service
from emo_edge.commands import new_app

app = new_app(
    """Read facial expressions from a camera, a video or pictures.

    \b
    Examples:
      emo-edge --camera 0
      emo-edge --model face.tflite --source talk.mp4 --jsonl readings.jsonl --record out.mp4
      emo-edge --model face.tflite --source holiday-pictures/
      emo-edge doctor --model face.tflite

    An expression is what a face shows, not what a person feels."""
)
app.callback(invoke_without_command=True)(run.run)
app.command()(cameras.cameras)
app.command()(fetch_detector.fetch_detector)
app.command()(doctor.doctor)
app.command()(models.models)
app.add_typer(service.app, name="service")


def main() -> None:
    """Entry point of `emo-edge`."""
    app()
