"""How runs of the whole loop are shown."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from emo_bench.grids import Grid
from emo_bench.results import Result

STAGES = ("decode", "detect", "prepare", "invoke", "sinks", "rest", "total", "own")
PERCENTILES = ("p50", "p90", "p95", "p99")


def grids(results: Sequence[Result]) -> list[Grid]:
    """Return the tables of `emo-bench pipeline`."""
    return [_speed(results), *map(_cost, results), _memory(results)]


def _name(result: Result) -> tuple[str, str, str]:
    width, height = result["frame_size"]
    return result["model"], result["detector"], f"{result['source']} {width}x{height}"


def _speed(results: Sequence[Result]) -> Grid:
    rows = [
        (
            *_name(result),
            str(result["frames"]),
            f"{result['faces'] / result['frames']:.2f}",
            str(result["skipped_frames"]),
            f"{result['fps']:.1f}",
            *(_number(result["age_ms"][name], "{:.1f}") for name in PERCENTILES),
        )
        for result in results
    ]
    columns = (
        *("model", "detector", "source", "frames", "faces a frame", "skipped", "fps"),
        *(f"age {name}" for name in PERCENTILES),
    )
    return Grid("Frames, and age of their readings in milliseconds", columns, rows, left=3)


def _cost(result: Result) -> Grid:
    per_frame, per_face = result["cpu_ms_per_frame"], result["cpu_ms_per_face"]
    rows = [
        (
            stage,
            f"{per_frame[stage]:.3f}",
            f"{per_frame[stage] / per_frame['total']:.1%}",
            _number(per_face.get(stage), "{:.3f}"),
            *(_number(result.get(f"{stage}_cpu_ms", {}).get(p), "{:.3f}") for p in PERCENTILES),
        )
        for stage in STAGES
    ]
    columns = ("stage", "mean", "share", "mean a face", *PERCENTILES)
    title = "CPU ms a frame; own: all but decode, detect, invoke"
    return Grid(title, columns, rows)


def _memory(results: Sequence[Result]) -> Grid:
    rows = [
        (
            *_name(result),
            *(f"{result['rss_mib'][name]:.1f}" for name in ("start", "end", "peak")),
            _slope(result["rss_mib_per_million_frames"]),
            _slope(result["rss_mib_per_hour"]),
            *("{} - {}".format(*result[name]) for name in ("descriptors", "threads_of_process")),
        )
        for result in results
    ]
    columns = (
        *("model", "detector", "source", "start", "end", "peak"),
        *("per million frames (95 %)", "per hour (95 %)", "descriptors", "threads"),
    )
    return Grid("Resident MiB after the warm-up, and how it grows", columns, rows, left=3)


def _slope(slope: dict[str, float] | None) -> str:
    return "-" if slope is None else "{value:+.2f} ({low:+.2f} to {high:+.2f})".format(**slope)


def _number(value: float | None, form: str) -> str:
    return "-" if value is None else form.format(value)


def draw_vital_signs(path: Path, result: Result) -> None:
    """Draw resident memory, descriptors and threads over time."""
    from matplotlib import pyplot as plt

    from emo_train.plots import save

    signs = result["vital_signs"]
    thousand = np.array(signs["frames"]) / 1e3
    figure, axes = plt.subplots(3, 1, figsize=(9, 6), sharex=True, layout="constrained")
    rows = (("rss_mib", "resident MiB"), ("descriptors", "descriptors"), ("threads", "threads"))
    for axis, (name, label) in zip(axes, rows, strict=True):
        axis.plot(thousand, signs[name], lw=1.2)
        axis.set_ylabel(label)
        axis.set_ylim(0, 1.15 * max(signs[name]))
        axis.grid(alpha=0.3)
    axes[-1].set_xlabel("thousand frames")
    slope = _slope(result["rss_mib_per_million_frames"])
    hours = signs["seconds"][-1] / 3600
    axes[0].set_title(
        f"{result['model']}, {result['detector']}, {result['source']}: {hours:.2f} h, "
        f"{slope} MiB per million frames",
        fontsize=10,
    )
    save(figure, path)
