"""From pictures to prepared faces, and what was seen on the way."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from emo_edge.contract import Image, prepare
from emo_edge.faces import Faces
from emo_edge.messages import warn
from emo_edge.spec import ModelSpec
from emo_train.data.layout import Part

READERS = 4
AT_ONCE = 256  # pictures in memory at their full size
NAMED_FILES = 5  # how many unreadable files are named before they are only counted


class Fact(NamedTuple):
    """What a picture is, before it is prepared.

    Attributes:
        height, width: Pixels.
        coloured: Whether its channels differ.
        blank: Whether it is of one single colour.
        digest: Of its pixels: equal for exact duplicates.
    """

    height: int
    width: int
    coloured: bool
    blank: bool
    digest: bytes


@dataclass(frozen=True)
class Look:
    """What a split holds, whatever it is prepared for.

    Attributes:
        truth: Most voted class of each readable picture, int64[N].
        facts: One of each readable picture.
        unreadable: Names of the others.
    """

    truth: NDArray[np.int64]
    facts: tuple[Fact, ...]
    unreadable: tuple[str, ...]

    @property
    def digests(self) -> NDArray[np.bytes_]:
        """The digests of the readable pictures, bytes[N]."""
        return np.array([fact.digest.hex().encode() for fact in self.facts], "S32")


def read(part: Part, spec: ModelSpec) -> tuple[Faces, Look]:
    """Read a split through the contract of `spec`; unreadable pictures are named and skipped.

    Only the prepared pixels (uint8) of all pictures are held in memory, once.
    """
    pixels = np.empty((len(part), *spec.input_shape[1:]), np.uint8)
    rows: list[int] = []
    facts: list[Fact] = []
    for row, fact, face in _pictures(part, spec):
        if fact is not None:
            pixels[len(rows)] = face
            rows.append(row)
            facts.append(fact)
    seen = _look(part, rows, facts)
    names = tuple(part.names[row] for row in rows)
    return Faces(pixels[: len(rows)], part.targets[rows], names), seen


def look(part: Part) -> Look:
    """Look at every picture of a split without keeping any."""
    found = [(row, fact) for row, fact, _ in _pictures(part, None) if fact is not None]
    return _look(part, [row for row, _ in found], [fact for _, fact in found])


def _look(part: Part, rows: list[int], facts: list[Fact]) -> Look:
    missing = np.setdiff1d(np.arange(len(part)), rows)
    unreadable = tuple(part.names[row] for row in missing)
    for name in unreadable[:NAMED_FILES]:
        warn(f"skipped unreadable picture {name}")
    if len(unreadable) > NAMED_FILES:
        warn(f"skipped {len(unreadable)} unreadable pictures in all")
    return Look(part.targets[rows].argmax(axis=1), tuple(facts), unreadable)


def _pictures(part: Part, spec: ModelSpec | None) -> Iterator[tuple[int, Fact | None, Image]]:
    nothing = np.empty(0, np.uint8)

    def one(row: int) -> tuple[int, Fact | None, Image]:
        image = part.picture(row)
        if image is None:
            return row, None, nothing
        return row, look_at(image), nothing if spec is None else prepare(image, spec)[0]

    with ThreadPoolExecutor(READERS) as pool:
        for start in range(0, len(part), AT_ONCE):
            yield from pool.map(one, range(start, min(start + AT_ONCE, len(part))))


def look_at(image: Image) -> Fact:
    """Return the facts of a picture uint8[H,W,3] or uint8[H,W]."""
    coloured = image.ndim == 3 and not (
        np.array_equal(image[..., 0], image[..., 1])
        and np.array_equal(image[..., 1], image[..., 2])
    )
    if image.ndim == 3 and not coloured:
        image = image[..., 0]
    height, width = image.shape[:2]
    blank = bool((image == image[0, 0]).all())
    digest = hashlib.blake2b(f"{height}x{width}".encode(), digest_size=16)
    digest.update(np.ascontiguousarray(image).data)
    return Fact(height, width, coloured, blank, digest.digest())


def compact(faces: Faces, rows: NDArray[np.int64]) -> Faces:
    """Return these faces (ascending rows) in the memory of the old ones, which are lost."""
    if len(rows) == len(faces):
        return faces
    for place, row in enumerate(rows):
        faces.pixels[place] = faces.pixels[row]
    names = tuple(faces.names[row] for row in rows)
    return Faces(faces.pixels[: len(rows)], faces.targets[rows], names)
