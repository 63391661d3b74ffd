"""The run folder: what a training leaves behind, and all that the converter needs.

config.json        data, labels, contract and recipe; written first
backup/, best.keras, history.csv      what a resumed training goes on from
model.keras        the model of the best epoch by validation accuracy
calibration.npz    pixels of a seeded sample of the *training* split, for quantization
evaluation.npz     pixels, truth and names of the split that scores
metrics.json       scores, with the protocol
samples.png, curves.png, confusion.png
spec.json          the `ModelSpec`; written last: a run that has it is finished
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

from emo_edge.artifacts import atomic_path
from emo_edge.errors import DataError, UsageError
from emo_train.data import Dataset, stratified

CONFIG, SPEC, MODEL = "config.json", "spec.json", "model.keras"
BEST, BACKUP, HISTORY = "best.keras", "backup", "history.csv"
METRICS, CALIBRATION, EVALUATION = "metrics.json", "calibration.npz", "evaluation.npz"

CALIBRATION_FACES = 512


def refuse_existing(run: Path) -> None:
    """Raise `UsageError` if `run` holds anything: a run is never overwritten."""
    if (run / SPEC).exists():
        raise UsageError(f"{run} holds a finished run; choose another --out, or remove it")
    if (run / CONFIG).exists():
        raise UsageError(f"{run} holds an unfinished run; go on with: emo-train --resume {run}")
    if run.exists() and (not run.is_dir() or any(run.iterdir())):
        raise UsageError(f"{run} exists and is not an empty folder; choose another --out")


def read_config(run: Path) -> dict[str, Any]:
    """Return the configuration of an unfinished run; raises `UsageError` or `DataError`."""
    if (run / SPEC).exists():
        raise UsageError(f"{run} is finished: nothing to resume")
    try:
        config = json.loads((run / CONFIG).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise DataError(f"{run} is not a run folder: {error}") from error
    return dict(config)


def write_samples(run: Path, dataset: Dataset, seed: int) -> None:
    """Write calibration.npz (from training only) and evaluation.npz."""
    train = dataset.splits["train"]
    rows = stratified(train.truth, CALIBRATION_FACES, seed)
    with atomic_path(run / CALIBRATION) as temporary:
        np.savez_compressed(temporary, pixels=train.pixels[rows], seed=seed)
    scored = dataset.splits[dataset.evaluation]
    with atomic_path(run / EVALUATION) as temporary:
        np.savez_compressed(
            temporary,
            pixels=scored.pixels,
            truth=scored.truth,
            names=np.array(scored.names),
            split=dataset.evaluation,
        )
