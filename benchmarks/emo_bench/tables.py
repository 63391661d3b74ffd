"""Results as tables for people and as versioned JSON for machines."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from emo_edge.artifacts import write_json

RESULT_FORMAT = 1

Result = dict[str, Any]


def latency_table(results: Sequence[Result]) -> Table:
    """Return the table of `emo-bench latency`."""
    table = Table(title="One face, prepared pixels to probabilities, milliseconds")
    for name in ("model", "kB", "runtime", "threads", "runs"):
        table.add_column(name, overflow="fold")
    for name in ("min", "median", "MAD", "p90", "p95", "p99"):
        table.add_column(name, justify="right")
    for result in results:
        times = result["milliseconds"]
        numbers = [f"{times[k]:.3f}" for k in ("min", "median", "mad", "p90", "p95", "p99")]
        table.add_row(
            result["model"],
            f"{result['bytes'] / 1000:.0f}",
            result["conditions"]["runtime"],
            str(result["threads"]),
            str(times["runs"]),
            *numbers,
        )
    return table


def accuracy_table(results: Sequence[Result]) -> Table:
    """Return the table of `emo-bench accuracy`."""
    table = Table(title=f"Scored on {results[0]['protocol']['scored_on']}, single crop")
    table.add_column("model", overflow="fold")
    names = ("faces", "top-1", "95 % interval", "macro recall", "ECE")
    for name in (*names, *results[0]["recall"]):
        table.add_column(name, justify="right")
    for result in results:
        recalls = result["recall"].values()
        table.add_row(
            result["model"],
            str(result["images"]),
            f"{result['top1']:.1%}",
            "{:.1%} - {:.1%}".format(*result["top1_interval"]),
            f"{result['macro_recall']:.1%}",
            f"{result['ece']:.3f}",
            *("-" if recall is None else f"{recall:.1%}" for recall in recalls),
        )
    return table


def show(table: Table) -> None:
    """Print a table to stdout; wide enough for a file when stdout is none of a terminal's."""
    console = Console()
    if not console.is_terminal:
        console = Console(width=160)
    console.print(table)


def write_results(path: Path, benchmark: str, results: Sequence[Result]) -> None:
    """Write results as JSON, whole or not at all."""
    write_json(path, {"format": RESULT_FORMAT, "benchmark": benchmark, "results": list(results)})
