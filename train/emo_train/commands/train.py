"""`emo-train --data DIR --out RUN`: train, evaluate and leave a run folder."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from emo_edge.artifacts import require_writable
from emo_edge.commands import guarded, show_version
from emo_edge.errors import UsageError
from emo_edge.messages import say
from emo_edge.runfolder import CONFIG
from emo_train.commands.workstation import require_workstation
from emo_train.recipe import Recipe
from emo_train.settings import takes_settings

Distribute = Literal["none", "mirrored", "multi-worker"]


@takes_settings(Recipe)
@guarded
def train(
    context: typer.Context,
    chosen: Mapping[str, Any],
    data: Annotated[
        Path | None, typer.Option(help="Folder with the pictures, or an .npz file.")
    ] = None,
    cache_dir: Annotated[
        Path | None, typer.Option(help="Copy the data here once: for slow storage.")
    ] = None,
    out: Annotated[Path | None, typer.Option(help="Run folder to make.")] = None,
    resume: Annotated[Path | None, typer.Option(help="Go on with an interrupted run.")] = None,
    teacher: Annotated[
        list[Path] | None,
        typer.Option(
            metavar="RUN_OR_LOGITS",
            help="Learn from this finished run or logits file too; several are averaged.",
        ),
    ] = None,
    preset: Annotated[
        str | None, typer.Option(help="A whole recipe: a name of `emo-train presets`.")
    ] = None,
    config: Annotated[
        Path | None,
        typer.Option(help="TOML or YAML with settings, or config.json of a run to repeat."),
    ] = None,
    distribute: Annotated[
        Distribute | None,
        typer.Option(help="Train on all GPUs (mirrored) or on the workers of TF_CONFIG."),
    ] = None,
    version: Annotated[
        bool, typer.Option("--version", callback=show_version, is_eager=True, help="Show version.")
    ] = False,
) -> None:
    """Train, evaluate and leave a run folder."""
    if context.invoked_subcommand is not None:
        return
    if resume is not None:
        if chosen or any(
            given is not None
            for given in (data, cache_dir, out, preset, config, distribute, teacher or None)
        ):
            raise UsageError("--resume takes everything from the run: leave other options away")
        _train(resume, None)
        return
    from emo_train.presets import resolve

    recipe, known_data = resolve(preset, config, chosen)
    data = data or known_data
    if data is None or out is None:
        raise UsageError("give --data DIR and --out RUN (see emo-train --help)")
    _train(out, (data, recipe, cache_dir, teacher or [], distribute or "none"))


def _train(folder: Path, new: tuple[Path, Recipe, Path | None, list[Path], str] | None) -> None:
    """Train `new` into `folder`, or go on with what is there."""
    require_workstation()
    from emo_train import run
    from emo_train.distribute import is_chief
    from emo_train.records import read_config, refuse_existing

    if new is None:
        settings, layout = read_config(folder), None
    else:
        chief = is_chief(new[-1])
        if chief:
            refuse_existing(folder)
        settings, layout = run.configure(*new)
        if chief:
            require_writable(folder / CONFIG)
    metrics = run.train(folder, settings, layout)
    if metrics is None:
        say(f"this worker is done; the chief writes {folder}")
        return
    say(
        f"top-1 {metrics['top1']:.1%} on {metrics['images']} {metrics['protocol']['scored_on']} "
        f"pictures; next: emo-convert {shlex.quote(str(folder))} --quantize int8"
    )
