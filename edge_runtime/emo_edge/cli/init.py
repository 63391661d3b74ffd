"""`emo-edge init`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, cast

import typer
from typer.core import TyperGroup

from emo_edge.commands import guarded
from emo_edge.config import OF_THE_MACHINE, of_the_user, options_of, template
from emo_edge.errors import UsageError
from emo_edge.messages import say
from emo_edge.version import __version__


@guarded
def init(
    context: typer.Context,
    file: Annotated[
        Path | None,
        typer.Argument(
            help=f"Where [default: ~/.config/emo-toolkit/edge.toml; a service: {OF_THE_MACHINE}]."
        ),
    ] = None,
) -> None:
    """Write a configuration file with every option, commented, for emo-edge --config FILE."""
    from emo_edge.artifacts import write_bytes

    path = file or of_the_user()
    if path.exists():
        raise UsageError(f"{path} is there already: name another file, or move it away")
    assert context.parent is not None
    options = options_of(cast(TyperGroup, context.parent.command))
    # It may come to hold a token or a password. A service's own user has to read the machine's.
    private = path != OF_THE_MACHINE
    write_bytes(path, template(options, __version__).encode(), private=private)
    used = (
        "every run reads it" if path in (of_the_user(), OF_THE_MACHINE) else "give it as --config"
    )
    say(f"{path} written; {used}")
