"""What is converted: a run folder, or a Keras model or SavedModel with faces given beside it."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import keras
import numpy as np

from emo_convert.repair.graph import copy
from emo_convert.samples import Sample, draw, read_arrays, read_given
from emo_edge.artifacts import sha256
from emo_edge.contract import Image
from emo_edge.errors import DataError, ModelError, UsageError
from emo_edge.messages import warn
from emo_edge.modelfile import read_labels
from emo_edge.runfolder import CALIBRATION, CONFIG, EVALUATION, MODEL, SPEC
from emo_edge.spec import ModelSpec

RAW = (0.0, 255.0)
ENDPOINT = "serving_default"


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
    input_range: tuple[float, float] | None = None
    calibration: str = "auto"
    calibration_size: int | None = None
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
    if options.labels is not None or options.input_range is not None:
        raise UsageError(f"{folder} carries its own: leave --labels and --input-range out")
    if not (folder / SPEC).exists():
        raise DataError(_why_no_spec(folder))
    spec = ModelSpec.from_json((folder / SPEC).read_bytes())
    model = load_keras(folder / MODEL)
    _refuse_other_shapes(model, spec, folder / MODEL)
    if options.calibration == "auto":
        calibration = read_arrays(folder / CALIBRATION, spec, "train split")
    else:
        calibration = read_given(Path(options.calibration), spec)
    if options.evaluation is not None:
        evaluation = _scoring(options.evaluation, spec)
    else:
        evaluation = read_arrays(folder / EVALUATION, spec, "")
    return Subject(
        name=folder.resolve().name,
        spec=spec,
        model=model,
        sha256=sha256((folder / MODEL).read_bytes()),
        calibration=draw(calibration, evaluation, options.calibration_size, options.seed),
        evaluation=evaluation,
        seed=options.seed,
    )


def _why_no_spec(folder: Path) -> str:
    try:
        folds = json.loads((folder / CONFIG).read_bytes()).get("folds")
    except (OSError, ValueError, AttributeError):
        folds = None
    if folds and (folder / "fold-1" / SPEC).exists():
        return f"{folder} is a cross-validation: convert one of its folds, such as {folder}/fold-1"
    return f"{folder} is unfinished; go on with: emo-train --resume {folder}"


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
    inner = _load_saved_model(path) if path.is_dir() else load_keras(path)
    spec = spec_of(inner, read_labels(options.labels), path)
    scoring = _scoring(options.evaluation, spec) if options.evaluation is not None else None
    calibration = draw(
        read_given(Path(options.calibration), spec),
        scoring,
        options.calibration_size,
        options.seed,
    )
    model = taking_raw_pixels(inner, spec, options.input_range or RAW)
    spec = replace(spec, output=output_kind(model, calibration.pixels))
    if scoring is None:
        warn("no --evaluation: the gate compares answers on the calibration faces alone")
    return Subject(
        name=_name_of(path),
        spec=spec,
        model=model,
        sha256=_digest(path),
        calibration=calibration,
        evaluation=scoring or replace(calibration, truth=None),
        seed=options.seed,
    )


def _scoring(path: Path, spec: ModelSpec) -> Sample:
    sample = read_given(path, spec)
    if sample.truth is None:
        warn(f"{path} is not labelled: the gate compares answers, it cannot measure accuracy")
    return sample


def _name_of(path: Path) -> str:
    """Return the file's or folder's name, less a suffix that only says it is a Keras model."""
    name = path.resolve().name
    for suffix in (".keras", ".h5", ".hdf5"):
        name = name.removesuffix(suffix)
    return name


def _digest(path: Path) -> str:
    """Return the SHA-256 of a model file, or of all files of a SavedModel in order."""
    files = sorted(p for p in path.rglob("*") if p.is_file()) if path.is_dir() else [path]
    return sha256(b"".join(file.read_bytes() for file in files))


def load_keras(path: Path) -> keras.Model:
    """Load a .keras or .h5 file; raises `ModelError`, saying which custom layer it has."""
    try:
        return keras.saving.load_model(path, compile=False)
    except Exception as error:  # whatever Keras, HDF5 or zipfile raise for a file that is no model
        # Keras wraps the cause in the whole configuration of the model.
        unknown = re.search(r"Could not locate class '(\w+)'", str(error))
        if unknown:
            raise ModelError(
                f"{path} has the custom layer {unknown[1]}: replace it by one of Keras' own"
            ) from error
        if "`Lambda` layer" in str(error):
            raise ModelError(
                f"{path} has a Lambda layer, Python code that Keras does not run from a file: "
                "replace it by layers of Keras' own"
            ) from error
        raise ModelError(
            f"{path} is not a Keras model that can be read, or it is damaged"
        ) from error


def _load_saved_model(path: Path) -> keras.Model:
    try:
        layer = keras.layers.TFSMLayer(path, call_endpoint=ENDPOINT)
        shape = next(iter(layer.call_endpoint_fn.structured_input_signature[1].values())).shape
        inputs = keras.Input(tuple(shape[1:]))
        outputs = layer(inputs)
        return keras.Model(inputs, next(iter(outputs.values())))
    except Exception as error:  # whatever TensorFlow raises for a folder that is none
        why = (str(error) or type(error).__name__).splitlines()[0]
        raise ModelError(
            f"{path} is not a SavedModel with the signature {ENDPOINT}, or it is damaged: {why}"
        ) from error


def spec_of(model: keras.Model, labels: tuple[str, ...], path: Path) -> ModelSpec:
    """Return what a model's shapes say of its contract; raises `ModelError` if they do not fit."""
    if not isinstance(model, keras.Model) or not model.built:
        raise ModelError(f"{path} was saved before its layers knew their input: build it first")
    shape = tuple(model.input_shape)
    if len(shape) != 4 or None in shape[1:] or shape[3] not in (1, 3):
        raise ModelError(f"{path} takes {shape}; (?, height, width, 1 or 3) is needed")
    if tuple(model.output_shape[1:]) != (len(labels),):
        raise ModelError(f"{path} gives {model.output_shape} but there are {len(labels)} labels")
    colour: Any = "grey" if shape[3] == 1 else "rgb"
    return ModelSpec(labels=labels, height=shape[1], width=shape[2], colour=colour)


