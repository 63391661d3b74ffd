"""Writing the run folder (`emo_edge.runfolder` says what is in it), and never over another."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

from emo_edge.artifacts import atomic_path
from emo_edge.errors import DataError, ModelError, UsageError
from emo_edge.faces import stratified
from emo_edge.runfolder import CALIBRATION, CONFIG, EVALUATION, METRICS, SPEC
from emo_edge.spec import ModelSpec
from emo_train.data import Dataset
from emo_train.recipe import Recipe

CALIBRATION_FACES = 512


def refuse_existing(run: Path) -> None:
    """Raise `UsageError` if `run` holds anything: a run is never overwritten."""
    if _is_finished(run):
        raise UsageError(f"{run} holds a finished run; choose another --out, or remove it")
    if (run / CONFIG).exists():
        raise UsageError(f"{run} holds an unfinished run; go on with: emo-train --resume {run}")
    if run.exists() and (not run.is_dir() or any(run.iterdir())):
        raise UsageError(f"{run} exists and is not an empty folder; choose another --out")


def _is_finished(run: Path) -> bool:
    """Whether the last file of a run is there; a cross-validation ends with its metrics."""
    return (run / SPEC).exists() or ((run / "fold-1").exists() and (run / METRICS).exists())


def read_config(run: Path) -> dict[str, Any]:
    """Return the configuration of an unfinished run; raises `UsageError` or `DataError`."""
    if _is_finished(run):
        raise UsageError(f"{run} is finished: nothing to resume")
    try:
        config = json.loads((run / CONFIG).read_text(encoding="utf-8"))
        ModelSpec.from_json(json.dumps(config["spec"]))
        Recipe.from_json(config["recipe"])
        _ = Path(config["data"]), list(config["teachers"]), str(config["distribute"])
        _ = config["folds"], config["fold"]
        if "averaged" in config:
            raise ValueError("it was to be an average; remove it and average again")
    except (OSError, ValueError, LookupError, TypeError, ModelError, UsageError) as error:
        raise DataError(f"{run} is not a run folder that can be resumed: {error}") from error
    return dict(config)


def write_samples(run: Path, dataset: Dataset, seed: int) -> None:
    """Write calibration.npz (from training only) and evaluation.npz."""
    train = dataset.splits["train"]
    rows = stratified(train.truth, CALIBRATION_FACES, seed)
    with atomic_path(run / CALIBRATION) as temporary:
        np.savez_compressed(
            temporary, pixels=train.pixels[rows], truth=train.truth[rows], seed=seed
        )
    scored = dataset.splits[dataset.evaluation]
    with atomic_path(run / EVALUATION) as temporary:
        np.savez_compressed(
            temporary,
            pixels=scored.pixels,
            truth=scored.truth,
            names=np.array(scored.names),
            split=dataset.evaluation,
        )
