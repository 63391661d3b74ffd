"""`emo-train --data DIR --out RUN`: train, evaluate and leave a run folder."""

from __future__ import annotations

import shlex
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from emo_edge.artifacts import require_writable
from emo_edge.commands import guarded, refuse_stray, show_version
from emo_edge.errors import DataError, UsageError
from emo_edge.messages import say, warn
from emo_edge.runfolder import CONFIG, HISTORY, METRICS
from emo_train.commands.workstation import require_workstation
from emo_train.recipe import Recipe
from emo_train.settings import takes_settings

if TYPE_CHECKING:
    from emo_train.data import Layout

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
    cross_validate: Annotated[
        int | None,
        typer.Option(min=2, max=100, help="Train so many folds and give mean and spread."),
    ] = None,
    version: Annotated[
        bool, typer.Option("--version", callback=show_version, is_eager=True, help="Show version.")
    ] = False,
) -> None:
    """Train, evaluate and leave a run folder."""
    if context.invoked_subcommand is not None:
        refuse_stray(context)
        return
    if resume is not None:
        others = (data, cache_dir, out, preset, config, distribute, cross_validate, teacher or None)
        if chosen or any(given is not None for given in others):
            raise UsageError("--resume takes everything from the run: leave other options away")
        _train(resume, None)
        return
    from emo_train.presets import resolve

    recipe, known = resolve(preset, config, chosen)
    data = data or _path(known.get("data"))
    if data is None or out is None:
        raise UsageError("give --data DIR and --out RUN (see emo-train --help)")
    # An option comes before what the run to repeat was told.
    cache_dir = cache_dir or _path(known.get("cache"))
    distribute = distribute or known.get("distribute", "none")
    cross_validate = cross_validate or known.get("folds")
    teacher = teacher or [Path(run) for run in known.get("teachers", ())]
    _warn_of_idle(chosen, recipe, taught=bool(teacher))
    if cross_validate is not None and (teacher or distribute != "none"):
        raise UsageError(
            "--cross-validate takes neither --teacher (it has seen faces that a fold scores) nor "
            "--distribute"
        )
    new = {"data": data, "recipe": recipe, "cache": cache_dir, "teachers": teacher}
    _train(out, {**new, "distribute": distribute, "folds": cross_validate})


def _warn_of_idle(chosen: Mapping[str, Any], recipe: Recipe, *, taught: bool) -> None:
    """Name options that change nothing: whoever gave them expects that they do."""
    needs = {"plateau_patience": "--schedule plateau"} if recipe.schedule != "plateau" else {}
    if not taught:
        settings = ("teacher_weight", "teacher_temperature", "feature_weight")
        needs |= dict.fromkeys(settings, "--teacher")
    for name in sorted(needs.keys() & chosen.keys()):
        warn(f"--{name.replace('_', '-')} does nothing without {needs[name]}")


def _path(text: str | None) -> Path | None:
    return None if text is None else Path(text)


def _train(folder: Path, new: Mapping[str, Any] | None) -> None:
    """Train `new`, the arguments of `run.configure`, into `folder`, or go on with what is there."""
    require_workstation()
    from emo_train import run
    from emo_train.data.layout import require_outside
    from emo_train.distribute import is_chief
    from emo_train.records import read_config, refuse_existing

    if new is None:
        fresh, settings, layout = False, read_config(folder), None
    else:
        fresh = is_chief(new["distribute"])
        if fresh:
            refuse_existing(folder)
        settings, layout = run.configure(**new)
        require_outside(folder, new["data"], layout)
        if fresh:
            require_writable(folder / CONFIG)
    try:
        if settings["folds"]:
            _cross_validate(folder, settings, layout)
            return
        metrics = run.train(folder, settings, layout)
    except (UsageError, DataError):
        # Nothing to resume: it would stand in the way of the command put right.
        if fresh and not any(folder.rglob(HISTORY)):
            shutil.rmtree(folder, ignore_errors=True)
        raise
    if metrics is None:
        say(f"this worker is done; the chief writes {folder}")
        return
    say(
        f"top-1 {metrics['top1']:.1%} on {metrics['images']} {metrics['protocol']['scored_on']} "
        f"pictures; next: emo-convert {shlex.quote(str(folder))} --quantize int8"
    )


def _cross_validate(folder: Path, settings: Mapping[str, Any], layout: Layout | None) -> None:
    from emo_train.crossvalidation import cross_validate, lines

    metrics = cross_validate(folder, settings, layout)
    print("\n".join(lines(metrics)))
    say(f"mean and standard deviation of {metrics['folds']} folds; {folder / METRICS} has all")
