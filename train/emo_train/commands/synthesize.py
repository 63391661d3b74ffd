"""`emo-train synthesize`: drawn faces, to try the toolkit without any data."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Annotated

import typer

from emo_edge.artifacts import make_folder, require_writable, write_json
from emo_edge.commands import guarded
from emo_edge.errors import UsageError
from emo_edge.messages import say


@guarded
def synthesize(
    out: Annotated[Path, typer.Option(help="Folder to make.")],
    per_class: Annotated[int, typer.Option(min=2, help="Training pictures per class.")] = 240,
    video: Annotated[Path | None, typer.Option(help="Draw a video (.mp4) too.")] = None,
    seed: Annotated[int, typer.Option(min=0, help="Of the drawing.")] = 0,
) -> None:
    """Draw parametric faces as class folders, to try the toolkit without any data.

    They are drawings: what a model scores on them says nothing about real faces.
    """
    from emo_train.synthetic import write_dataset, write_video

    if out.exists():
        raise UsageError(f"{out} exists; choose another --out, or remove it")
    if video is not None:
        _require_new(video)
    # Under another name until it is whole: half a data set would train without a word.
    partial = out.with_name(f".{out.name}.partial")
    require_writable(partial / "faces")
    try:
        write_dataset(partial, per_class=per_class, seed=seed)
        partial.rename(out)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    say(f"drew faces into {out}")
    if video is not None:
        truth = write_video(video, seed=seed + 1)
        write_json(video.with_suffix(".json"), {"truth": truth})
        say(f"drew {video}; {video.with_suffix('.json').name} says what it shows when")


def _require_new(video: Path) -> None:
    if video.suffix != ".mp4":
        raise UsageError(f"--video {video}: the name must end in .mp4")
    for path in (video, video.with_suffix(".json")):
        if path.exists():
            raise UsageError(f"{path} exists; choose another --video, or remove it")
        require_writable(path)
    make_folder(video.parent)
