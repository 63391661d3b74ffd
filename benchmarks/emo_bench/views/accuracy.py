"""How accuracies are shown."""

from __future__ import annotations

from collections.abc import Sequence

from emo_bench.grids import Grid
from emo_bench.results import Result


def grids(results: Sequence[Result]) -> list[Grid]:
    """Return the tables of `emo-bench accuracy`."""
    names = ("model", "faces", "top-1", "95 % interval", "macro recall", "ECE")
    rows = [
        (
            result["model"],
            str(result["images"]),
            f"{result['top1']:.1%}",
            "{:.1%} - {:.1%}".format(*result["top1_interval"]),
            f"{result['macro_recall']:.1%}",
            f"{result['ece']:.3f}",
            *("-" if recall is None else f"{recall:.1%}" for recall in result["recall"].values()),
        )
        for result in results
    ]
    title = f"Scored on {results[0]['protocol']['scored_on']}, single crop"
    return [Grid(title, (*names, *results[0]["recall"]), rows)]
