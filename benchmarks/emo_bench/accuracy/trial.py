"""The faces that score: class folders, FER2013 as CSV or .npz, or the evaluation of a run folder.

An .npz holds `pixels` and `truth` (see `emo_edge.runfolder`), or FER2013: `images`
uint8[N,48,48], `labels` uint8[N] in the order of `FER_LABELS`, and for FER+ `ferplus` [N,10]
votes in the order of `VOTE_COLUMNS`, without names of classes; or anything else that emo-train
reads.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from emo_bench.accuracy.subject import read_spec
from emo_edge.contract import prepare
from emo_edge.errors import DataError, UsageError
from emo_edge.faces import UNREADABLE, Faces, load_tree, one_hot, require_folder
from emo_edge.messages import warn
from emo_edge.runfolder import EVALUATION, SPEC
from emo_edge.spec import ModelSpec
from emo_train.data import Evaluation, copies, load_evaluation, open_layout
from emo_train.data.arrays import CLASS_NAMES, LABELS_FILE, holds_arrays, whole_votes
from emo_train.data.fer2013 import (
    FER_LABELS,
    PIXELS,
    LabelKind,
    fer_labels,
    ferplus_targets,
    is_fer2013,
)
from emo_train.data.reading import read

Labels = Literal["auto", "fer", "ferplus"]
KINDS: tuple[LabelKind, ...] = ("fer", "ferplus")
TRAINING = "training.npz"  # looked for beside another .npz


class Trials:
    """Loads what scores a model; equal contracts are served from memory.

    Args:
        data: Class folders, a folder with fer2013.csv, that file itself, or an .npz.
        labels: Which labels of FER2013 score; "auto" takes those of the model.
        training: Class folders or .npz whose copies are counted apart.
    """

    def __init__(self, data: Path, labels: str = "auto", training: Path | None = None) -> None:
        if labels not in get_args(Labels):
            raise UsageError(f"unknown --labels {labels!r}; choose from auto, fer, ferplus")
        self._data = data.parent if data.name == PIXELS else data
        self._labels = labels
        self._training = training
        self._loaded: dict[tuple[Any, ...], Evaluation] = {}

    def __call__(self, spec: ModelSpec) -> Evaluation:
        """Return the faces that score a model of this spec.

        Raises `UsageError` if its labels are others, `DataError` if the data cannot be used.
        """
        key = (spec.labels, spec.input_shape, spec.colour, spec.crop_margin, _trained_on(spec))
        if key not in self._loaded:
            self._loaded[key] = self._load(spec)
        return self._loaded[key]

    def _load(self, spec: ModelSpec) -> Evaluation:
        if self._data.is_file():
            trial = self._from_npz(spec)
        elif is_fer2013(self._data):
            kind = self._kind(spec)
            canonical = replace(spec, labels=fer_labels(kind))
            found = load_evaluation(self._data, canonical)
            trial = _in_order(found, canonical.labels, spec.labels)
        else:
            require_folder(self._data)
            self._refuse_kind()
            trial = _as_training_reads(self._data, spec)
        if not len(trial.faces):
            raise DataError(f"{self._data} holds no face that scores")
        return self._compared(trial, spec)

    def _kind(self, spec: ModelSpec) -> LabelKind:
        kind = _kind_of(spec.labels)
        if kind is not None and self._labels in ("auto", kind):
            return kind
        wanted = "FER2013" if self._labels == "auto" else f"FER2013 ({self._labels})"
        raise UsageError(f"the model's labels ({', '.join(spec.labels)}) are not those of {wanted}")

    def _refuse_kind(self) -> None:
        if self._labels != "auto":
            raise UsageError(f"--labels chooses among FER2013's, which {self._data} is not")

    def _from_npz(self, spec: ModelSpec) -> Evaluation:
        arrays = _arrays(self._data)
        if _is_fer2013(self._data, arrays) and not _numbered(spec.labels):
            kind = self._kind(spec)
            faces, scores = _fer2013(self._data, arrays, spec, kind)
            kept = faces.take(np.flatnonzero(scores))
            return Evaluation(kept, f"{self._data.name} ({kind})", np.zeros(len(kept), bool), None)
        self._refuse_kind()
        if "pixels" in arrays:
            return _run_evaluation(self._data, arrays, spec)
        return _as_training_reads(self._data, spec)

    def _compared(self, trial: Evaluation, spec: ModelSpec) -> Evaluation:
        """Look for copies in the training faces that were given, or that lie beside an .npz."""
        beside = self._data.parent / TRAINING
        if self._training is not None:
            return _with_copies(trial, self._training, spec)
        if self._data.suffix != ".npz" or beside == self._data or not beside.is_file():
            return trial
        try:
            return _with_copies(trial, beside, spec)
        except DataError as error:  # nobody asked for it
            warn(f"copies of training faces are not looked for: {error}")
            return trial


def _with_copies(trial: Evaluation, training: Path, spec: ModelSpec) -> Evaluation:
    seen = trial.seen | copies(trial.faces, [_training_faces(training, spec)])
    return replace(trial, seen=seen, looked_in=training.name)


def _training_faces(path: Path, spec: ModelSpec) -> Faces:
    """Return the faces of class folders or of an .npz; raises `DataError` if there are none."""
    if not path.is_file():
        require_folder(path)
        return load_tree(path, path, spec)
    arrays = _arrays(path)
    if "images" in arrays and arrays["images"].dtype == np.uint8:  # which need no labels
        return _prepared(path, arrays, spec)
    return read(open_layout(path).parts["train"], spec)[0]


def _as_training_reads(root: Path, spec: ModelSpec) -> Evaluation:
    """Load what scores with emo-train's reader, the classes in the order of the model's labels."""
    labels = spec.labels
    if holds_arrays(root):  # which may name the same classes in another order
        kind = _kind_of(labels)
        found = open_layout(root, labels=labels if kind is None else fer_labels(kind)).labels
        labels = found if set(found) == set(labels) else labels
    return _in_order(load_evaluation(root, replace(spec, labels=labels)), labels, spec.labels)


def _kind_of(labels: tuple[str, ...]) -> LabelKind | None:
    """Return which labels of FER2013 these are, in whatever order; None if they are others."""
    return next((kind for kind in KINDS if set(labels) == set(fer_labels(kind))), None)


def _is_fer2013(path: Path, arrays: Mapping[str, NDArray[Any]]) -> bool:
    """Whether these are bytes of pictures and classes that are numbers, which nothing names.

    FER+ votes are FER2013's alone: beside them no name matters, to emo-train neither.
    """
    if "images" not in arrays or arrays["images"].dtype != np.uint8:
        return False
    named = not arrays.keys().isdisjoint(CLASS_NAMES) or (path.parent / LABELS_FILE).is_file()
    if named and "ferplus" not in arrays:
        return False
    return "labels" not in arrays or arrays["labels"].dtype.kind in "iu"


def _numbered(labels: tuple[str, ...]) -> bool:
    """Whether these are the labels of a model that learned from classes without names."""
    return labels == tuple(map(str, range(len(labels))))


def _trained_on(spec: ModelSpec) -> str | None:
    """Return the fingerprint of the splits that a model was trained with."""
    digest = spec.training.get("metrics", {}).get("data", {}).get("sha256")
    return None if digest is None else str(digest)


def _in_order(trial: Evaluation, ours: tuple[str, ...], theirs: tuple[str, ...]) -> Evaluation:
    """Put the targets' columns into the order of a model's labels."""
    columns = [ours.index(label) for label in theirs]
    return replace(trial, faces=replace(trial.faces, targets=trial.faces.targets[:, columns]))


def _arrays(path: Path) -> Mapping[str, NDArray[Any]]:
    try:
        with np.load(path, allow_pickle=False) as archive:
            return {name: archive[name] for name in archive.files}
    except UNREADABLE as error:
        raise DataError(f"cannot read faces from {path}: {error}") from error


def _fer2013(
    path: Path, arrays: Mapping[str, NDArray[Any]], spec: ModelSpec, kind: LabelKind
) -> tuple[Faces, NDArray[np.bool_]]:
    """Return all faces with their targets in the order of the spec, and which of them score."""
    needed = "labels" if kind == "fer" else "ferplus"
    faces = _prepared(path, arrays, spec)
    given = arrays.get(needed)
    if given is None or given.shape[:1] != (len(faces),):
        raise DataError(f"{path} has no {needed} for its {len(faces)} images")
    if kind == "fer":
        if not _are_classes(given, len(faces), len(FER_LABELS)):
            raise DataError(f"the labels in {path} are not those of FER2013")
        targets, scores = (
            one_hot(given.astype(np.int64), len(FER_LABELS)),
            np.ones(len(faces), bool),
        )
    else:
        targets, _, scores = ferplus_targets(whole_votes(given, len(faces), str(path)))
    columns = [fer_labels(kind).index(label) for label in spec.labels]
    return replace(faces, targets=targets[:, columns]), scores


def _are_classes(given: NDArray[Any], faces: int, classes: int) -> bool:
    """Whether these are whole numbers from 0 to below `classes`, one of each face.

    One below 0 would count from the last class without a word. There must be faces.
    """
    if given.shape != (faces,) or given.dtype.kind not in "iu":
        return False
    return bool(given.min() >= 0 and given.max() < classes)


def _prepared(path: Path, arrays: Mapping[str, NDArray[Any]], spec: ModelSpec) -> Faces:
    """Return the images of an .npz through the contract, without targets."""
    images = arrays.get("images")
    if images is None or images.dtype != np.uint8 or images.ndim not in (3, 4) or not images.size:
        raise DataError(f"{path} holds no `images` uint8[N,height,width]")
    if images.shape[3:] not in ((), (1,), (3,)):
        raise DataError(f"{path} holds images of {images.shape[3]} channels, not of 1 or 3")
    if images.shape[3:] == (3,):  # R, G, B, as emo-train reads them; `prepare` takes BGR
        images = images[..., ::-1]
    pixels = np.concatenate([prepare(np.ascontiguousarray(image), spec) for image in images])
    rows = _one_each(path, arrays, "row", len(images))
    names = tuple(f"{path.stem}:{row}" for row in rows)
    return Faces(pixels, np.zeros((len(images), len(spec.labels)), np.float32), names)


def _run_evaluation(path: Path, arrays: Mapping[str, NDArray[Any]], spec: ModelSpec) -> Evaluation:
    pixels, truth = arrays.get("pixels"), arrays.get("truth")
    if pixels is None or pixels.dtype != np.uint8 or pixels.shape[1:] != spec.input_shape[1:]:
        raise DataError(f"{path} holds no `pixels` uint8[N,{spec.height},{spec.width},...]")
    if not len(pixels):
        raise DataError(f"{path} holds no face that scores")
    labels = _labels_of_run(path, spec)
    if truth is None or not _are_classes(truth, len(pixels), len(labels)):
        raise DataError(f"{path} is not labelled: it holds no `truth` that fits its faces")
    names = _one_each(path, arrays, "names", len(pixels))
    targets = one_hot(truth.astype(np.int64), len(labels))
    targets = targets[:, [labels.index(label) for label in spec.labels]]
    faces = Faces(pixels, targets, tuple(map(str, names)))
    origin = f"{arrays['split']} split" if "split" in arrays else path.name
    return Evaluation(faces, origin, np.zeros(len(faces), bool), _searched_by_run(path, spec))


def _labels_of_run(path: Path, spec: ModelSpec) -> tuple[str, ...]:
    """Return the labels that the numbers of a run's faces mean: they stand in its spec.json.

    Raises `UsageError` if they are not those of the model.
    """
    beside = path.with_name(SPEC)
    if not beside.is_file():
        warn(f"no {SPEC} lies beside {path}: its classes are taken to be in the model's order")
        return spec.labels
    labels = read_spec(beside).labels
    if set(labels) != set(spec.labels):
        ours, theirs = ", ".join(spec.labels), ", ".join(labels)
        raise UsageError(f"the model's labels ({ours}) are not those of the run ({theirs})")
    return labels


def _one_each(
    path: Path, arrays: Mapping[str, NDArray[Any]], name: str, faces: int
) -> NDArray[Any]:
    """Return the array of this name, or 0, 1, ...; raises `DataError` unless it is one a face."""
    found = arrays.get(name, np.arange(faces))
    if found.shape != (faces,):
        raise DataError(f"{path}: `{name}` has the shape {found.shape}, not one of each face")
    return found


def _searched_by_run(path: Path, spec: ModelSpec) -> str | None:
    """Return where emo-train looked for copies of these faces, and took all out.

    None if it kept them, if the model was trained with other splits than those of the run that the
    faces lie in, or if they lie in none: then nothing is known of copies.
    """
    beside = path.with_name(SPEC)
    if path.name != EVALUATION or not beside.is_file():
        return None
    run = read_spec(beside)
    if _trained_on(run) is None or _trained_on(run) != _trained_on(spec):
        return None
    kept = run.training.get("recipe", {}).get("keep_duplicates", False)
    return None if kept else "the training split of the run"
