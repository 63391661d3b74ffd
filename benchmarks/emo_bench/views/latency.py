"""How latencies are shown."""

from __future__ import annotations

from collections.abc import Sequence

from emo_bench.grids import Grid
from emo_bench.results import Result

STATISTICS = ("min", "median", "mad", "p90", "p95", "p99")


def grids(results: Sequence[Result]) -> list[Grid]:
    """Return the tables of `emo-bench latency`."""
    columns = ("model", "runtime", "kB", "threads", "runs", *STATISTICS)
    rows = [
        (
            result["model"],
            result["runtime"],
            f"{result['bytes'] / 1000:.0f}",
            str(result["threads"]),
            str(result["milliseconds"]["runs"]),
            *(f"{result['milliseconds'][name]:.3f}" for name in STATISTICS),
        )
        for result in results
    ]
    return [Grid("One face, prepared pixels to probabilities, milliseconds", columns, rows, left=2)]
