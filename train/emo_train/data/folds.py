"""Folds of cross-validation: every face is scored once, by a model that never saw it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from emo_edge.artifacts import sha256
from emo_edge.errors import DataError
from emo_edge.faces import Faces, stratified
from emo_train.data.dataset import VALIDATION_SHARE, Dataset


def fold_of(dataset: Dataset, number: int, of: int, seed: int, *, whole: bool) -> Dataset:
    """Return the splits of one fold: it scores, the rest trains, a tenth of the rest selects.

    Args:
        dataset: Its training and validation faces are dealt; a test split that was given stays
            apart and untouched.
        number: Of the fold, from 1.
        of: How many there are.
        seed: Of the dealing.
        whole: Whether the data had no splits of its own: then all its faces are dealt.

    Raises `DataError` for a class with fewer different pictures than folds.
    """
    names = [name for name in dataset.splits if whole or name != "test"]
    pool = _joined([dataset.splits[name] for name in names])
    folds = deal(pool, of, seed)
    _require_classes(dataset, pool, folds, of)
    scored, rest = np.flatnonzero(folds == number - 1), np.flatnonzero(folds != number - 1)
    size = max(1, round(VALIDATION_SHARE * len(rest)))
    chosen = stratified(pool.truth[rest], size, seed)
    train = pool.take(np.delete(rest, chosen))
    known = set(_identities(train))
    selecting = [row for row in rest[chosen] if _identity(pool, row) not in known]
    splits = {
        "train": train,
        "validation": pool.take(np.array(selecting, np.int64)),
        "test": pool.take(scored),
    }
    notes = {**dataset.notes, "fold": f"{number} of {of}, stratified, seed {seed}"}
    return replace(dataset, splits=splits, notes=notes)


def deal(faces: Faces, folds: int, seed: int) -> NDArray[np.int64]:
    """Return the fold int64[N], from 0, of every face: stratified, copies together.

    Pictures with the same pixels go to one fold, so that none is scored by a model that trained on
    its copy.
    """
    _, groups = np.unique(_identities(faces), return_inverse=True)
    firsts = np.unique(groups, return_index=True)[1]
    kinds = faces.truth[firsts]
    rng = np.random.default_rng(seed)
    fold_of_group, dealt = np.empty(len(firsts), np.int64), 0
    for kind in np.unique(kinds):
        members = rng.permutation(np.flatnonzero(kinds == kind))
        fold_of_group[members] = (dealt + np.arange(len(members))) % folds
        dealt += len(members)  # the next class goes on where this one ended: folds of equal size
    return np.asarray(fold_of_group[groups], np.int64)


def _require_classes(dataset: Dataset, pool: Faces, folds: NDArray[np.int64], of: int) -> None:
    for index, label in enumerate(dataset.labels):
        present = np.unique(folds[pool.truth == index])
        if len(present) < of:
            raise DataError(
                f"class {label} has fewer different pictures than the {of} folds: choose a smaller "
                "--cross-validate"
            )


def _joined(parts: list[Faces]) -> Faces:
    return Faces(
        np.concatenate([part.pixels for part in parts]),
        np.concatenate([part.targets for part in parts]),
        tuple(name for part in parts for name in part.names),
    )


def _identity(faces: Faces, row: int) -> str:
    return sha256(faces.pixels[row].tobytes())


def _identities(faces: Faces) -> list[str]:
    return [_identity(faces, row) for row in range(len(faces))]
