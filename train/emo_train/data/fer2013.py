"""The FER2013 files: fer2013.csv, and fer2013new.csv with the FER+ votes.

The FER+ protocol is that of Barsoum et al. 2016, "Training Deep Networks for Facial Expression
Recognition with Crowd-Sourced Label Distribution".
"""

from __future__ import annotations

import csv
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

from emo_edge.errors import DataError
from emo_edge.faces import one_hot
from emo_train.data.layout import Layout, Part

PIXELS, VOTES = "fer2013.csv", "fer2013new.csv"

LabelKind = Literal["fer", "ferplus", "ferplus-soft"]
LABEL_KINDS: tuple[LabelKind, ...] = get_args(LabelKind)

FER_LABELS = ("angry", "disgust", "fear", "happy", "sad", "surprise", "neutral")
# The order of the votes' columns; the names are those of FER2013 where the two agree.
FERPLUS_LABELS = (
    "neutral",
    "happy",
    "surprise",
    "sad",
    "angry",
    "disgust",
    "fear",
    "contempt",
)
VOTE_COLUMNS = (
    "neutral",
    "happiness",
    "surprise",
    "sadness",
    "anger",
    "disgust",
    "fear",
    "contempt",
    "unknown",
    "NF",
)
USAGES = {"Training": "train", "PublicTest": "validation", "PrivateTest": "test"}
SIDE = 48
LEVELS = {str(level): level for level in range(256)}  # far faster than int()


def is_fer2013(root: Path) -> bool:
    """Whether `root` is a folder with fer2013.csv."""
    return (root / PIXELS).is_file()


def fer_labels(kind: LabelKind) -> tuple[str, ...]:
    """Return the class names of a kind of labels."""
    return FER_LABELS if kind == "fer" else FERPLUS_LABELS


def open_fer2013(root: Path, kind: LabelKind, *, scoring: bool = False) -> Layout:
    """Return the rows of fer2013.csv: Training, PublicTest (validates) and PrivateTest (scores).

    "ferplus-soft" trains on the shares of votes; rows that score have one majority either way.

    Raises `DataError` for files that are not FER2013's, or have no usable row to train on or, for
    `scoring`, to score.
    """
    rows = _read(root, kind)
    parts = {}
    for usage, split in USAGES.items():
        chosen = np.flatnonzero(
            (rows.usages == usage) & (rows.trains if split == "train" else rows.scores)
        )
        if len(chosen):
            parts[split] = _part(rows, chosen, f"FER2013 {usage} ({kind})")
    if scoring and parts.keys() <= {"train"}:
        raise DataError(f"{root / PIXELS} has no row whose Usage is PrivateTest or PublicTest")
    if "train" not in parts and not scoring:
        raise DataError(f"{root / PIXELS} has no usable row whose Usage is Training")
    kept = f"FER2013 CSV files, {kind} labels"
    notes = {"fer2013_labels": kind}
    return Layout(kept, fer_labels(kind), parts, labels_given=True, notes=notes)


def _part(rows: _Rows, chosen: NDArray[np.int64], origin: str) -> Part:
    names = [f"{PIXELS}:{row}" for row in chosen]
    return Part(names, rows.targets[chosen], lambda i: rows.pixels[chosen[i]], origin)


@dataclass(frozen=True)
class _Rows:
    """The CSV files: usages str[N], pixels uint8[N,48,48], targets, which rows train and score."""

    usages: NDArray[np.str_]
    pixels: NDArray[np.uint8]
    targets: NDArray[np.float32]
    trains: NDArray[np.bool_]
    scores: NDArray[np.bool_]


def _read(root: Path, kind: LabelKind) -> _Rows:
    usages, pixels, emotions = _read_pixels(root / PIXELS)
    if kind == "fer":
        everything = np.ones(len(usages), bool)
        return _Rows(usages, pixels, one_hot(emotions, len(FER_LABELS)), everything, everything)
    return _Rows(usages, pixels, *targets_of(_read_votes(root / VOTES, len(usages)), kind))


def targets_of(
    votes: NDArray[np.int64], kind: LabelKind
) -> tuple[NDArray[np.float32], NDArray[np.bool_], NDArray[np.bool_]]:
    """Return `ferplus_targets`, made one-hot for "ferplus"."""
    shares, trains, scores = ferplus_targets(votes)
    if kind == "ferplus":
        shares = one_hot(shares.argmax(axis=1), len(FERPLUS_LABELS))
    return shares, trains, scores


def ferplus_targets(
    votes: NDArray[np.int64],
) -> tuple[NDArray[np.float32], NDArray[np.bool_], NDArray[np.bool_]]:
    """Apply the FER+ protocol to votes int64[N,10].

    Votes of 1 count as noise and become 0. Returns the vote shares float32[N,8] of the eight
    expressions, which rows can train (most votes are for expressions, not for "unknown" or "no
    face"), and which rows score: one expression has more than half of all remaining votes.
    """
    kept = np.where(votes > 1, votes, 0)
    faces, total = kept[:, :8], kept.sum(axis=1)
    shares = faces / np.maximum(faces.sum(axis=1, keepdims=True), 1)
    trains = faces.sum(axis=1) * 2 > total
    scores = faces.max(axis=1) * 2 > total
    return shares.astype(np.float32), trains, scores


def _read_pixels(
    path: Path,
) -> tuple[NDArray[np.str_], NDArray[np.uint8], NDArray[np.int64]]:
    usages, faces, emotions = [], [], []
    for number, row in _rows(path, {"emotion", "pixels", "Usage"}):
        try:
            levels = bytes(map(LEVELS.__getitem__, row["pixels"].split()))
            face = np.frombuffer(levels, np.uint8).reshape(SIDE, SIDE)
            emotion = int(row["emotion"])
            if not 0 <= emotion < len(FER_LABELS):
                raise ValueError(f"emotion {emotion}")
            if row["Usage"] not in USAGES:
                raise ValueError(f"Usage {row['Usage']!r} is none of {', '.join(USAGES)}")
        except KeyError as error:
            raise DataError(
                f"{path} line {number} is not a FER2013 row: {error} is no pixel (0 to 255)"
            ) from error
        except ValueError as error:
            raise DataError(f"{path} line {number} is not a FER2013 row: {error}") from error
        usages.append(row["Usage"])
        faces.append(face)
        emotions.append(emotion)
    if not faces:
        raise DataError(f"{path} holds no rows")
    return np.array(usages), np.stack(faces), np.array(emotions, np.int64)


def _read_votes(path: Path, rows: int) -> NDArray[np.int64]:
    try:
        votes = [
            [int(row[name]) for name in VOTE_COLUMNS] for _, row in _rows(path, set(VOTE_COLUMNS))
        ]
    except ValueError as error:
        raise DataError(f"{path} holds a vote that is not a number: {error}") from error
    if len(votes) != rows:
        raise DataError(f"{path} has {len(votes)} rows, {PIXELS} has {rows}: they must match")
    return np.array(votes, np.int64)


def _rows(path: Path, columns: set[str]) -> Iterator[tuple[int, dict[str, str]]]:
    try:
        with path.open(newline="", encoding="utf-8") as file:
            reader = csv.DictReader(file, restval="")
            missing = columns - set(reader.fieldnames or ())
            if missing:
                raise DataError(f"{path} lacks the columns {', '.join(sorted(missing))}")
            yield from enumerate(reader, start=2)
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"cannot read {path}: {error}") from error
