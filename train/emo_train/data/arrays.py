"""Pictures in .npz files: images and labels, under any of the names that people give them."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from emo_edge.contract import Image
from emo_edge.errors import DataError
from emo_edge.faces import UNREADABLE, one_hot
from emo_edge.modelfile import read_labels
from emo_train.data.fer2013 import (
    FER_LABELS,
    FERPLUS_LABELS,
    VOTE_COLUMNS,
    LabelKind,
    targets_of,
)
from emo_train.data.layout import Layout, Part

IMAGES, LABELS, VOTES = ("x", "images", "data"), ("y", "labels", "targets"), ("ferplus",)
CLASS_NAMES = ("class_names", "classes", "label_names")
SPLIT_NAMES = {
    "train": ("train", "training"),
    "validation": ("val", "valid", "validation", "dev", "publictest"),
    "test": ("test", "testing", "privatetest"),
}
LABELS_FILE = "labels.txt"
NOTE = "note"
ROUNDING = 1e-3  # what enlarging and arithmetic add to pixels of 0 to 1

Arrays = dict[str, NDArray[Any]]


def holds_arrays(root: Path) -> bool:
    """Whether `root` is an .npz file or a folder with some."""
    return (root.suffix == ".npz" and root.is_file()) or (root.is_dir() and any(root.glob("*.npz")))


def open_arrays(
    root: Path,
    kind: LabelKind | None,
    *,
    known: tuple[str, ...] | None = None,
    asked: bool = True,
) -> Layout:
    """Return the pictures of .npz files.

    One file with images and labels is a tree without splits; names such as x_train, train_images
    or y_test, or one file per split (train.npz, test.npz ...), are its splits. Images are
    [N,H,W], [N,H,W,1] or [N,H,W,3] in the order R, G, B, of bytes or of floats 0-1 or 0-255. Labels
    are numbers, names or shares [N,n]. Class names stand in the file (`class_names`) or in a
    labels.txt beside it; FER+ votes (`ferplus` [N,10]) are used as the FER+ protocol says. A text
    `note` (whose faces they are, who labelled them) goes into the records and onto the model card.

    Args:
        root: File or folder.
        kind: Which labels of a file that has FER+ votes; None is "fer".
        known: The classes of a trained model, which needs no training split, and to which the
            labels of one that lacks some of its classes belong.
        asked: Whether the user named the kind; one that follows from a model's classes is not
            looked for in arrays without votes.

    Raises `DataError` for arrays that are none of these.
    """
    files = [root] if root.is_file() else sorted(root.glob("*.npz"))
    found: dict[str, tuple[str, Arrays]] = {}
    names: tuple[str, ...] | None = None
    said: list[str] = []
    for file in files:
        arrays = _load(file)
        said += [str(arrays.pop(NOTE))] if NOTE in arrays else []
        names = names or _class_names(file, arrays)
        for split, part in _splits(file, arrays, alone=len(files) == 1).items():
            if split in found:
                raise DataError(f"{file} and {found[split][0]} both hold the {split} split")
            found[split] = (file.name, part)
    whole = list(found) == [""]
    if whole:
        found = {"train": found[""]}
    if "train" not in found and known is None:
        raise DataError(f"{root} holds no training images (images, x_train, train.npz ...)")
    votes = any("votes" in part for _, part in found.values())
    if kind not in (None, "fer") and not votes:
        if asked:
            raise DataError(f"{root} holds no FER+ votes (an array ferplus)")
        kind = None
    read = _Labels(FER_LABELS if kind == "fer" and names is None else names, kind or "fer", votes)
    first = "train" if "train" in found else next(iter(found))
    labels = read.learn(found[first][1]["labels"], known)
    parts = {split: read.part(split, name, part) for split, (name, part) in found.items()}
    notes: dict[str, object] = {"fer2013_labels": read.kind} if votes else {}
    notes |= {NOTE: " ".join(said)} if said else {}
    given = votes or names is not None
    return Layout("NumPy arrays", labels, parts, whole, given, notes)


def whole_votes(votes: NDArray[Any], images: int, where: str) -> NDArray[np.int64]:
    """Return FER+ votes as int64[N,10].

    Raises `DataError`, which begins with `where`, unless they are whole numbers, ten an image.
    """
    expected = (images, len(VOTE_COLUMNS))
    if votes.shape != expected or votes.dtype.kind not in "iu":
        raise DataError(
            f"{where}: FER+ votes are {votes.dtype}{votes.shape}, not whole numbers {expected}"
        )
    return votes.astype(np.int64)


def _load(file: Path) -> Arrays:
    try:
        with np.load(file, allow_pickle=False) as archive:
            return {name: archive[name] for name in archive.files}
    except (OSError, ValueError) as error:
        raise DataError(f"cannot read {file}: {error}") from error
    except UNREADABLE as error:
        raise DataError(f"{file} is not a whole .npz file: {error}") from error


def _splits(file: Path, arrays: Arrays, *, alone: bool) -> dict[str, Arrays]:
    """Return images, labels and votes of each split in a file; "" is a file without splits."""
    found: dict[str, Arrays] = {}
    for name, array in arrays.items():
        words = re.split(r"[_\-. ]+", name.lower())
        for role, aliases in (("images", IMAGES), ("labels", LABELS), ("votes", VOTES)):
            rest = [word for word in words if word not in aliases]
            if len(rest) == len(words) - 1:
                split = _split_named(rest[0]) if rest else ""
                if split is not None and len(rest) < 2:
                    found.setdefault(split, {})[role] = array
    whole = {split: part for split, part in found.items() if {"images", "labels"} <= part.keys()}
    for part in whole.values():
        _require_labels(file, part["labels"])
    if not whole:
        raise DataError(
            f"{file} holds {', '.join(arrays) or 'nothing'}; expected images and labels, or "
            "x_train, y_train, x_test, y_test"
        )
    if "" in whole and not alone:
        split = _split_named(file.stem.lower())
        if split is None:
            raise DataError(f"{file}: name it train.npz, val.npz or test.npz")
        return {split: whole[""]}
    return whole


def _require_labels(file: Path, labels: NDArray[Any]) -> None:
    if not labels.ndim or labels.dtype.kind not in "biufSU":
        raise DataError(f"{file}: labels are {labels.dtype}{labels.shape}, not one an image")
    if labels.dtype.kind == "f" and not np.isfinite(labels).all():
        raise DataError(f"{file}: some labels are no numbers (NaN or infinite)")


def _split_named(word: str) -> str | None:
    for split, names in SPLIT_NAMES.items():
        if word in names:
            return split
    return None


def _class_names(file: Path, arrays: Arrays) -> tuple[str, ...] | None:
    for name in CLASS_NAMES:
        if name in arrays:
            return tuple(_text(label) for label in np.atleast_1d(arrays[name]))
    beside = file.parent / LABELS_FILE
    return read_labels(beside) if beside.is_file() else None


class _Labels:
    """How the labels of a data set are read; the same way in every split."""

    def __init__(self, names: tuple[str, ...] | None, kind: LabelKind, votes: bool) -> None:
        self.names, self.kind, self.votes = names, kind, votes

    def learn(self, train: NDArray[Any], known: tuple[str, ...] | None) -> tuple[str, ...]:
        """Return the class names, from the training labels where nothing else says them.

        Labels that are all among `known`, those of a model, are its labels.
        """
        if self.votes:
            self.names = FER_LABELS if self.kind == "fer" else FERPLUS_LABELS
        elif self.names is None:
            if train.ndim == 2 and train.shape[1] > 1:
                self.names = tuple(str(i) for i in range(train.shape[1]))
            elif train.dtype.kind in "US":
                self.names = tuple(sorted({_text(label) for label in train.reshape(-1)}))
            else:
                self.names = tuple(str(i) for i in range(int(train.max(initial=0)) + 1))
            if known is not None and set(self.names) <= set(known):
                self.names = known
        if len(self.names) < 2:
            raise DataError(f"the labels hold one class only ({self.names}); two are needed")
        return self.names

    def part(self, split: str, file: str, arrays: Arrays) -> Part:
        images, labels = arrays["images"], arrays["labels"]
        if len(images) != len(labels):
            raise DataError(f"{file}: {len(images)} images, {len(labels)} labels in {split}")
        rows = np.arange(len(images))
        if self.votes and self.kind != "fer":
            if "votes" not in arrays:
                raise DataError(f"{file} holds no FER+ votes (an array ferplus) for {split}")
            votes = whole_votes(arrays["votes"], len(images), f"{file}, {split}")
            targets, trains, scores = targets_of(votes, self.kind)
            rows = np.flatnonzero(trains if split == "train" else scores)
        else:
            targets = self._targets(file, labels)
        picture = _reader(file, images)
        names = [f"{file}:{split}:{row}" for row in rows]
        return Part(names, targets[rows], lambda i: picture(int(rows[i])), f"{split} split")

    def _targets(self, file: str, labels: NDArray[Any]) -> NDArray[np.float32]:
        assert self.names is not None
        if labels.ndim == 2 and labels.shape[1] == len(self.names):
            totals = labels.sum(axis=1, keepdims=True)
            if labels.min(initial=0) < 0 or not totals.all():
                raise DataError(f"{file}: labels [N,{len(self.names)}] must be shares of a class")
            return np.asarray(labels / totals, np.float32)
        labels = labels.reshape(-1) if labels.ndim == 2 and labels.shape[1] == 1 else labels
        if labels.ndim != 1:
            raise DataError(f"{file}: labels have the shape {labels.shape}")
        if labels.dtype.kind in "US":
            places = {name: i for i, name in enumerate(self.names)}
            unknown = sorted({_text(label) for label in labels} - set(places))
            if unknown:
                raise DataError(f"{file}: labels that training lacks: {', '.join(unknown)}")
            labels = np.array([places[_text(label)] for label in labels])
        if (labels != labels.astype(np.int64)).any() or labels.min(initial=0) < 0:
            raise DataError(f"{file}: labels must be whole numbers from 0, names or shares")
        if labels.max(initial=0) >= len(self.names):
            raise DataError(
                f"{file}: label {labels.max()}, but there are {len(self.names)} classes"
            )
        return one_hot(labels.astype(np.int64), len(self.names))


def _text(label: Any) -> str:
    return label.decode(errors="backslashreplace") if isinstance(label, bytes) else str(label)


def _reader(file: str, images: NDArray[Any]) -> Any:
    """Return a function from row to picture uint8, BGR or grey."""
    grey = images.ndim == 3 or (images.ndim == 4 and images.shape[3] == 1)
    if not grey and not (images.ndim == 4 and images.shape[3] == 3):
        raise DataError(f"{file}: images have the shape {images.shape}, not [N,H,W] or [N,H,W,3]")
    scale = 1.0 if images.dtype == np.uint8 else _scale(file, images)

    def picture(row: int) -> Image:
        image = images[row]
        if images.dtype != np.uint8:
            image = np.clip(np.rint(image * scale), 0, 255).astype(np.uint8)
        if grey:
            return np.asarray(image.reshape(image.shape[:2]), np.uint8)
        return np.ascontiguousarray(image[..., ::-1])

    return picture


def _scale(file: str, images: NDArray[Any]) -> float:
    """Return what brings pixels to 0-255; raises `DataError` where nobody could know."""
    if images.dtype.kind not in "uif":
        raise DataError(f"{file}: images are {images.dtype}, not numbers")
    low, high = float(images.min(initial=0)), float(images.max(initial=0))
    fractions = images.dtype.kind == "f"
    if fractions and -ROUNDING <= low <= high <= 1 + ROUNDING:
        return 255.0
    if not 0 <= low <= high <= 255 or (fractions and high < 2):
        raise DataError(f"{file}: pixels from {low:g} to {high:g}, not 0 to 1 or 0 to 255")
    return 1.0