def taking_raw_pixels(
    model: keras.Model, spec: ModelSpec, input_range: tuple[float, float]
) -> keras.Model:
    """Put the scaling of pixels 0-255 to the model's own range into the graph."""
    low, high = input_range
    if (low, high) == RAW:
        return model
    # Names that no layer of the model has: two of a kind would be refused.
    inputs = keras.Input(spec.input_shape[1:], name="emo_pixels")
    scaled = keras.layers.Rescaling((high - low) / 255.0, offset=low, name="emo_scaling")(inputs)
    try:
        # `call` runs its layers one by one: as one opaque layer it could not be repaired. They are
        # copied because theirs would remember the inputs of before.
        return copy(keras.Model(inputs, model.call(scaled), name=model.name))
    except ModelError:  # a SavedModel is one layer, which cannot be copied
        return keras.Model(inputs, model(scaled), name=model.name)


def output_kind(model: keras.Model, pixels: Image) -> Any:
    """Only a softmax gives non-negative outputs that sum to 1 for every face."""
    outputs = np.asarray(model.predict(pixels[:32].astype(np.float32), verbose=0))
    softmax = (outputs >= 0).all() and np.allclose(outputs.sum(axis=1), 1, atol=1e-3)
    return "probabilities" if softmax else "logits"


def _refuse_other_shapes(model: keras.Model, spec: ModelSpec, path: Path) -> None:
    shapes = (tuple(model.input_shape[1:]), tuple(model.output_shape[1:]))
    if shapes != (spec.input_shape[1:], (len(spec.labels),)):
        raise ModelError(f"{path} maps {shapes[0]} to {shapes[1]}, which contradicts its {SPEC}")
