"""What every data set is before its pixels are prepared: labels, splits, pictures one by one."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from emo_edge.contract import Image
from emo_edge.errors import UsageError

SPLITS = ("train", "validation", "test")


@dataclass(frozen=True)
class Part:
    """One split.

    Attributes:
        names: N names for people: a path below the data folder, a CSV row.
        targets: float32[N,n], one-hot or soft, rows sum to 1.
        picture: Returns picture i as uint8[H,W,3] BGR or uint8[H,W] grey, None if it is unreadable;
            called from several threads.
        origin: What the protocol calls it.
    """

    names: Sequence[str]
    targets: NDArray[np.float32]
    picture: Callable[[int], Image | None]
    origin: str

    def __len__(self) -> int:
        return len(self.names)


@dataclass(frozen=True)
class Layout:
    """A data set as it lies there.

    Attributes:
        kind: What was recognised, for people.
        labels: Class names in the order of the targets.
        parts: "train" and, where they exist, "validation" and "test".
        whole: Whether "train" is everything, so that a test split must come out of it.
        labels_given: Whether the labels are fixed, whatever the pictures are of.
        notes: For the run's records.
    """

    kind: str
    labels: tuple[str, ...]
    parts: Mapping[str, Part]
    whole: bool = False
    labels_given: bool = False
    notes: Mapping[str, object] = field(default_factory=dict)


def require_outside(out: Path, data: Path, layout: Layout) -> None:
    """Raise `UsageError` if what is written to `out` would become a class of the data."""
    tree = layout.whole and data.is_dir()
    if tree and out.resolve().is_relative_to(data.resolve()):
        raise UsageError(f"--out {out} is inside {data}, among the classes: choose a place outside")
