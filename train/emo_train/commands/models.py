"""`emo-train models`: the architectures and what they cost."""

from __future__ import annotations

from typing import Annotated

import typer

from emo_edge.commands import guarded
from emo_edge.messages import hushed
from emo_train.commands.workstation import require_workstation


@guarded
def models(
    architecture: Annotated[
        str | None, typer.Argument(help="Show this one alone, or a module:function.")
    ] = None,
    input_size: Annotated[int, typer.Option(min=8, max=1024, help="Side in pixels.")] = 48,
    colour: Annotated[str, typer.Option(help="grey or rgb.")] = "grey",
    classes: Annotated[int, typer.Option(min=2, help="Number of classes.")] = 7,
) -> None:
    """List the architectures: parameters, multiply-accumulates, int8 size (estimated)."""
    require_workstation()
    from emo_train.models import DESCRIPTIONS, architecture_names, build_model
    from emo_train.models.cost import count_macs, estimate_int8_bytes
    from emo_train.recipe import Recipe

    recipe = Recipe(colour=colour)
    shape = (input_size, input_size, 3 if recipe.colour == "rgb" else 1)
    names = (architecture,) if architecture else architecture_names()
    print(f"{'':<18}{'parameters':>12}{'MMAC':>9}{'int8 kB':>9}   at {input_size}x{input_size}")
    for name in names:
        with hushed():
            model = build_model(name, shape, classes, dropout=0.0)
        cost = f"{model.count_params():>12,}{count_macs(model) / 1e6:>9.1f}"
        size = f"{estimate_int8_bytes(model) / 1e3:>9.0f}"
        print(f"{name:<18}{cost}{size}   {DESCRIPTIONS.get(name, 'your own')}".rstrip(), flush=True)
