"""`emo-edge`: live facial expressions from a camera, a video or pictures.

A subcommand is a module of this package; heavy imports happen inside its function.
"""

from __future__ import annotations

from typing import Any

from emo_edge.cli import cameras, doctor, fetch_detector, init, models, run, service, tune
from emo_edge.commands import Commands, errors_as_lines, new_app


class Configured(Commands):
    """A command line whose run takes what it is not told from a configuration file."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Read the configuration before the options, where a run is meant."""
        given, subcommand, _ = self.make_parser(ctx).parse_args(args=list(args))
        if not (subcommand or given.keys() & {"help", "version"}):
            with errors_as_lines():
                ctx.default_map = run.configuration(given.get("config"), ctx)
        return super().parse_args(ctx, args)


app = new_app(
    """Read facial expressions from a camera, a video or pictures.

    \b
    Examples:
      emo-edge --camera 0
      emo-edge --model face.tflite --source talk.mp4 --jsonl readings.jsonl --record out.mp4
      emo-edge --model face.tflite --source holiday-pictures/
      emo-edge doctor --model face.tflite
      emo-edge init && emo-edge

    An expression is what a face shows, not what a person feels.""",
    Configured,
)
app.callback(invoke_without_command=True)(run.run)
app.command()(cameras.cameras)
app.command()(fetch_detector.fetch_detector)
app.command()(doctor.doctor)
app.command()(models.models)
app.command()(init.init)
app.command()(tune.tune)
app.add_typer(service.app, name="service")


def main() -> None:
    """Entry point of `emo-edge`."""
    app()
