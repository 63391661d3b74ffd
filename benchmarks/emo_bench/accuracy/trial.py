"""The faces that score: class folders, FER2013 as CSV or .npz, or the evaluation of a run folder.

An .npz holds `pixels` and `truth` (see `emo_edge.runfolder`), or FER2013: `images`
uint8[N,48,48], `labels` uint8[N] in the order of `FER_LABELS`, and for FER+ `ferplus` [N,10]
votes in the order of `VOTE_COLUMNS`; or anything else that emo-train reads.
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
from emo_edge.runfolder import EVALUATION, SPEC
from emo_edge.spec import ModelSpec
from emo_train.data import Evaluation, copies, load_evaluation
from emo_train.data.arrays import CLASS_NAMES, whole_votes
from emo_train.data.fer2013 import (
    FER_LABELS,
    PIXELS,
    LabelKind,
    fer_labels,
    ferplus_targets,
    is_fer2013,
)

Labels = Literal["auto", "fer", "ferplus"]
NAMED = frozenset(CLASS_NAMES)  # with class names it is a data set like any other
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
            trial = load_evaluation(self._data, spec)
        if not len(trial.faces):
            raise DataError(f"{self._data} holds no face that scores")
        return self._compared(trial, spec)

    def _kind(self, spec: ModelSpec) -> LabelKind:
        kinds: tuple[LabelKind, ...] = ("fer", "ferplus")
        for kind in kinds:
            if self._labels in ("auto", kind) and set(spec.labels) == set(fer_labels(kind)):
                return kind
        wanted = "FER2013" if self._labels == "auto" else f"FER2013 ({self._labels})"
        raise UsageError(f"the model's labels ({', '.join(spec.labels)}) are not those of {wanted}")

    def _refuse_kind(self) -> None:
        if self._labels != "auto":
            raise UsageError(f"--labels chooses among FER2013's, which {self._data} is not")

    def _from_npz(self, spec: ModelSpec) -> Evaluation:
        arrays = _arrays(self._data)
        if "images" in arrays and not NAMED & arrays.keys():
            kind = self._kind(spec)
            faces, scores = _fer2013(self._data, arrays, spec, kind)
            kept = faces.take(np.flatnonzero(scores))
            return Evaluation(kept, f"{self._data.name} ({kind})", np.zeros(len(kept), bool), None)
        self._refuse_kind()
        if "pixels" in arrays:
            return _run_evaluation(self._data, arrays, spec)
        return load_evaluation(self._data, spec)

    def _compared(self, trial: Evaluation, spec: ModelSpec) -> Evaluation:
        """Look for copies in the training faces that were given, or that lie beside an .npz."""
        training = self._training
        beside = self._data.parent / TRAINING
        if training is None and self._data.suffix == ".npz" and beside.is_file():
            training = beside if beside != self._data else None
        if training is None:
            return trial
        if training.is_file():
            arrays = _arrays(training)
            known = _prepared(training, arrays, spec)
        else:
            require_folder(training)
            known = load_tree(training, training, spec)
        seen = trial.seen | copies(trial.faces, [known])
        return replace(trial, seen=seen, looked_in=training.name)


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
    rows = arrays.get("row", np.arange(len(images)))
    names = tuple(f"{path.stem}:{row}" for row in rows)
    return Faces(pixels, np.zeros((len(images), len(spec.labels)), np.float32), names)


def _run_evaluation(path: Path, arrays: Mapping[str, NDArray[Any]], spec: ModelSpec) -> Evaluation:
    pixels, truth = arrays.get("pixels"), arrays.get("truth")
    if pixels is None or pixels.dtype != np.uint8 or pixels.shape[1:] != spec.input_shape[1:]:
        raise DataError(f"{path} holds no `pixels` uint8[N,{spec.height},{spec.width},...]")
    if not len(pixels):
        raise DataError(f"{path} holds no face that scores")
    if truth is None or not _are_classes(truth, len(pixels), len(spec.labels)):
        raise DataError(f"{path} is not labelled: it holds no `truth` that fits its faces")
    names = arrays.get("names", np.arange(len(pixels)))
    targets = one_hot(truth.astype(np.int64), len(spec.labels))
    faces = Faces(pixels, targets, tuple(map(str, names)))
    origin = f"{arrays['split']} split" if "split" in arrays else path.name
    return Evaluation(faces, origin, np.zeros(len(faces), bool), _searched_by_run(path, spec))


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
