"""Looking at a data set without training: its table, its balance, its faces."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np

from emo_edge.artifacts import write_json
from emo_edge.contract import Image
from emo_train import plots
from emo_train.data.layout import SPLITS, Layout
from emo_train.data.reading import look
from emo_train.data.survey import Survey, take_survey
from emo_train.tables import show

SURVEY, BALANCE_PLOT = "survey.json", "balance.png"
SHEET_SIDE = 8  # pictures in a row and rows on a contact sheet


def inspect(layout: Layout, out: Path | None, seed: int) -> Survey:
    """Look at every picture of a layout; write survey, plots and contact sheets into `out`."""
    looks = {name: look(layout.parts[name]) for name in SPLITS if name in layout.parts}
    survey = take_survey(layout, looks)
    if out is not None:
        write_json(out / SURVEY, survey.to_json())
        plots.balance(out / BALANCE_PLOT, survey.labels, survey.counts)
        for index, label in enumerate(layout.labels):
            pictures = _some(layout, index, seed)
            if pictures:
                plots.sheet(out / f"faces-{_file_name(label)}.png", label, pictures, SHEET_SIDE)
    return survey


def show_survey(survey: Survey, *, result: bool) -> list[str]:
    """Print the counts of a survey; return its remarks."""
    splits = list(survey.counts)
    rows = [
        [label, *(f"{survey.counts[split][index]:,}" for split in splits)]
        for index, label in enumerate(survey.labels)
    ]
    rows.append(["all", *(f"{sum(survey.counts[split]):,}" for split in splits)])
    show(["class", *splits], rows, result=result)
    return survey.remarks()


def _some(layout: Layout, index: int, seed: int) -> list[tuple[str, Image]]:
    """Return (split, picture) of some pictures of a class, from all splits in proportion."""
    places = [
        (name, int(row))
        for name, part in layout.parts.items()
        for row in np.flatnonzero(part.targets.argmax(axis=1) == index)
    ]
    order = np.random.default_rng(seed).permutation(len(places))
    chosen = []
    for place in order:
        name, row = places[place]
        image = layout.parts[name].picture(row)
        if image is not None:
            chosen.append((name, image))
        if len(chosen) == SHEET_SIDE**2:
            break
    return sorted(chosen, key=lambda pair: SPLITS.index(pair[0]))


def _file_name(label: str) -> str:
    return re.sub(r"[^\w-]+", "_", label)
