"""`emo-edge`: live facial expressions from a camera, a video or pictures.

A subcommand is a module of this package; heavy imports happen inside its function.
"""

from __future__ import annotations

from typing import Any, cast

from typer.core import TyperCommand

from emo_edge.cli import cameras, doctor, fetch_detector, init, models, run, service, tune
from emo_edge.commands import Commands, errors_as_lines, new_app
from emo_edge.config import configuration, options_of
from emo_edge.errors import UsageError


class Configured(Commands):
    """A command line that takes what it is not told from a configuration file.

    A subcommand takes the options that it shares with a run: `emo-edge doctor` looks at the model
    that a run would use.
    """

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Read the configuration before the options, where something in it may be wanted."""
        given, rest, _ = self.make_parser(ctx).parse_args(args=list(args))
        subcommand = cast(TyperCommand | None, self.commands.get(rest[0])) if rest else None
        wanted = {option.name for option in options_of(subcommand or self)}
        shared = wanted & {option.name for option in options_of(self)}
        helping = {"--help", "-h", "--version"} & {*args}
        if shared and not helping and (subcommand is not None or not rest):
            with errors_as_lines():
                try:
                    values = configuration(given.get("config"), ctx)
                except UsageError:
                    if rest[:1] != ["doctor"]:  # where it is a finding
                        raise
                    values = {}
            if subcommand is not None:
                values = {rest[0]: {k: v for k, v in values.items() if k in shared}}
            ctx.default_map = values
        return super().parse_args(ctx, args)


app = new_app(
    """Read facial expressions from a camera, a video or pictures.

    \b
    Examples:
      emo-edge --camera 0
      emo-edge --model face.tflite --source talk.mp4 --jsonl readings.jsonl --record out.mp4
      emo-edge --model face.tflite --source holiday-pictures/
      emo-edge doctor --model face.tflite
      emo-edge init

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
