"""Pictures as people have them: class folders, split or not, or the FER2013 CSV files.

All pixels pass through the contract of `emo_edge`, so that training sees what the device sees.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from emo_edge.contract import Image, prepare, read_image
from emo_edge.errors import DataError
from emo_edge.messages import warn
from emo_edge.sources import PICTURES
from emo_edge.spec import ModelSpec

# What people call their splits.
SPLIT_FOLDERS = {
    "train": ("train", "training"),
    "validation": ("val", "valid", "validation"),
    "test": ("test", "testing"),
}
VALIDATION_SHARE = 0.1
NAMED_FILES = 5  # how many unreadable files are named before they are only counted


@dataclass(frozen=True)
class Faces:
    """Prepared faces of one split.

    Attributes:
        pixels: uint8[N,height,width,channels], as `prepare` makes them.
        targets: float32[N,n], one-hot or soft, rows sum to 1.
        names: N names for people: a path below the data folder, or a CSV row.
    """

    pixels: Image
    targets: NDArray[np.float32]
    names: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.names)

    @property
    def truth(self) -> NDArray[np.int64]:
        """Most voted class of each face, int64[N]."""
        return np.asarray(self.targets.argmax(axis=1), np.int64)

    def take(self, rows: NDArray[np.int64]) -> Faces:
        """Return the faces of these rows, in this order."""
        names = tuple(self.names[row] for row in rows)
        return Faces(self.pixels[rows], self.targets[rows], names)


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
    _require_folder(root)
    train = _split_folder(root, "train") or root
    labels = tuple(sorted(p.name for p in train.iterdir() if p.is_dir() and any(_pictures(p))))
    if not labels:
        raise DataError(
            f"{train} holds no class folders with pictures; expected {train}/<class>/*.png "
            "(or .jpg ...), optionally below train/, val/ and test/"
        )
    if len(labels) < 2:
        raise DataError(f"{train} holds one class only ({labels[0]}); at least two are needed")
    return labels


def load_folders(root: Path, spec: ModelSpec, seed: int) -> Dataset:
    """Load class folders, from split folders or one tree (then split, stratified and seeded).

    Raises `DataError` for a class with too few pictures or no readable ones.
    """
    splits = {}
    for name in SPLIT_FOLDERS:
        folder = _split_folder(root, name)
        if folder is not None:
            splits[name] = _load_tree(folder, root, spec)
    if not splits:
        splits["train"] = _load_tree(root, root, spec)
    if "train" not in splits:
        raise DataError(
            f"{root} has a {' and a '.join(splits)} split but no train/<class>/ folders"
        )
    dataset = finish(Dataset(spec.labels, splits), seed)
    counts = np.bincount(dataset.splits["train"].truth, minlength=len(spec.labels))
    if not counts.min():
        raise DataError(f"class {spec.labels[int(counts.argmin())]} has no usable training picture")
    return dataset


def load_evaluation(root: Path, spec: ModelSpec) -> tuple[Faces, str]:
    """Load what scores a finished model, and its name: test, else validation, else the whole tree.

    Nothing is removed: the pictures are scored as they are.
    """
    _require_folder(root)
    for name in ("test", "validation"):
        folder = _split_folder(root, name)
        if folder is not None:
            return _load_tree(folder, root, spec), name
    return _load_tree(_split_folder(root, "train") or root, root, spec), "all pictures"


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


def one_hot(classes: NDArray[np.int64], n: int) -> NDArray[np.float32]:
    """Return targets float32[N,n] for class indices int64[N]."""
    return np.eye(n, dtype=np.float32)[classes]


def stratified(truth: NDArray[np.int64], size: int, seed: int) -> NDArray[np.int64]:
    """Return `size` rows (or all), shared among the classes in proportion, seeded.

    Every class that is present gets at least one row.
    """
    rng = np.random.default_rng(seed)
    share = min(1.0, size / len(truth))
    rows = []
    for klass in np.unique(truth):
        members = rng.permutation(np.flatnonzero(truth == klass))
        rows.append(members[: max(1, round(len(members) * share))])
    return np.sort(np.concatenate(rows))


def _require_folder(root: Path) -> None:
    if not root.is_dir():
        what = "is not a folder" if root.exists() else "does not exist"
        raise DataError(f"data folder {root} {what}")


def _split_folder(root: Path, split: str) -> Path | None:
    names = {p.name.lower(): p for p in root.iterdir() if p.is_dir()}
    found = [names[name] for name in SPLIT_FOLDERS[split] if name in names]
    return found[0] if found else None


def _pictures(folder: Path) -> Iterable[Path]:
    return (p for p in folder.rglob("*") if p.suffix.lower() in PICTURES and p.is_file())


def _load_tree(folder: Path, root: Path, spec: ModelSpec) -> Faces:
    unknown = [p.name for p in folder.iterdir() if p.is_dir() and any(_pictures(p))]
    unknown = sorted(set(unknown) - set(spec.labels))
    if unknown:
        raise DataError(f"{folder} has classes that training lacks: {', '.join(unknown)}")
    paths, classes = [], []
    for index, label in enumerate(spec.labels):
        pictures = sorted(_pictures(folder / label)) if (folder / label).is_dir() else []
        paths += pictures
        classes += [index] * len(pictures)
    with ThreadPoolExecutor(4) as pool:
        loaded = list(pool.map(lambda path: _load_picture(path, spec), paths))
    rows = [i for i, pixels in enumerate(loaded) if pixels is not None]
    _report_unreadable([paths[i] for i, pixels in enumerate(loaded) if pixels is None])
    if not rows:
        raise DataError(f"{folder} holds no readable picture")
    truth = np.array([classes[i] for i in rows], np.int64)
    names = tuple(str(paths[i].relative_to(root)) for i in rows)
    return Faces(np.concatenate([loaded[i] for i in rows]), one_hot(truth, len(spec.labels)), names)


def _load_picture(path: Path, spec: ModelSpec) -> Image | None:
    try:
        return prepare(read_image(path), spec)
    except DataError:
        return None


def _report_unreadable(paths: list[Path]) -> None:
    for path in paths[:NAMED_FILES]:
        warn(f"skipped unreadable picture {path}")
    if len(paths) > NAMED_FILES:
        warn(f"skipped {len(paths)} unreadable pictures in all")


def _without_blanks(faces: Faces) -> tuple[Faces, int]:
    """Drop pictures of one single colour: they teach only their label."""
    flat = faces.pixels.reshape(len(faces), -1)
    rows = np.flatnonzero(flat.min(axis=1) < flat.max(axis=1))
    return faces.take(rows), len(faces) - len(rows)


def _without_duplicates(faces: Faces, others: list[Faces]) -> Faces:
    """Drop the faces whose pixels are found in `others`: they would score memory, not skill."""
    known = {pixels.tobytes() for other in others for pixels in other.pixels}
    rows = [i for i, pixels in enumerate(faces.pixels) if pixels.tobytes() not in known]
    return faces.take(np.array(rows, np.int64))


def _carve(faces: Faces, labels: tuple[str, ...], seed: int) -> tuple[Faces, Faces]:
    """Split a validation share off, at least one picture of each class on either side."""
    truth = faces.truth
    counts = np.bincount(truth, minlength=len(labels))
    if counts.min() < 2:
        few = labels[int(counts.argmin())]
        raise DataError(f"class {few} has {counts.min()} usable picture(s); at least 2 are needed")
    validation = stratified(truth, max(1, round(VALIDATION_SHARE * len(faces))), seed)
    training = np.setdiff1d(np.arange(len(faces)), validation)
    return faces.take(training), faces.take(validation)
