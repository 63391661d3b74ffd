"""Class folders, below split folders of any usual name or as one tree."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from emo_edge.contract import Image, read_image
from emo_edge.errors import DataError
from emo_edge.faces import folders_in, one_hot, require_folder
from emo_edge.messages import warn
from emo_edge.sources import PICTURES, pictures_below
from emo_train.data.layout import Layout, Part

# What people call their splits.
SPLIT_FOLDERS = {
    "train": ("train", "training"),
    "validation": ("val", "valid", "validation"),
    "test": ("test", "testing"),
}


def open_folders(root: Path, labels: tuple[str, ...] | None = None) -> Layout:
    """Return the pictures of class folders.

    Args:
        root: Holds class folders, split folders of class folders, or one folder that does.
        labels: The classes of a trained model, which needs no training split; None takes those
            that are there.

    Raises `DataError` if there are no two classes, or a split has classes that training lacks.
    """
    require_folder(root)
    top = _descend(root)
    splits = _split_folders(top)
    if splits and "train" not in splits and labels is None:
        raise DataError(f"{top} has a {' and a '.join(splits)} split but no train/<class>/ folders")
    whole = not splits
    if whole:
        splits = {"train": top}
    else:
        _say_ignored(top, splits)
    if labels is None:
        labels = _labels(splits["train"])
    parts = {name: _part(name, folder, root, labels) for name, folder in splits.items()}
    return Layout("class folders", labels, parts, whole)


def _split_folders(top: Path) -> dict[str, Path]:
    """Return the split folders of `top`; raises `DataError` if two claim to be the same split."""
    folders = folders_in(top)
    found = {}
    for split, names in SPLIT_FOLDERS.items():
        claims = [folder for folder in folders if folder.name.lower() in names]
        if len(claims) > 1:
            both = " and ".join(str(folder) for folder in claims)
            raise DataError(f"{both} are both the {split} split: merge or rename one")
        if claims:
            found[split] = claims[0]
    return found


def _descend(root: Path) -> Path:
    """Return the folder that an archive wrapped once or twice: lone folders without pictures."""
    top = root
    while len(folders_in(top)) == 1 and not _split_folders(top):
        (inner,) = folders_in(top)
        if any(p.is_file() for p in inner.iterdir()) or not folders_in(inner):
            break
        top = inner
    return top


def _say_ignored(top: Path, splits: Mapping[str, Path]) -> None:
    for folder in folders_in(top):
        if folder not in splits.values() and any(pictures_below(folder)):
            warn(f"{folder} is no split: its pictures are not used")


def _labels(train: Path) -> tuple[str, ...]:
    folders = folders_in(train)
    labels = tuple(folder.name for folder in folders if any(pictures_below(folder)))
    if not labels:
        raise DataError(
            f"{train} holds no class folders with pictures; expected {train}/<class>/*.png "
            "(or .jpg ...), optionally below train/, val/ and test/"
        )
    for folder in folders:
        if folder.name not in labels:
            warn(f"{folder} holds no picture ({', '.join(sorted(PICTURES))}): it is no class")
    if len(labels) < 2:
        raise DataError(f"{train} holds one class only ({labels[0]}); at least two are needed")
    return labels


def _part(split: str, folder: Path, root: Path, labels: tuple[str, ...]) -> Part:
    unknown = [
        p.name for p in folders_in(folder) if p.name not in labels and any(pictures_below(p))
    ]
    if unknown:
        raise DataError(f"{folder} has classes that training lacks: {', '.join(unknown)}")
    paths: list[Path] = []
    classes: list[int] = []
    for index, label in enumerate(labels):
        pictures = sorted(pictures_below(folder / label)) if (folder / label).is_dir() else []
        paths += pictures
        classes += [index] * len(pictures)
    if not paths:
        raise DataError(f"{folder} holds no picture of a class")
    names = [str(path.relative_to(root)) for path in paths]
    targets = one_hot(np.array(classes, np.int64), len(labels))
    return Part(names, targets, lambda i: _read(paths[i]), f"{split} split")


def _read(path: Path) -> Image | None:
    try:
        return read_image(path)
    except DataError:
        return None
