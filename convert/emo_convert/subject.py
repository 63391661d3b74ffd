"""What is converted: a run folder, or a Keras model or SavedModel with faces given beside it."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import keras
import numpy as np
from numpy.typing import NDArray

from emo_edge.artifacts import sha256
from emo_edge.contract import Image, prepare, read_image
from emo_edge.errors import DataError, ModelError, UsageError
from emo_edge.faces import load_tree, pictures_in, require_folder, stratified
from emo_edge.messages import warn
from emo_edge.modelfile import read_labels
from emo_edge.runfolder import CALIBRATION, CONFIG, EVALUATION, MODEL, SPEC
from emo_edge.spec import ModelSpec

CALIBRATION_SIZE = 512
LEAST_COVERAGE = 200  # of the 255 steps from black to white; a few ordinary pictures have them


@dataclass(frozen=True)
class Sample:
    """Faces and where they come from.

    Attributes:
        pixels: uint8[N,height,width,channels], as `prepare` makes them.
        truth: int64[N] class indices; None where the faces are not labelled.
        origin: For the records: a split, a folder or a file.
    """

    pixels: Image
    truth: NDArray[np.int64] | None
    origin: str


@dataclass(frozen=True)
class Subject:
    """A model to convert, in memory.

    Attributes:
        name: For file names.
        spec: The contract; its `output` says what the model gives.
        model: Raw pixels float32[?,H,W,C] in, outputs float32[?,n].
        sha256: Of the model file as it was found.
        calibration: Faces for quantization, never any that score.
        evaluation: Faces that score; the calibration faces, unlabelled, where none are given.
        seed: That drew the calibration faces.
    """

    name: str
    spec: ModelSpec
    model: keras.Model
    sha256: str
    calibration: Sample
    evaluation: Sample
    seed: int


@dataclass(frozen=True)
class Options:
    """What a user may say about the faces and about a model that carries no spec."""

    labels: Path | None = None
    input_range: tuple[float, float] = (0.0, 255.0)
    calibration: str = "auto"
    calibration_size: int = CALIBRATION_SIZE
    evaluation: Path | None = None
    seed: int = 0


def home_of(path: Path) -> Path:
    """Return the folder for what is made of `path`: the run folder, or where the model lies."""
    return path if (path / SPEC).exists() else path.parent


def load_subject(path: Path, options: Options) -> Subject:
    """Read what is to be converted; raises `DataError`, `ModelError` or `UsageError`."""
    if (path / CONFIG).exists() or (path / SPEC).exists():
        return _from_run(path, options)
    return _from_model(path, options)


def _from_run(folder: Path, options: Options) -> Subject:
    if options.labels is not None:
        raise UsageError(f"{folder} carries its labels: leave --labels out")
    if not (folder / SPEC).exists():
        raise DataError(f"{folder} is unfinished; go on with: emo-train --resume {folder}")
    spec = ModelSpec.from_json((folder / SPEC).read_bytes())
    model = _load_keras(folder / MODEL)
    _refuse_other_shapes(model, spec, folder / MODEL)
    if options.calibration == "auto":
        calibration = _read_sample(folder / CALIBRATION, spec, "train split")
    else:
        calibration = _given(Path(options.calibration), spec)
    if options.evaluation is not None:
        evaluation = _given(options.evaluation, spec)
    else:
        evaluation = _read_sample(folder / EVALUATION, spec, "")
    return Subject(
        name=folder.resolve().name,
        spec=spec,
        model=model,
        sha256=sha256((folder / MODEL).read_bytes()),
        calibration=_draw(calibration, evaluation, options),
        evaluation=evaluation,
        seed=options.seed,
    )


def _from_model(path: Path, options: Options) -> Subject:
    if not path.exists():
        raise DataError(f"{path} does not exist")
    if path.is_dir() and not (path / "saved_model.pb").exists():
        raise DataError(f"{path} is neither a run folder made by emo-train nor a SavedModel")
    if options.labels is None or options.calibration == "auto":
        raise UsageError(
            f"{path} carries no labels and no faces: give --labels FILE and --calibration DIR "
            "(training pictures), and --evaluation DIR to measure accuracy"
        )
    inner = _load_saved_model(path) if path.is_dir() else _load_keras(path)
    spec = _spec_of(inner, read_labels(options.labels), path)
    scoring = _given(options.evaluation, spec) if options.evaluation is not None else None
    calibration = _draw(_given(Path(options.calibration), spec), scoring, options)
    model = _taking_raw_pixels(inner, spec, options.input_range)
    spec = replace(spec, output=_output_kind(model, calibration.pixels))
    if scoring is None:
        warn("no --evaluation: the gate compares answers on the calibration faces alone")
    content = (path / "saved_model.pb" if path.is_dir() else path).read_bytes()
    return Subject(
        name=path.stem,
        spec=spec,
        model=model,
        sha256=sha256(content),
        calibration=calibration,
        evaluation=scoring or replace(calibration, truth=None),
        seed=options.seed,
    )


def _load_keras(path: Path) -> keras.Model:
    try:
        return keras.saving.load_model(path, compile=False)
    except (OSError, ValueError, TypeError, KeyError) as error:
        # Keras wraps the cause in the whole configuration of the model.
        causes = re.findall(r"Exception encountered: (.+)", str(error)) or str(error).splitlines()
        raise ModelError(
            f"{path} is not a Keras model that can be read here ({causes[-1].strip()}); custom "
            "layers must be replaced by Keras' own before conversion"
        ) from error


def _load_saved_model(path: Path) -> keras.Model:
    layer = keras.layers.TFSMLayer(path, call_endpoint="serving_default")
    shape = next(iter(layer.call_endpoint_fn.structured_input_signature[1].values())).shape
    inputs = keras.Input(tuple(shape[1:]))
    outputs = layer(inputs)
    return keras.Model(inputs, next(iter(outputs.values())))


def _spec_of(model: keras.Model, labels: tuple[str, ...], path: Path) -> ModelSpec:
    shape = tuple(model.input_shape)
    if len(shape) != 4 or None in shape[1:] or shape[3] not in (1, 3):
        raise ModelError(f"{path} takes {shape}; (?, height, width, 1 or 3) is needed")
    if tuple(model.output_shape[1:]) != (len(labels),):
        raise ModelError(f"{path} gives {model.output_shape} but there are {len(labels)} labels")
    colour: Any = "grey" if shape[3] == 1 else "rgb"
    return ModelSpec(labels=labels, height=shape[1], width=shape[2], colour=colour)


def _taking_raw_pixels(
    model: keras.Model, spec: ModelSpec, input_range: tuple[float, float]
) -> keras.Model:
    """Put the scaling of pixels 0-255 to the model's own range into the graph."""
    low, high = input_range
    if (low, high) == (0.0, 255.0):
        return model
    inputs = keras.Input(spec.input_shape[1:], name="pixels")
    scaled = keras.layers.Rescaling((high - low) / 255.0, offset=low)(inputs)
    return keras.Model(inputs, model(scaled), name=model.name)


