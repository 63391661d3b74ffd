"""What is converted: a run folder, or a Keras model or SavedModel with faces given beside it."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from emo_convert.golden import candidates
from emo_convert.repair.graph import copy
from emo_convert.samples import Sample, draw, read_arrays, read_given
from emo_edge.artifacts import sha256
from emo_edge.contract import Image, Probabilities, probabilities
from emo_edge.errors import DataError, ModelError, UsageError
from emo_edge.messages import warn
from emo_edge.modelfile import read_labels
from emo_edge.runfolder import CALIBRATION, CONFIG, EVALUATION, MODEL, SPEC
from emo_edge.spec import ModelSpec

RAW = (0.0, 255.0)
WIDEST = 1e6  # as the spec's own range
ENDPOINT = "serving_default"
LONGEST_CAUSE = 200  # characters of another library's message
COMPARED = 8  # faces that tell a copy from its model
NOT_FLOAT32 = frozenset({"float16", "bfloat16", "float64"})


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
        reference: Probabilities float32[N,n] of the Keras model on `evaluation`. Every export is
            compared with them, also one of another head or of a repaired model.
        seed: That drew the calibration faces.
    """

    name: str
    spec: ModelSpec
    model: keras.Model
    sha256: str
    calibration: Sample
    evaluation: Sample
    reference: Probabilities
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

    def __post_init__(self) -> None:
        """Refuse a range that no pixels can be scaled to (raises `UsageError`)."""
        low, high = self.input_range or RAW
        if not -WIDEST <= low < high <= WIDEST:  # NaN is refused too
            raise UsageError(
                f"--input-range {low:g} {high:g}: give two numbers within a million of 0, the "
                "lower first"
            )


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
    _refuse_mixed_precision(model, folder / MODEL)
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
        reference=keras_answers(model, spec, evaluation.pixels),
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
    spec = spec_of(inner, _read_labels(options.labels), path)
    _refuse_mixed_precision(inner, path)
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
    evaluation = scoring or replace(calibration, truth=None)
    return Subject(
        name=_name_of(path),
        spec=spec,
        model=model,
        sha256=_digest(path),
        calibration=calibration,
        evaluation=evaluation,
        reference=keras_answers(model, spec, evaluation.pixels),
        seed=options.seed,
    )


def _read_labels(path: Path) -> tuple[str, ...]:
    labels = read_labels(path)
    try:
        ModelSpec(labels, height=48, width=48)  # which checks them
    except ModelError as error:
        problem = str(error).removeprefix("model metadata: ")
        raise UsageError(f"--labels {path} {problem}") from error
    return labels


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
    """Load a .keras or .h5 file; raises `ModelError`, saying why it cannot be."""
    try:
        return keras.saving.load_model(path, compile=False)
    except Exception as error:  # whatever Keras, HDF5 or zipfile raise for a file that is no model
        raise ModelError(f"{path} {_why_unreadable(path, error)}") from error


def _why_unreadable(path: Path, error: Exception) -> str:
    text = str(error)
    unknown = re.search(r"Could not locate class '(\w+)'", text)
    if unknown:
        return f"has the custom layer {unknown[1]}: replace it by one of Keras' own"
    if "`Lambda` layer" in text:
        return (
            "has a Lambda layer, Python code that Keras does not run from a file: replace it by "
            "layers of Keras' own"
        )
    if "No model config found" in text:
        return "holds weights alone: save the whole model (model.save)"
    if path.suffix == ".tflite":
        return "is a .tflite, already converted: emo-convert inspect shows what it is"
    # Keras wraps the cause in the whole configuration of each layer around it.
    causes = re.findall(r"Exception encountered: (.+)", text) or text.strip().splitlines()[:1]
    why = causes[-1] if causes else type(error).__name__
    return f"is not a Keras model that can be read, or it is damaged: {why[:LONGEST_CAUSE]}"


def _load_saved_model(path: Path) -> keras.Model:
    try:
        return _of_signature(keras.layers.TFSMLayer(path, call_endpoint=ENDPOINT), path)
    except ModelError:
        raise
    except Exception as error:  # whatever TensorFlow raises for a folder that is none
        why = (str(error) or type(error).__name__).splitlines()[0]
        raise ModelError(
            f"{path} is not a SavedModel with the signature {ENDPOINT}, or it is damaged: {why}"
        ) from error


