"""Options that several subcommands share."""

from __future__ import annotations

from typing import Annotated

import typer

ModelOption = Annotated[
    str,
    typer.Option("--model", "-m", help="Model file, or a shipped one (see emo-edge models)."),
]
