"""From a run's configuration to its faces."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from emo_edge.spec import ModelSpec
from emo_train.data import Dataset, load_folders
from emo_train.fer2013 import load_fer2013
from emo_train.recipe import Recipe


def load_dataset(config: Mapping[str, Any]) -> Dataset:
    """Load the splits that a config.json describes: the same faces in the same order every time."""
    root, recipe = Path(config["data"]), Recipe.from_json(config["recipe"])
    spec = ModelSpec.from_json(json.dumps(config["spec"]))
    if recipe.labels != "auto":
        return load_fer2013(root, spec, recipe.labels, recipe.seed)  # type: ignore[arg-type]
    return load_folders(root, spec, recipe.seed)
