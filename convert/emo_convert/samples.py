"""Faces for calibration and evaluation: read, checked, and kept apart."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from emo_edge.artifacts import as_text
from emo_edge.contract import Image, prepare, read_image
from emo_edge.errors import DataError
from emo_edge.faces import (
    UNREADABLE,
    folders_in,
    load_tree,
    require_folder,
    stratified,
)
from emo_edge.messages import warn
from emo_edge.sources import pictures_below
from emo_edge.spec import ModelSpec

CALIBRATION_SIZE = 512
LEAST_COVERAGE = 200  # of the 255 steps from black to white; a few ordinary pictures have them


@dataclass(frozen=True)
class Sample:
    """Faces and where they come from.

    Attributes:
        pixels: uint8[N,height,width,channels], as `prepare` makes them.
        truth: int64[N] class indices; None where the faces are not labelled.
        origin: For the records: a split, or the name of a folder or file. Never a whole path:
            records travel inside the model, and folders say where the data of a person lie.
    """

    pixels: Image
    truth: NDArray[np.int64] | None
    origin: str


def read_given(path: Path, spec: ModelSpec) -> Sample:
    """Read faces from a folder of class folders, a folder of pictures, or an .npz."""
    if path.is_file():
        return read_arrays(path, spec, as_text(path.name))
    require_folder(path)
    if any((path / label).is_dir() for label in spec.labels):
        faces = load_tree(path, path, spec)
        if loose := sum(picture.parent == path for picture in pictures_below(path)):
            warn(f"{path}: {loose} pictures beside the class folders are ignored")
        return Sample(faces.pixels, faces.truth, _origin(path))
    # Labels that are not found must not silently become "not labelled".
    folders = [p.name for p in folders_in(path) if any(pictures_below(p))]
    if folders:
        raise DataError(
            f"{path} has the folders {', '.join(folders)}, none of which is a label of the model "
            f"({', '.join(spec.labels)}); give the folder that holds the class folders"
        )
    pixels = [face for picture in sorted(pictures_below(path)) for face in _read(picture, spec)]
    if not pixels:
        raise DataError(f"{path} holds no readable pictures")
    return Sample(np.concatenate(pixels), None, _origin(path))


def _origin(path: Path) -> str:
    return as_text(path.resolve().name)


def _read(picture: Path, spec: ModelSpec) -> list[Image]:
    try:
        return [prepare(read_image(picture), spec)]
    except DataError as error:
        warn(f"skipped: {error}")
        return []


def read_arrays(path: Path, spec: ModelSpec, origin: str) -> Sample:
    """Read an .npz with `pixels` and, for labelled faces, `truth` (see `emo_edge.runfolder`)."""
    try:
        with np.load(path, allow_pickle=False) as archive:
            pixels = archive["pixels"]
            truth = archive.get("truth")
            origin = origin or f"{archive['split']} split"
    except UNREADABLE as error:
        raise DataError(f"cannot read faces from {path}: {error}") from error
    if pixels.dtype != np.uint8 or pixels.shape[1:] != spec.input_shape[1:] or not len(pixels):
        raise DataError(f"{path} holds {pixels.dtype}{pixels.shape}, not uint8{spec.input_shape}")
    if truth is not None and (
        truth.shape != pixels.shape[:1]
        or truth.dtype.kind not in "iu"
        or truth.min() < 0
        or truth.max() >= len(spec.labels)
    ):
        raise DataError(f"the truth in {path} does not fit its faces and the labels")
    return Sample(pixels, truth, origin)


def draw(sample: Sample, evaluation: Sample | None, size: int | None, seed: int) -> Sample:
    """Draw the calibration set: stratified where there are labels, seeded, none that scores.

    `size` None draws 512 faces, or all where there are fewer.
    """
    sample = _refuse_scoring_faces(sample, evaluation)
    low, high = int(sample.pixels.min()), int(sample.pixels.max())
    if high - low < LEAST_COVERAGE:
        warn(f"the calibration faces cover pixels {low} to {high} only: int8 may clip the others")
    if size is not None and size > len(sample.pixels):
        warn(f"{sample.origin} has {len(sample.pixels)} faces to calibrate on, not {size}")
    strata = sample.truth if sample.truth is not None else np.zeros(len(sample.pixels), np.int64)
    rows = stratified(strata, size or CALIBRATION_SIZE, seed)
    return replace(sample, pixels=sample.pixels[rows], truth=strata[rows])


def _refuse_scoring_faces(calibration: Sample, evaluation: Sample | None) -> Sample:
    """Leave out the calibration faces that score too: calibrating on them flatters the model."""
    if evaluation is None:
        return calibration
    scoring = {face.tobytes() for face in evaluation.pixels}
    rows = [i for i, face in enumerate(calibration.pixels) if face.tobytes() not in scoring]
    refused = len(calibration.pixels) - len(rows)
    if not rows:
        raise DataError(
            "every calibration face is in the evaluation set too: calibrate on training pictures"
        )
    if refused:
        warn(f"refused {refused} calibration faces that are in the evaluation set too")
    truth = calibration.truth[rows] if calibration.truth is not None else None
    return replace(calibration, pixels=calibration.pixels[rows], truth=truth)
