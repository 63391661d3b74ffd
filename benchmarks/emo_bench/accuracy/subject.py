"""What is scored: a .tflite of any kind, a run folder or a Keras model; each in its own process."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from emo_bench.children import in_own_process
from emo_bench.plain import require_labels
from emo_bench.results import Result, identity
from emo_edge.artifacts import as_text
from emo_edge.backends import find_backend
from emo_edge.classifier import Classifier
from emo_edge.commands import require_extra
from emo_edge.contract import Image, Probabilities
from emo_edge.errors import DataError, UsageError
from emo_edge.modelfile import read_model
from emo_edge.runfolder import MODEL, SPEC
from emo_edge.score import score_in_own_process
from emo_edge.shipped import find_model
from emo_edge.spec import ModelSpec

KERAS_SUFFIXES = (".keras", ".h5", ".hdf5")
KERAS_CHILD = "emo_bench.accuracy.keras_child"


@dataclass(frozen=True)
class Given:
    """What a user says about models that carry no metadata, and about the runtime.

    Attributes:
        backend: Runtime for .tflite files.
        labels: For a plain .tflite or a Keras model without its run folder.
        input_range: Likewise: what the pixels 0 and 255 become.
        alone: Whether there is one model, of which this is said; among several one may be plain.
    """

    backend: str = "auto"
    labels: Path | None = None
    input_range: tuple[float, float] | None = None
    alone: bool = False

    def refuse(self, path: Path) -> None:
        """Raise `UsageError` if something is said of a model that carries it itself."""
        if self.alone and (self.labels is not None or self.input_range is not None):
            raise UsageError(
                f"{path} carries its own labels and input range: leave the options out"
            )


@dataclass(frozen=True)
class Subject:
    """A model that can be asked.

    Attributes:
        path: The model file.
        name: For people; that of the run folder where the file has none of its own.
        spec: Its contract.
        given: As above.
    """

    path: Path
    name: str
    spec: ModelSpec
    given: Given

    def identity(self) -> Result:
        """Return `model`, `sha256` and `bytes`."""
        return {**identity(self.path), "model": self.name}

    def ask(self, pixels: Image) -> tuple[Probabilities, str]:
        """Return the answers float32[N,n] to faces uint8[N,H,W,C], and which runtime gave them."""
        if self.path.suffix in KERAS_SUFFIXES:
            return _ask_keras(self, pixels)
        scored = score_in_own_process(
            self.path,
            pixels,
            find_backend(self.given.backend).name,
            labels=self.given.labels,
            input_range=self.given.input_range,
        )
        return scored.probabilities, scored.runtime


def open_subject(text: str, given: Given) -> Subject:
    """Return the model of a file, run folder or shipped name.

    Raises `ModelError`, `DataError` or `UsageError` if it is none or lacks labels.
    """
    path = find_model(text)
    if path.is_dir():
        if not (path / SPEC).is_file():
            raise DataError(f"{path} is no finished run folder of emo-train: it has no {SPEC}")
        return _keras_subject(path / MODEL, as_text(path.resolve().name), given)
    if path.suffix in KERAS_SUFFIXES:
        return _keras_subject(path, as_text(path.name), given)
    spec = read_model(path).spec
    if spec is None:
        require_labels(path, given.labels)
        plain = Classifier(
            path,
            labels=given.labels,
            input_range=given.input_range,
            backend=given.backend,
        )
        return Subject(path, as_text(path.name), plain.spec, given)
    given.refuse(path)
    return Subject(path, as_text(path.name), spec, Given(given.backend))


def _keras_subject(path: Path, name: str, given: Given) -> Subject:
    require_extra("workstation", "tensorflow", "keras")
    beside = path.with_name(SPEC)
    if beside.is_file():
        given.refuse(path)
        return Subject(path, name, read_spec(beside), Given())
    if given.labels is None:
        raise UsageError(f"{path} lies in no run folder: give --model-labels FILE")
    described = in_own_process(KERAS_CHILD, _task(path, given))
    return Subject(path, name, ModelSpec.from_json(described["spec"]), given)


def read_spec(path: Path) -> ModelSpec:
    """Return the spec.json of a run folder; raises `DataError` or `ModelError`."""
    try:
        return ModelSpec.from_json(path.read_bytes())
    except OSError as error:
        raise DataError(f"cannot read {path}: {error.strerror or error}") from error


def _ask_keras(subject: Subject, pixels: Image) -> tuple[Probabilities, str]:
    with tempfile.TemporaryDirectory(prefix="emo-keras-") as folder:
        faces, outputs = Path(folder, "faces.npy"), Path(folder, "outputs.npy")
        np.save(faces, pixels)
        files = {"faces": str(faces), "outputs": str(outputs)}
        done = in_own_process(KERAS_CHILD, _task(subject.path, subject.given) | files)
        from emo_edge.contract import probabilities

        return probabilities(np.load(outputs), subject.spec), str(done["runtime"])


def _task(path: Path, given: Given) -> dict[str, object]:
    return {
        "model": str(path),
        "labels": None if given.labels is None else str(given.labels),
        "input_range": given.input_range,
    }
