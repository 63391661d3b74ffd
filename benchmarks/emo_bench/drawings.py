"""The pictures of a report, as PNG files."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from emo_bench.results import Outcome, Result, subject_of
from emo_bench.views.pipeline import draw_vital_signs
from emo_train.plots import save
from emo_train.score_plots import confusion_matrix

from matplotlib import pyplot as plt  # isort: skip  # emo_train.plots chooses the backend first


class Picture(NamedTuple):
    """A PNG and what it shows."""

    path: Path
    caption: str


def draw(folder: Path, outcomes: Sequence[Outcome]) -> tuple[list[Picture], list[list[Picture]]]:
    """Draw all pictures there are to these results into `folder`.

    Returns those of all outcomes together, and those of each.
    """
    each = [
        PAINTERS[outcome.kind](folder / f"{number}-{outcome.kind}", outcome.results)
        if outcome.results and outcome.kind in PAINTERS
        else []
        for number, outcome in enumerate(outcomes)
    ]
    scores, times = (
        [result for outcome in outcomes if outcome.kind == kind for result in outcome.results]
        for kind in ("accuracy", "latency")
    )
    overview = accuracy_against_latency(folder / "overview.png", scores, times)
    return ([] if overview is None else [overview]), each


def accuracy_against_latency(
    path: Path, scores: Sequence[Result], times: Sequence[Result]
) -> Picture | None:
    """Draw top-1 against median latency, the area of a point being the size of its file.

    Models are matched by their bytes; None if no model has both.
    """
    by_digest = {result["sha256"]: result for result in scores}
    both = [(by_digest[t["sha256"]], t) for t in times if t["sha256"] in by_digest]
    if not both:
        return None
    figure, axis = plt.subplots(figsize=(8, 4.5), layout="constrained")
    largest = max(time["bytes"] for _, time in both)
    for number, (score, time) in enumerate(both):
        low, high = score["top1_interval"]
        x, y = time["milliseconds"]["median"], 100 * score["top1"]
        axis.errorbar(
            x, y, [[y - 100 * low], [100 * high - y]], color=f"C{number % 10}", lw=1, capsize=3
        )
        axis.scatter(x, y, 900 * time["bytes"] / largest, color=f"C{number % 10}", alpha=0.6)
        label = f"{subject_of(time)}\n{time['bytes'] / 1000:.0f} kB"
        axis.annotate(
            label, (x, 100 * high), (0, 4), textcoords="offset points", fontsize=8, ha="center"
        )
    axis.set(xlabel="milliseconds a face (median)", ylabel="top-1, % (95 % interval)", xscale="log")
    axis.margins(x=0.4, y=0.35)
    axis.grid(alpha=0.3, which="both")
    save(figure, path)
    return Picture(path, "Accuracy against latency; the area of a point is the size of its file")


def _latency(stem: Path, results: Sequence[Result]) -> list[Picture]:
    return [
        _histogram(stem.with_name(f"{stem.name}-histogram.png"), results),
        _stages(stem.with_name(f"{stem.name}-stages.png"), results),
    ]


def _histogram(path: Path, results: Sequence[Result]) -> Picture:
    figure, axis = plt.subplots(figsize=(8, 3.6), layout="constrained")
    for number, result in enumerate(results):
        edges, counts = (np.array(result["histogram"][name]) for name in ("edges", "counts"))
        shares = counts / max(counts.max(), 1)
        colour = f"C{number % 10}"
        axis.stairs(shares, edges, color=colour, fill=True, alpha=0.3)
        axis.stairs(shares, edges, color=colour, label=subject_of(result))
        axis.axvline(result["milliseconds"]["median"], color=colour, ls=":", lw=1)
    axis.set(xlabel="milliseconds a face", ylabel="runs, largest = 1", xscale="log")
    axis.legend(fontsize=8)
    axis.grid(alpha=0.3, which="both")
    save(figure, path)
    return Picture(path, "Latency of single faces up to the 99th percentile; dotted: the medians")


def _stages(path: Path, results: Sequence[Result]) -> Picture:
    stages = list(results[0]["stages"]["milliseconds"])
    figure, axis = plt.subplots(figsize=(8, 3.6), layout="constrained")
    height = 0.8 / len(results)
    rows = np.arange(len(stages))
    for number, result in enumerate(results):
        times = result["stages"]["milliseconds"]
        medians = [times[stage]["median"] for stage in stages]
        beyond = [times[stage]["p90"] - times[stage]["median"] for stage in stages]
        axis.barh(
            rows + (number - (len(results) - 1) / 2) * height,
            medians,
            height,
            xerr=[np.zeros(len(stages)), beyond],
            error_kw={"lw": 0.8},
            color=f"C{number % 10}",
            label=subject_of(result),
        )
    axis.set_yticks(rows, stages)
    axis.invert_yaxis()
    axis.set(xlabel="milliseconds (median; whisker: p90)", xscale="log")
    axis.grid(alpha=0.3, axis="x", which="both")
    axis.legend(fontsize=8)
    save(figure, path)
    return Picture(path, "Where the time of one face goes, from a picture on disk to the sinks")


def _accuracy(stem: Path, results: Sequence[Result]) -> list[Picture]:
    pictures = []
    for number, result in enumerate(results):
        path = stem.with_name(f"{stem.name}-confusion-{number}.png")
        counts = np.array(result["confusion"], np.int64)
        title = f"{result['model']}: {result['top1']:.1%} of {result['images']}"
        confusion_matrix(path, counts, tuple(result["labels"]), title)
        pictures.append(Picture(path, f"{subject_of(result)}: confusion matrix"))
    corrupted = [result for result in results if "robustness" in result]
    if corrupted:
        path = stem.with_name(f"{stem.name}-robustness.png")
        pictures.append(_robustness(path, corrupted))
    through = [result for result in results if "crop_margins" in result]
    if through:
        pictures.append(_margins(stem.with_name(f"{stem.name}-margins.png"), through))
    return pictures


def _robustness(path: Path, results: Sequence[Result]) -> Picture:
    names = [row["corruption"] for row in results[0]["robustness"]]
    figure, axis = plt.subplots(figsize=(8, 3.6), layout="constrained")
    rows, step = np.arange(len(names)), 0.8 / len(results)
    for number, result in enumerate(results):
        drops = np.array([row["drop"] for row in result["robustness"]])
        limits = np.array([row["drop_interval"] for row in result["robustness"]])
        axis.errorbar(
            drops,
            rows + (number - (len(results) - 1) / 2) * step,
            xerr=[drops - limits[:, 0], limits[:, 1] - drops],
            fmt="o",
            capsize=3,
            color=f"C{number % 10}",
            label=subject_of(result),
        )
    axis.axvline(0, color="black", lw=0.8)
    axis.set_yticks(rows, names)
    axis.invert_yaxis()
    axis.set(xlabel="drop of top-1, points (95 % paired interval)")
    axis.grid(alpha=0.3)
    axis.legend(fontsize=8)
    save(figure, path)
    return Picture(path, "What is lost on corrupted faces")


def _margins(path: Path, results: Sequence[Result]) -> Picture:
    figure, axis = plt.subplots(figsize=(8, 3.6), layout="constrained")
    curves = [(result, part) for result in results for part in result["crop_margins"]]
    for number, (result, part) in enumerate(curves):
        margins = [row["margin"] for row in part["margins"]]
        top1 = [100 * row["top1"] for row in part["margins"]]
        limits = 100 * np.array([row["top1_interval"] for row in part["margins"]]).reshape(-1, 2)
        colour = f"C{number % 10}"
        axis.plot(margins, top1, "o-", color=colour, label=f"{result['model']}, {part['detector']}")
        axis.fill_between(margins, limits[:, 0], limits[:, 1], color=colour, alpha=0.15)
    axis.set(xlabel="crop margin, of the box's side", ylabel="top-1 of the faces found, %")
    axis.grid(alpha=0.3)
    axis.legend(fontsize=8)
    save(figure, path)
    return Picture(
        path, "Accuracy through the detectors, by how far the crop reaches beyond the box"
    )


def _pipeline(stem: Path, results: Sequence[Result]) -> list[Picture]:
    pictures = []
    for number, result in enumerate(results):
        path = stem.with_name(f"{stem.name}-{number}.png")
        draw_vital_signs(path, result)
        pictures.append(Picture(path, f"{result['model']}: memory, descriptors, threads over time"))
    return pictures


# Each is given the beginning of its files' names.
PAINTERS: dict[str, Callable[[Path, Sequence[Result]], list[Picture]]] = {
    "latency": _latency,
    "accuracy": _accuracy,
    "pipeline": _pipeline,
}
