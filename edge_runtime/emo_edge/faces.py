"""Labelled face crops: class folders read through the contract, by whoever needs them."""

from __future__ import annotations

import zlib
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from zipfile import BadZipFile

import numpy as np
from numpy.typing import NDArray

from emo_edge.contract import Image, prepare, read_image
from emo_edge.errors import DataError
from emo_edge.messages import warn
from emo_edge.sources import UNMEANT, pictures_below
from emo_edge.spec import ModelSpec

NAMED_FILES = 5  # how many unreadable files are named before they are only counted
# What numpy raises for an .npz that is none, or that lacks something.
UNREADABLE = (
    OSError,
    EOFError,
    ValueError,
    LookupError,
    TypeError,
    AttributeError,
    BadZipFile,
    zlib.error,
)


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


def require_folder(root: Path) -> None:
    """Raise `DataError` unless `root` is a folder."""
    if not root.is_dir():
        what = "is not a folder" if root.exists() else "does not exist"
        raise DataError(f"data folder {root} {what}")


def folders_in(folder: Path) -> list[Path]:
    """Return the folders in a folder, without what is not meant: .git, __MACOSX."""
    return sorted(p for p in folder.iterdir() if p.is_dir() and not p.name.startswith(UNMEANT))


def load_tree(folder: Path, root: Path, spec: ModelSpec) -> Faces:
    """Load the class folders of the spec's labels below `folder`, through the contract.

    Unreadable pictures are named, counted and skipped. Names are relative to `root`.

    Raises:
        DataError: a class that the spec lacks, or no readable picture.
    """
    unknown = [p.name for p in folders_in(folder) if any(pictures_below(p))]
    unknown = sorted(set(unknown) - set(spec.labels))
    if unknown:
        raise DataError(f"{folder} has classes that training lacks: {', '.join(unknown)}")
    paths, classes = [], []
    for index, label in enumerate(spec.labels):
        pictures = sorted(pictures_below(folder / label)) if (folder / label).is_dir() else []
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


def one_hot(classes: NDArray[np.int64], n: int) -> NDArray[np.float32]:
    """Return targets float32[N,n] for class indices int64[N]."""
    return np.eye(n, dtype=np.float32)[classes]


def stratified(truth: NDArray[np.int64], size: int, seed: int) -> NDArray[np.int64]:
    """Return about `size` rows (or all), shared among the classes in proportion, seeded.

    Each class's share is rounded, and every class that is present gets at least one row: with more
    classes than `size` there are more rows.
    """
    rng = np.random.default_rng(seed)
    share = min(1.0, size / len(truth))
    rows = []
    for klass in np.unique(truth):
        members = rng.permutation(np.flatnonzero(truth == klass))
        rows.append(members[: max(1, round(len(members) * share))])
    return np.sort(np.concatenate(rows))
