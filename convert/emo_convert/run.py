"""Reading what a training run left behind."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from emo_edge.artifacts import sha256
from emo_edge.contract import Image
from emo_edge.errors import DataError, ModelError
from emo_edge.runfolder import CALIBRATION, CONFIG, EVALUATION, MODEL, SPEC
from emo_edge.spec import ModelSpec


@dataclass(frozen=True)
class Run:
    """A finished training run, in memory.

    Attributes:
        spec: Its contract.
        model: Raw pixels float32[?,H,W,C] in, outputs float32[?,n] as `spec.output` says.
        model_sha256: Of the .keras file.
        calibration: uint8[N,H,W,C] faces of the training split.
        calibration_seed: The seed that drew them.
        evaluation: uint8[N,H,W,C] faces of the split that scores.
        truth: int64[N] class indices of `evaluation`.
        split: Name of the split that scores.
    """

    spec: ModelSpec
    model: keras.Model
    model_sha256: str
    calibration: Image
    calibration_seed: int
    evaluation: Image
    truth: NDArray[np.int64]
    split: str


def read_run(folder: Path) -> Run:
    """Read a run folder; raises `DataError` or `ModelError` saying which part is at fault."""
    if not folder.is_dir():
        raise DataError(f"{folder} is not a run folder made by emo-train")
    if not (folder / SPEC).exists():
        if (folder / CONFIG).exists():
            raise DataError(f"{folder} is unfinished; go on with: emo-train --resume {folder}")
        raise DataError(f"{folder} is not a run folder made by emo-train (no {SPEC})")
    spec = ModelSpec.from_json((folder / SPEC).read_bytes())
    calibration = _read_arrays(folder / CALIBRATION, "pixels", "seed")
    evaluation = _read_arrays(folder / EVALUATION, "pixels", "truth", "split")
    for pixels in (calibration["pixels"], evaluation["pixels"]):
        if pixels.dtype != np.uint8 or pixels.shape[1:] != spec.input_shape[1:] or not len(pixels):
            raise DataError(f"the faces in {folder} do not fit its {SPEC}; train again")
    model, digest = _read_model(folder / MODEL, spec)
    return Run(
        spec=spec,
        model=model,
        model_sha256=digest,
        calibration=calibration["pixels"],
        calibration_seed=int(calibration["seed"]),
        evaluation=evaluation["pixels"],
        truth=evaluation["truth"],
        split=str(evaluation["split"]),
    )


def _read_arrays(path: Path, *names: str) -> dict[str, NDArray[Any]]:
    try:
        with np.load(path, allow_pickle=False) as archive:
            return {name: archive[name] for name in names}
    except (OSError, ValueError, KeyError) as error:
        raise DataError(f"cannot read {path}: {error}") from error


def _read_model(path: Path, spec: ModelSpec) -> tuple[keras.Model, str]:
    try:
        digest = sha256(path.read_bytes())
        model = keras.saving.load_model(path, compile=False)
    except (OSError, ValueError, TypeError) as error:
        raise ModelError(f"{path} is not a readable Keras model: {error}") from error
    shapes = (tuple(model.input_shape[1:]), tuple(model.output_shape[1:]))
    if shapes != (spec.input_shape[1:], (len(spec.labels),)):
        raise ModelError(f"{path} maps {shapes[0]} to {shapes[1]}, which contradicts its {SPEC}")
    return model, digest
