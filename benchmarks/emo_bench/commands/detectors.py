"""`emo-bench detectors`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from emo_bench.commands.options import JsonOption, finish, finite, require_places
from emo_edge.commands import guarded, require_extra


@guarded
def detectors(
    data: Annotated[Path, typer.Option(help="CSV of faces: image,x,y,w,h (pixels).")],
    without_faces: Annotated[
        list[Path] | None, typer.Option(help="Picture, or folder of pictures, without a face.")
    ] = None,
    video: Annotated[
        list[Path] | None, typer.Option(help="Video: searched whole, and with faces followed.")
    ] = None,
    detector: Annotated[
        list[str] | None, typer.Option(help="Only this one: haar, yunet.  [default: both]")
    ] = None,
    iou: Annotated[
        float,
        typer.Option(
            min=0.05, max=1.0, callback=finite, help="Overlap from which a face counts as found."
        ),
    ] = 0.5,
    json_file: JsonOption = None,
) -> None:
    """Score and time face detectors: recall, false positives, CPU time."""
    require_extra("workstation", "rich")
    require_places(json_file)
    from emo_bench.boxes import read_boxes
    from emo_bench.detectors import measure, require_there
    from emo_bench.results import Job, measure_all
    from emo_bench.views.detectors import grids
    from emo_edge.sources.stills import pictures_in

    boxes = read_boxes(data)
    empty = [
        picture
        for path in without_faces or []
        for picture in (pictures_in(path) if path.is_dir() else [path])
    ]

    require_there([*boxes, *empty], video or [])

    def job(name: str) -> Job:
        return name, lambda: measure(name, boxes, empty, video or [], iou)

    jobs = [job(name) for name in detector or ("haar", "yunet")]
    finish(measure_all("detectors", jobs, json_file), grids)
