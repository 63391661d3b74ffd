"""`emo-bench demo`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from emo_edge.commands import guarded, require_extra


@guarded
def demo(
    out: Annotated[Path, typer.Option(help="Folder to make.")] = Path("demo"),
) -> None:
    """Run the whole toolkit on drawn faces: data, training, int8, a live timeline, a report."""
    require_extra("workstation", "tensorflow", "keras", "matplotlib", "rich")
    from emo_bench.demo import run

    run(out)
