"""How the speed of training is shown."""

from __future__ import annotations

from collections.abc import Sequence

from emo_bench.grids import Grid
from emo_bench.results import Result


def grids(results: Sequence[Result]) -> list[Grid]:
    """Return the tables of `emo-bench training`."""
    return [_ways(result) for result in results]


def _ways(result: Result) -> Grid:
    rows = [
        (
            way,
            f"{speed['images_per_second']:.0f}",
            f"{result['of_plain'][way]:.1%}",
            f"{speed['cpu_ms_per_image']:.3f}",
        )
        for way, speed in result["ways"].items()
    ]
    title = (
        f"Training {result['model']} at {result['side']} x {result['side']}, batches of "
        f"{result['batch_size']}; medians of {result['rounds']} rounds of {result['steps']} steps"
    )
    return Grid(title, ("augmentation", "images/s", "of none", "CPU ms an image"), rows)
