"""`emo-train presets`: the recipes that have a name."""

from __future__ import annotations

from typing import Annotated

import typer

from emo_edge.commands import guarded


@guarded
def presets(
    name: Annotated[
        str | None, typer.Argument(help="Print this one as TOML: a start for --config.")
    ] = None,
) -> None:
    """List the presets, or print one with all its settings."""
    from emo_train.presets import describe_preset, preset_names, resolve, to_toml

    if name is None:
        width = 2 + max(map(len, preset_names()))
        for known in preset_names():
            print(f"{known:<{width}}{describe_preset(known)}")
        return
    recipe, _ = resolve(name, None, {})
    print(to_toml(recipe), end="")
