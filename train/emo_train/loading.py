"""From a run's configuration to its faces."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from emo_edge.errors import DataError, UsageError
from emo_edge.runfolder import CONFIG, SPEC
from emo_edge.spec import ModelSpec
from emo_train.data import Dataset, Layout, open_layout, prepare_splits
from emo_train.data.cache import cached
from emo_train.data.folds import fold_of
from emo_train.recipe import Recipe


def finished_config(run: Path) -> dict[str, Any]:
    """Return the configuration of a finished run; raises `DataError` for anything else."""
    if not (run / SPEC).exists():
        raise DataError(f"{run} is not a finished run: it lacks {SPEC}")
    try:
        return dict(json.loads((run / CONFIG).read_text(encoding="utf-8")))
    except (OSError, ValueError) as error:
        raise DataError(f"{run} is not a whole run: {error}") from error


def load_model(path: Path) -> Any:
    """Return the Keras model in a .keras or .h5 file; raises `DataError` if it holds none."""
    import keras

    try:
        return keras.saving.load_model(path, compile=False)
    except Exception as error:  # whatever Keras, HDF5 or zipfile raise for a file that is no model
        raise DataError(f"{path} is not a Keras model: {error}") from error


def require_unseen(
    weights: Path, data: Path, recipe: Recipe, layout: Layout, folds: int | None
) -> None:
    """Raise `UsageError` if weights to start from trained on faces that the new run will score.

    Args:
        weights: The model file; beside it a run has its configuration. What lies alone cannot be
            asked.
        data: Of the new run.
        recipe: Likewise.
        layout: The data, opened.
        folds: Into how many it is dealt, if it is.
    """
    try:
        before = json.loads(weights.with_name(CONFIG).read_text(encoding="utf-8"))
        other_data = before["data"] != str(data.resolve())
        seed, fold = before["recipe"]["seed"], before["fold"]
    except (OSError, ValueError, LookupError, TypeError):
        return
    if other_data:
        return
    run = weights.parent
    if folds or fold:
        raise UsageError(f"--weights {run} trained on faces that would be scored: leave it away")
    dealt = layout.whole or "validation" not in layout.parts
    if dealt and seed != recipe.seed:
        raise UsageError(
            f"--weights {run} trained on faces that would be scored: it split {data} by --seed "
            f"{seed}; give that seed"
        )


def load_dataset(config: Mapping[str, Any], layout: Layout | None = None) -> Dataset:
    """Load the splits that a config.json describes: the same faces in the same order every time.

    `layout` is the data if it has been opened already.
    """
    recipe = Recipe.from_json(config["recipe"])
    spec = ModelSpec.from_json(json.dumps(config["spec"]))
    if layout is None:
        root, cache = Path(config["data"]), config.get("cache")
        layout = open_layout(cached(root, Path(cache)) if cache else root, recipe.labels)
    dataset = prepare_splits(layout, spec, recipe.seed, keep_duplicates=recipe.keep_duplicates)
    if not config["fold"]:
        return dataset
    number, of = config["fold"]
    return fold_of(dataset, number, of, recipe.seed, whole=layout.whole)
