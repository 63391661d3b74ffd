"""How detectors are shown."""

from __future__ import annotations

from collections.abc import Sequence

from emo_bench.grids import Grid
from emo_bench.results import Result

WAYS = ("searched", "followed")


def grids(results: Sequence[Result]) -> list[Grid]:
    """Return the tables of `emo-bench detectors`."""
    tables = [_pictures(results)]
    if any(result["videos"] for result in results):
        tables.append(_videos(results))
    return tables


def _pictures(results: Sequence[Result]) -> Grid:
    first = results[0]["pictures"]
    rows = []
    for result in results:
        on = result["pictures"]
        rows.append(
            (
                result["detector"],
                f"{on['found']}",
                f"{on['recall']:.1%}",
                "{:.0%} - {:.0%}".format(*on["recall_interval"]),
                _number(on["median_iou"], "{:.2f}"),
                str(on["false_positives"]),
                str(on["false_positives_without_faces"]),
                f"{on['cpu_ms']['median']:.1f}",
                f"{on['cpu_ms']['p90']:.1f}",
                _number(on["cpu_ms_per_face_found"], "{:.1f}"),
            )
        )
    title = (
        f"{first['faces']} faces in {first['pictures']} pictures, "
        f"{first['pictures_without_faces']} pictures without; IoU {results[0]['iou']:g}; CPU ms"
    )
    columns = (
        *("detector", "found", "recall", "95 % interval", "median IoU", "false", "false (no face)"),
        *("median", "p90", "a face found"),
    )
    return Grid(title, columns, rows)


def _videos(results: Sequence[Result]) -> Grid:
    rows = [
        (
            result["detector"],
            video["video"],
            str(video["frames"]),
            *(f"{video[way]['frames_with_face']:.1%}" for way in WAYS),
            _number(video["followed_of_searched"], "{:.1%}"),
            *(cost for way in WAYS for cost in _costs(video[way])),
        )
        for result in results
        for video in result["videos"]
    ]
    columns = (
        *("detector", "video", "frames", "face: searched", "followed", "kept"),
        *("searched: mean", "median", "p90", "followed: mean", "median", "p90"),
    )
    title = "Videos, every frame searched or faces followed; CPU ms a frame"
    return Grid(title, columns, rows, left=2)


def _costs(way: Result) -> tuple[str, ...]:
    return (
        f"{way['mean_cpu_ms']:.1f}",
        f"{way['cpu_ms']['median']:.1f}",
        f"{way['cpu_ms']['p90']:.1f}",
    )


def _number(value: float | None, form: str) -> str:
    return "-" if value is None else form.format(value)
