"""`report.html`: one page of a run that needs no network and no other file."""

from __future__ import annotations

import base64
from collections.abc import Iterable, Mapping, Sequence
from html import escape
from pathlib import Path
from string import Template
from typing import Any

from emo_edge.artifacts import write_bytes
from emo_edge.runfolder import (
    CLASSES_PLOT,
    CONFUSION_PLOT,
    CURVES_PLOT,
    MISTAKES_PLOT,
    RELIABILITY_PLOT,
    REPORT,
    SAMPLES_PLOT,
)
from emo_train.evaluation import sentence
from emo_train.recipe import Recipe

TEMPLATE = Path(__file__).with_name("report.template.html")
PLOTS = (  # file, caption, whether it takes the whole width
    (CURVES_PLOT, "Loss and accuracy", True),
    (CONFUSION_PLOT, "Confusion matrix, coloured by recall", False),
    (RELIABILITY_PLOT, "Confidence against accuracy", False),
    (CLASSES_PLOT, "Scores of each class", True),
    (MISTAKES_PLOT, "The mistakes of which the model was surest", True),
    (SAMPLES_PLOT, "Training faces, as they are and augmented", True),
)


def write_report(run: Path, metrics: Mapping[str, Any], recipe: Recipe) -> None:
    """Write the page from the metrics and the plots that lie in `run`."""
    settings = recipe.to_json()
    strengths = settings.pop("augmentation")
    page = Template(TEMPLATE.read_text(encoding="utf-8")).substitute(
        title=escape(run.resolve().name),
        protocol=escape(sentence(metrics)),
        tiles="".join(_tile(*tile) for tile in _tiles(metrics)),
        classes=_class_table(metrics),
        plots="".join(_figure(run / name, caption, wide) for name, caption, wide in PLOTS),
        facts=_pairs({**_flat(metrics["data"]), **_flat(metrics["training"])}),
        model=_pairs({**_flat(metrics["model"]), **_flat(metrics["versions"])}),
        recipe=_pairs(_flat(settings)),
        augmentation=_pairs(_flat(strengths)),
    )
    write_bytes(run / REPORT, page.encode())


def _tiles(metrics: Mapping[str, Any]) -> Iterable[tuple[str, str, str]]:
    low, high = metrics["top1_interval"]
    yield "accuracy", f"{metrics['top1']:.1%}", f"95 % interval {low:.1%} to {high:.1%}"
    yield "top-2", f"{metrics['top2']:.1%}", "the true class is among the first two"
    yield "macro F1", f"{metrics['macro_f1']:.3f}", "every class counts alike"
    yield "macro recall", f"{metrics['macro_recall']:.1%}", "mean over the classes"
    explained = "-" if metrics["r2"] is None else f"{metrics['r2']:.3f}"
    yield "R²", explained, "one-hot truth against probabilities"
    yield "ECE", f"{metrics['ece']:.3f}", "calibration error, 0 is best"


def _tile(name: str, value: str, note: str) -> str:
    return f"<div><b>{escape(value)}</b><span>{escape(name)}</span><i>{escape(note)}</i></div>"


def _class_table(metrics: Mapping[str, Any]) -> str:
    names = ("precision", "recall", "f1")
    rows = [
        [label, str(sum(counts)), *(_share(metrics[name][label]) for name in names)]
        for label, counts in zip(metrics["recall"], metrics["confusion"], strict=True)
    ]
    macro = [_share(metrics[name]) for name in ("macro_precision", "macro_recall", "macro_f1")]
    rows.append(["macro", str(metrics["images"]), *macro])
    return _table(("class", "faces", "precision", "recall", "F1"), rows)


def _share(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    def line(cells: Sequence[str], tag: str) -> str:
        return "<tr>" + "".join(f"<{tag}>{escape(cell)}</{tag}>" for cell in cells) + "</tr>"

    return f"<table>{line(head, 'th')}{''.join(line(row, 'td') for row in rows)}</table>"


def _pairs(values: Mapping[str, Any]) -> str:
    cells = (
        f"<tr><th>{escape(name.replace('_', ' '))}</th><td>{escape(str(value))}</td></tr>"
        for name, value in values.items()
    )
    return f"<table>{''.join(cells)}</table>"


def _flat(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return nested mappings as one, their names joined."""
    flat: dict[str, Any] = {}
    for name, value in values.items():
        if isinstance(value, Mapping):
            flat |= {f"{name} {key}": inner for key, inner in value.items()}
        else:
            flat[name] = ", ".join(map(str, value)) if isinstance(value, list) else value
    return flat


def _figure(path: Path, caption: str, wide: bool) -> str:
    data = base64.b64encode(path.read_bytes()).decode()
    text, room = escape(caption), " class=wide" if wide else ""
    return (
        f'<figure{room}><img src="data:image/png;base64,{data}" alt="{text}">'
        f"<figcaption>{text}</figcaption></figure>"
    )