def _of_signature(layer: Any, path: Path) -> keras.Model:
    """Return a SavedModel as a Keras model; raises `ModelError` if it has not one in and output."""
    signature = layer.call_endpoint_fn
    taken, given = signature.structured_input_signature[1], signature.structured_outputs
    if len(taken) != 1 or len(given) != 1:
        raise ModelError(
            f"{path} takes {', '.join(sorted(taken))} and gives {', '.join(sorted(given))}: "
            "export it with one input and one output"
        )
    ((pixels,), (answers,)) = taken.values(), given
    batch, *shape = pixels.shape
    if batch is not None or pixels.dtype != tf.float32:
        raise ModelError(
            f"{path} takes {pixels.dtype.name}{tuple(pixels.shape)}: export it for float32 and "
            "batches of any size (None)"
        )
    inputs = keras.Input(tuple(shape))
    return keras.Model(inputs, layer(inputs)[answers])


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
    whole = keras.Model(inputs, model(scaled), name=model.name)
    try:
        # `call` runs its layers one by one: as one opaque layer it could not be repaired. They are
        # copied because theirs would remember the inputs of before.
        twin = copy(keras.Model(inputs, model.call(scaled), name=model.name))
    except ModelError:  # a SavedModel is one layer, which cannot be copied
        return whole
    _refuse_another(twin, whole, candidates(spec)[:COMPARED])
    return twin


def _refuse_another(twin: keras.Model, model: keras.Model, faces: Image) -> None:
    """Raise `ModelError` if a copy lost what its layers keep beside their weights."""
    expected, found = _outputs(model, faces), _outputs(twin, faces)
    # Of the largest answer: sums in another order differ by far less, a lost state by far more.
    if not np.allclose(found, expected, rtol=0, atol=1e-3 * float(np.abs(expected).max())):
        raise ModelError(
            "a layer keeps a state that is lost when the model is given --input-range: put the "
            "scaling into the model (keras.layers.Rescaling) and leave --input-range out"
        )


def _outputs(model: keras.Model, faces: Image) -> NDArray[np.float32]:
    """Return what a model gives for uint8[N,H,W,C]; raises `ModelError` if it is no number."""
    outputs = np.asarray(model.predict(faces.astype(np.float32), batch_size=256, verbose=0))
    if not np.isfinite(outputs).all():
        raise ModelError("the Keras model itself answers NaN or infinity: look at its weights")
    return np.asarray(outputs, np.float32)


def keras_answers(model: keras.Model, spec: ModelSpec, faces: Image) -> Probabilities:
    """Return the probabilities float32[N,n] of the Keras model for uint8[N,H,W,C].

    Raises `ModelError` if it answers NaN or infinity.
    """
    return probabilities(_outputs(model, faces), spec)


def output_kind(model: keras.Model, pixels: Image) -> Any:
    """Only a softmax gives non-negative outputs that sum to 1 for every face.

    Warns of sigmoids, which are taken for logits.
    """
    outputs = np.asarray(model.predict(pixels[:32].astype(np.float32), verbose=0))
    softmax = (outputs >= 0).all() and np.allclose(outputs.sum(axis=1), 1, atol=1e-3)
    if not softmax and ((outputs >= 0) & (outputs <= 1)).all():
        warn(
            "all outputs lie between 0 and 1 but do not sum to 1, as those of sigmoids: they are "
            "taken for logits, which keeps the order and flattens the confidences"
        )
    return "probabilities" if softmax else "logits"


def _refuse_mixed_precision(model: keras.Model, path: Path) -> None:
    """TFLite's kernels for float16 arithmetic are few, and none is on the device."""
    found = {layer.compute_dtype for layer in model._flatten_layers()} & NOT_FLOAT32
    if found:
        raise ModelError(
            f"{path} computes in {', '.join(sorted(found))}: build it under "
            "keras.config.set_dtype_policy('float32'), give it these weights and save that"
        )


def _refuse_other_shapes(model: keras.Model, spec: ModelSpec, path: Path) -> None:
    shapes = (tuple(model.input_shape[1:]), tuple(model.output_shape[1:]))
    if shapes != (spec.input_shape[1:], (len(spec.labels),)):
        raise ModelError(f"{path} maps {shapes[0]} to {shapes[1]}, which contradicts its {SPEC}")
