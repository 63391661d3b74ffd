"""The end of a conversion: a table, a plot, and the same for machines."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from emo_convert.convert import Converted
from emo_edge.artifacts import as_text, atomic_path, write_json

REPORT_FORMAT = 1
WIDE = 160  # columns, where stdout is no terminal


def show(converted: Sequence[Converted]) -> None:
    """Print one line for each model and runtime to stdout."""
    table = Table(title="Parity with the Keras model, on the device's interpreter")
    for name in ("model", "runtime"):
        table.add_column(name, overflow="fold")
    right = ("kB", "top-1", "drop [95 %], points", "worst class", "same top-1", "mean |dp|")
    for name in (*right, "ECE", "ms"):
        table.add_column(name, justify="right")
    for done in converted:
        for parity in done.report["parity"]:
            table.add_row(
                as_text(done.path.name),
                parity["runtime"],
                f"{done.size / 1000:.0f}",
                *_cells(parity),
            )
    # A name may hold what Rich takes for markup: face[old].tflite.
    console = Console(markup=False, emoji=False)
    if not console.is_terminal:
        console.width = WIDE
    console.print(table)


def _cells(parity: dict[str, Any]) -> list[str]:
    accuracy = parity["accuracy"]
    answers = [f"{parity['agreement']:.1%}", f"{parity['mean_difference']:.4f}"]
    time = f"{parity['median_ms']:.3f}"
    if accuracy is None:
        return ["-", "-", "-", *answers, "-", time]
    low, high = accuracy["drop_interval"]
    worst = f"{accuracy['worst_class']} {-accuracy['class_drop']:+.1f}"
    return [
        f"{accuracy['export_top1']:.1%}",
        f"{accuracy['drop']:.2f} [{low:.2f}, {high:.2f}]",
        worst if accuracy["worst_class"] else "-",
        *answers,
        f"{accuracy['export_ece']:.3f}",
        time,
    ]


def write(path: Path, converted: Sequence[Converted]) -> None:
    """Write the reports of several conversions as one JSON, whole or not at all."""
    models = [{"file": done.path.name, "bytes": done.size, **done.report} for done in converted]
    write_json(path, {"format": REPORT_FORMAT, "models": models})


def plot(path: Path, converted: Sequence[Converted]) -> None:
    """Draw accuracy (or agreement, where faces are not labelled) against latency, size as area."""
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot as plt

    runtimes = list(dict.fromkeys(p["runtime"] for d in converted for p in d.report["parity"]))
    colours = {runtime: f"C{number}" for number, runtime in enumerate(runtimes)}
    figure, axis = plt.subplots(figsize=(8, 5))
    labelled = all(p["accuracy"] for d in converted for p in d.report["parity"])
    for done in converted:
        for parity in done.report["parity"]:
            value = parity["accuracy"]["export_top1"] if labelled else parity["agreement"]
            x, y = parity["median_ms"], 100 * value
            colour = colours[parity["runtime"]]
            axis.scatter(x, y, s=done.size / 500, color=colour, alpha=0.5)
            text = f"{done.report['quantization']}\n{done.size / 1000:.0f} kB"
            axis.annotate(text, (x, y), ha="center", va="center", fontsize=8)
    for runtime in runtimes:
        axis.scatter([], [], color=colours[runtime], alpha=0.5, label=runtime)
    axis.set(
        xlabel="milliseconds a face, one thread, on the converting machine",
        ylabel="top-1, percent" if labelled else "same top-1 as Keras, percent",
        title="Accuracy against latency; the area is the size",
    )
    axis.margins(0.2)
    axis.grid(alpha=0.3)
    axis.legend()
    with atomic_path(path) as temporary:
        figure.savefig(temporary, dpi=120, bbox_inches="tight")
    plt.close(figure)