def _output_kind(model: keras.Model, pixels: Image) -> Any:
    """Only a softmax gives non-negative outputs that sum to 1 for every face."""
    outputs = np.asarray(model.predict(pixels[:32].astype(np.float32), verbose=0))
    softmax = (outputs >= 0).all() and np.allclose(outputs.sum(axis=1), 1, atol=1e-3)
    return "probabilities" if softmax else "logits"


def _refuse_other_shapes(model: keras.Model, spec: ModelSpec, path: Path) -> None:
    shapes = (tuple(model.input_shape[1:]), tuple(model.output_shape[1:]))
    if shapes != (spec.input_shape[1:], (len(spec.labels),)):
        raise ModelError(f"{path} maps {shapes[0]} to {shapes[1]}, which contradicts its {SPEC}")


def _given(path: Path, spec: ModelSpec) -> Sample:
    """Read faces from a folder of class folders, a folder of pictures, or an .npz."""
    if path.is_file():
        return _read_sample(path, spec, str(path))
    require_folder(path)
    if any((path / label).is_dir() for label in spec.labels):
        faces = load_tree(path, path, spec)
        return Sample(faces.pixels, faces.truth, str(path))
    pictures: Sequence[Path] = sorted(pictures_in(path))
    if not pictures:
        raise DataError(f"{path} holds no pictures")
    pixels = np.concatenate([prepare(read_image(picture), spec) for picture in pictures])
    return Sample(pixels, None, str(path))


def _read_sample(path: Path, spec: ModelSpec, origin: str) -> Sample:
    """Read an .npz with `pixels` and, for labelled faces, `truth` (see `emo_edge.runfolder`)."""
    try:
        with np.load(path, allow_pickle=False) as archive:
            pixels = archive["pixels"]
            truth = archive.get("truth")
            origin = origin or f"{archive['split']} split"
    except (OSError, ValueError, KeyError, EOFError, BadZipFile) as error:
        raise DataError(f"cannot read faces from {path}: {error}") from error
    if pixels.dtype != np.uint8 or pixels.shape[1:] != spec.input_shape[1:] or not len(pixels):
        raise DataError(f"{path} holds {pixels.dtype}{pixels.shape}, not uint8{spec.input_shape}")
    if truth is not None and (
        truth.shape != pixels.shape[:1] or truth.min() < 0 or truth.max() >= len(spec.labels)
    ):
        raise DataError(f"the truth in {path} does not fit its faces and the labels")
    return Sample(pixels, truth, origin)


def _draw(sample: Sample, evaluation: Sample | None, options: Options) -> Sample:
    """Draw the calibration set: stratified where there are labels, seeded, none that scores."""
    sample = _refuse_scoring_faces(sample, evaluation)
    low, high = int(sample.pixels.min()), int(sample.pixels.max())
    if high - low < LEAST_COVERAGE:
        warn(f"the calibration faces cover pixels {low} to {high} only: int8 may clip the others")
    strata = sample.truth if sample.truth is not None else np.zeros(len(sample.pixels), np.int64)
    rows = stratified(strata, options.calibration_size, options.seed)
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
