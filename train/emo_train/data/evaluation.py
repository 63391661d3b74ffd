"""What scores a finished model: the most independent pictures that a data set has."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from emo_edge.artifacts import sha256
from emo_edge.errors import DataError, UsageError
from emo_edge.faces import Faces
from emo_edge.spec import ModelSpec
from emo_train.data.dataset import prepare_splits
from emo_train.data.folds import fold_of
from emo_train.data.layout import Layout
from emo_train.data.reading import look, read
from emo_train.data.recognise import open_layout

TRAINING_SPLIT = "the training split of the data"


@dataclass(frozen=True)
class Evaluation:
    """Faces that score a finished model.

    Attributes:
        faces: As they are: nothing is removed.
        origin: What they are, for the protocol.
        seen: bool[N], which of them are copies of training faces.
        looked_in: Where copies were looked for; None if they were not, or nobody knows.
    """

    faces: Faces
    origin: str
    seen: NDArray[np.bool_]
    looked_in: str | None


def load_evaluation(root: Path, spec: ModelSpec) -> Evaluation:
    """Load what scores a model: the test split, else validation, else a whole tree.

    Of data that the model was trained on, only the split that scored then is loaded.

    Raises `DataError` for pictures that cannot be used, `UsageError` for other classes than the
    model's.
    """
    layout = open_layout(root, labels=spec.labels)
    if layout.labels != spec.labels:
        ours, theirs = ", ".join(spec.labels), ", ".join(layout.labels)
        raise UsageError(f"the model's labels ({ours}) are not those of {layout.kind} ({theirs})")
    for name in ("test", "validation"):
        if name in layout.parts:
            return _given_split(layout, name, spec)
    scored = _scored_split(layout, spec)
    if scored is not None:
        return scored
    faces, _ = read(layout.parts["train"], spec)
    return Evaluation(faces, "all pictures", np.zeros(len(faces), bool), None)


def copies(faces: Faces, others: Sequence[Faces]) -> NDArray[np.bool_]:
    """Return which faces have the very pixels of one of `others`: bool[N]."""
    known = {sha256(pixels.tobytes()) for other in others for pixels in other.pixels}
    return np.array([sha256(pixels.tobytes()) in known for pixels in faces.pixels], bool)


def _given_split(layout: Layout, name: str, spec: ModelSpec) -> Evaluation:
    faces, seen = read(layout.parts[name], spec)
    origin = layout.parts[name].origin
    if "train" not in layout.parts:
        return Evaluation(faces, origin, np.zeros(len(faces), bool), None)
    known = look(layout.parts["train"]).digests
    return Evaluation(faces, origin, np.isin(seen.digests, known), TRAINING_SPLIT)


def _scored_split(layout: Layout, spec: ModelSpec) -> Evaluation | None:
    """Return the faces that scored the model's training, if it was trained on these very ones."""
    if not spec.training:
        return None
    recipe: dict[str, Any] = spec.training["recipe"]
    keep = bool(recipe.get("keep_duplicates", False))
    try:
        dataset = prepare_splits(layout, spec, recipe["seed"], keep_duplicates=keep)
        if fold := spec.training.get("fold"):
            number, of = fold
            dataset = fold_of(dataset, number, of, recipe["seed"], whole=layout.whole)
    except DataError:  # too few pictures to have trained on
        return None
    if dataset.fingerprint() != spec.training["metrics"]["data"]["sha256"]:
        return None
    name = dataset.evaluation
    faces = dataset.splits[name]
    seen = copies(faces, [dataset.splits["train"]])  # a recipe may have kept them
    return Evaluation(faces, f"{name} split of the training folder", seen, TRAINING_SPLIT)
