"""How accuracies are shown."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from emo_bench.grids import Grid
from emo_bench.results import Result


def grids(results: Sequence[Result]) -> list[Grid]:
    """Return the tables of `emo-bench accuracy`."""
    return [
        _scores(results),
        *_recalls(results),
        *_copies(results),
        *_robustness(results),
        *_margins(results),
    ]


def _scores(results: Sequence[Result]) -> Grid:
    columns = (
        "model",
        "runtime",
        "faces",
        "top-1",
        "95 % interval",
        "macro recall",
        "macro F1",
        "ECE",
        f"drop against {_reference(results)}, points",
        "p",
    )
    rows = [
        (
            result["model"],
            result["runtime"],
            str(result["images"]),
            f"{result['top1']:.1%}",
            _interval(result["top1_interval"]),
            f"{result['macro_recall']:.1%}",
            f"{result['macro_f1']:.1%}",
            f"{result['ece']:.3f}",
            *_against_first(result),
        )
        for result in results
    ]
    protocols = dict.fromkeys(result["protocol"]["scored_on"] for result in results)
    return Grid(f"Scored on {'; '.join(protocols)}, single crop", columns, rows, left=2)


def _reference(results: Sequence[Result]) -> str:
    """Return what the others are held against: the first model that could be scored."""
    named = (r["against_first"]["model"] for r in results if "against_first" in r)
    return str(next(named, "the first"))


def _against_first(result: Result) -> tuple[str, str]:
    against = result.get("against_first")
    if against is None:
        return "-", "-"
    low, high = against["drop_interval"]
    return f"{against['drop']:.2f} ({low:.2f} to {high:.2f})", f"{against['mcnemar_p']:.3f}"


def _recalls(results: Sequence[Result]) -> Iterator[Grid]:
    """Models with the same labels share a table."""
    for labels in dict.fromkeys(tuple(sorted(result["recall"])) for result in results):
        rows = [
            (result["model"], *(_percent(result["recall"][label]) for label in labels))
            for result in results
            if tuple(sorted(result["recall"])) == labels
        ]
        yield Grid("Recall", ("model", *labels), rows)


def _copies(results: Sequence[Result]) -> Iterator[Grid]:
    rows = [
        (
            result["model"],
            *(
                text
                for part in ("copies", "others")
                for text in (str(parts[part]["images"]), _percent(parts[part]["top1"]))
            ),
        )
        for result in results
        if (parts := result.get("training_copies")) and parts["copies"]["images"]
    ]
    if rows:
        columns = ("model", "copies", "top-1", "others", "top-1")
        yield Grid("Copies of training faces, apart from the others", columns, rows)


def _robustness(results: Sequence[Result]) -> Iterator[Grid]:
    for result in results:
        if "robustness" not in result:
            continue
        rows = [
            (
                row["corruption"],
                f"{row['top1']:.1%}",
                f"{row['drop']:.2f}",
                "{:.2f} to {:.2f}".format(*row["drop_interval"]),
            )
            for row in result["robustness"]
        ]
        columns = ("corruption", "top-1", "drop, points", "95 % interval")
        yield Grid(f"{result['model']}: robustness, clean {result['top1']:.1%}", columns, rows)


def _margins(results: Sequence[Result]) -> Iterator[Grid]:
    for result in results:
        rows = [
            (
                part["detector"],
                f"{part['found']} of {part['faces']}",
                f"{row['margin']:.2f}",
                f"{row['top1']:.1%}",
                _interval(row["top1_interval"]),
            )
            for part in result.get("crop_margins", ())
            for row in part["margins"]
        ]
        if rows:
            columns = ("detector", "faces found", "crop margin", "top-1", "95 % interval")
            yield Grid(f"{result['model']}: through detectors", columns, rows)


def _interval(limits: Sequence[float]) -> str:
    low, high = limits
    return f"{low:.1%} - {high:.1%}"


def _percent(share: float | None) -> str:
    return "-" if share is None else f"{share:.1%}"
