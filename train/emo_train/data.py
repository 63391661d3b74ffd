"""Pictures as people have them: class folders, split or not, or the FER2013 CSV files.

All pixels pass through the contract of `emo_edge`, so that training sees what the device sees.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from emo_edge.errors import DataError
from emo_edge.faces import Faces, load_tree, pictures_in, require_folder, stratified
from emo_edge.spec import ModelSpec

# What people call their splits.
SPLIT_FOLDERS = {
    "train": ("train", "training"),
    "validation": ("val", "valid", "validation"),
    "test": ("test", "testing"),
}
VALIDATION_SHARE = 0.1


@dataclass(frozen=True)
class Dataset:
    """The splits of a data set; `validation` selects, `test` scores.

    Attributes:
        labels: Class names in the order of the targets.
        splits: "train", "validation" and, if there is one, "test".
        notes: What was found and done, for the run's records.
    """

    labels: tuple[str, ...]
    splits: Mapping[str, Faces]
    notes: Mapping[str, object] = field(default_factory=dict)

    @property
    def evaluation(self) -> str:
        """Name of the split that scores: "test" where there is one."""
        return "test" if "test" in self.splits else "validation"

    def fingerprint(self) -> str:
        """Return the SHA-256 over all pixels and targets."""
        digest = hashlib.sha256()
        for name, faces in sorted(self.splits.items()):
            digest.update(name.encode())
            digest.update(faces.pixels.tobytes())
            digest.update(faces.targets.tobytes())
        return digest.hexdigest()


def class_folders(root: Path) -> tuple[str, ...]:
    """Return the labels of the class folders below `root` (or below its training split)."""
    require_folder(root)
    train = _split_folder(root, "train") or root
    labels = tuple(sorted(p.name for p in train.iterdir() if p.is_dir() and any(pictures_in(p))))
    if not labels:
        raise DataError(
            f"{train} holds no class folders with pictures; expected {train}/<class>/*.png "
            "(or .jpg ...), optionally below train/, val/ and test/"
        )
    if len(labels) < 2:
        raise DataError(f"{train} holds one class only ({labels[0]}); at least two are needed")
    return labels


def load_folders(root: Path, spec: ModelSpec, seed: int) -> Dataset:
    """Load class folders, from split folders or one tree.

    A tree is split, stratified and seeded: a tenth selects, another tenth scores.

    Raises `DataError` for a class with too few pictures or no readable ones.
    """
    splits = {}
    for name in SPLIT_FOLDERS:
        folder = _split_folder(root, name)
        if folder is not None:
            splits[name] = load_tree(folder, root, spec)
    if not splits:
        tree = load_tree(root, root, spec)
        splits["train"], splits["test"] = _carve(tree, spec.labels, seed, least=3)
    if "train" not in splits:
        raise DataError(
            f"{root} has a {' and a '.join(splits)} split but no train/<class>/ folders"
        )
    dataset = finish(Dataset(spec.labels, splits), seed)
    counts = np.bincount(dataset.splits["train"].truth, minlength=len(spec.labels))
    if not counts.min():
        raise DataError(f"class {spec.labels[int(counts.argmin())]} has no usable training picture")
    return dataset


@dataclass(frozen=True)
class Evaluation:
    """Faces that score a finished model.

    Attributes:
        faces: As they are: nothing is removed.
        origin: What they are, for the protocol.
        seen: bool[N], which of them are copies of training faces.
    """

    faces: Faces
    origin: str
    seen: NDArray[np.bool_]


def load_evaluation(root: Path, spec: ModelSpec) -> Evaluation:
    """Load what scores a model: the test split, else validation, else a whole tree.

    Of a tree that the model was trained on, only the split that scored then is loaded.
    """
    require_folder(root)
    for name in ("test", "validation"):
        folder = _split_folder(root, name)
        if folder is not None:
            faces, train = load_tree(folder, root, spec), _split_folder(root, "train")
            training = [load_tree(train, root, spec)] if train is not None else []
            return Evaluation(faces, f"{name} split", copies(faces, training))
    scored = _scored_split(root, spec)
    if scored is not None:
        return Evaluation(scored, "test split of the training folder", np.zeros(len(scored), bool))
    faces = load_tree(_split_folder(root, "train") or root, root, spec)
    return Evaluation(faces, "all pictures", np.zeros(len(faces), bool))


def _scored_split(root: Path, spec: ModelSpec) -> Faces | None:
    """Return the faces that scored the model's training, if it was trained on this very folder."""
    if not spec.training:
        return None
    try:
        dataset = load_folders(root, spec, spec.training["recipe"]["seed"])
    except DataError:  # too few pictures to have trained on
        return None
    trained_on = spec.training["metrics"]["data"]["sha256"]
    return dataset.splits["test"] if dataset.fingerprint() == trained_on else None


def copies(faces: Faces, others: Sequence[Faces]) -> NDArray[np.bool_]:
    """Return which faces have the very pixels of one of `others`: bool[N]."""
    known = {pixels.tobytes() for other in others for pixels in other.pixels}
    return np.array([pixels.tobytes() in known for pixels in faces.pixels], bool)


def finish(dataset: Dataset, seed: int) -> Dataset:
    """Clean the splits, and carve the validation split out of training where there is none."""
    splits = dict(dataset.splits)
    notes = dict(dataset.notes)
    splits["train"], notes["blank_removed"] = _without_blanks(splits["train"])
    if "validation" not in splits:
        splits["train"], splits["validation"] = _carve(splits["train"], dataset.labels, seed)
        notes["validation"] = f"{VALIDATION_SHARE:.0%} of training, stratified, seed {seed}"
    notes["duplicates_removed"] = {}
    for name in ("validation", "test"):
        if name in splits:
            others = [splits[other] for other in ("train", "validation") if other != name]
            kept = _without_duplicates(splits[name], others if name == "test" else others[:1])
            notes["duplicates_removed"][name] = len(splits[name]) - len(kept)  # type: ignore[index]
            splits[name] = kept
    for name, faces in splits.items():
        if not len(faces):
            raise DataError(f"the {name} split is empty after duplicates were removed")
    return replace(dataset, splits=splits, notes=notes)


def _split_folder(root: Path, split: str) -> Path | None:
    names = {p.name.lower(): p for p in root.iterdir() if p.is_dir()}
    found = [names[name] for name in SPLIT_FOLDERS[split] if name in names]
    return found[0] if found else None


def _without_blanks(faces: Faces) -> tuple[Faces, int]:
    """Drop pictures of one single colour: they teach only their label."""
    flat = faces.pixels.reshape(len(faces), -1)
    rows = np.flatnonzero(flat.min(axis=1) < flat.max(axis=1))
    return faces.take(rows), len(faces) - len(rows)


def _without_duplicates(faces: Faces, others: Sequence[Faces]) -> Faces:
    """Drop the faces whose pixels are found in `others`: they would score memory, not skill."""
    return faces.take(np.flatnonzero(~copies(faces, others)))


def _carve(faces: Faces, labels: tuple[str, ...], seed: int, least: int = 2) -> tuple[Faces, Faces]:
    """Split a validation share off, at least one picture of each class on either side."""
    truth = faces.truth
    counts = np.bincount(truth, minlength=len(labels))
    if counts.min() < least:
        few = labels[int(counts.argmin())]
        raise DataError(
            f"class {few} has {counts.min()} usable picture(s); at least {least} are needed"
        )
    validation = stratified(truth, max(1, round(VALIDATION_SHARE * len(faces))), seed)
    training = np.setdiff1d(np.arange(len(faces)), validation)
    return faces.take(training), faces.take(validation)
