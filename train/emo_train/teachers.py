"""Teachers: what finished runs answer to the training faces, kept as one file.

A logits file is an .npz: `logits` float16[N,n] of the training faces as they are (no augmentation),
`labels`, the identity of the faces (`rows`, `pixels`, `shape`) and `sources`, the runs averaged;
with them, or not, `features` float16[N,k], what the last layer of the one run was given.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from emo_edge.artifacts import atomic_path, sha256
from emo_edge.contract import Image
from emo_edge.errors import DataError
from emo_edge.faces import UNREADABLE, Faces
from emo_edge.messages import say
from emo_edge.runfolder import MODEL, SPEC
from emo_edge.spec import ModelSpec
from emo_train.distillation import Features, Logits
from emo_train.loading import finished_config, load_dataset, load_model


@dataclass(frozen=True)
class Identity:
    """Which faces a file's rows are.

    Attributes:
        rows: SHA-256 of the names and classes, in order.
        pixels: SHA-256 of the prepared pixels.
        shape: Of one prepared face. Teachers may see larger or coloured faces: only equal shapes
            must have equal pixels.
    """

    rows: str
    pixels: str
    shape: tuple[int, ...]

    @classmethod
    def of(cls, faces: Faces) -> Identity:
        """Return the identity of a training split."""
        # A name need not be UTF-8.
        names = "\n".join(faces.names).encode(errors="surrogateescape")
        rows = names + np.ascontiguousarray(faces.truth).tobytes()
        return cls(sha256(rows), sha256(faces.pixels.tobytes()), faces.pixels.shape[1:])

    def fits(self, other: Identity) -> bool:
        """Whether both are the same faces in the same order."""
        same = self.shape != other.shape or self.pixels == other.pixels
        return self.rows == other.rows and same


@dataclass(frozen=True)
class Teacher:
    """Averaged logits float32[N,n] of the training faces, and the names of the runs they are of.

    One of them may bring its features float32[N,k], too.
    """

    logits: Logits
    labels: tuple[str, ...]
    identity: Identity
    sources: tuple[str, ...]
    features: Features | None = None

    def require(self, labels: tuple[str, ...], faces: Faces, name: Path) -> None:
        """Raise `DataError` unless this teacher answered these very training faces."""
        if self.labels != labels:
            theirs, ours = ", ".join(self.labels), ", ".join(labels)
            raise DataError(f"teacher {name} knows the classes {theirs}; this run has {ours}")
        if len(self.logits) != len(faces) or not self.identity.fits(Identity.of(faces)):
            raise DataError(
                f"teacher {name} was made with other training faces than this run's; make it with "
                "the same --data, --labels and --seed"
            )

    def rounded(self) -> Teacher:
        """Return this teacher as it is read back: a resumed run learns from the same."""
        features = None if self.features is None else _rounded(self.features)
        return replace(self, logits=_rounded(self.logits), features=features)

    def for_weight(self, feature_weight: float) -> Teacher:
        """Return what is learned from this teacher; raises `DataError` if features are missing."""
        if not feature_weight:
            return replace(self, features=None)
        if self.features is None:
            raise DataError(
                f"--feature-weight {feature_weight:g}: no teacher brings features; make a file of "
                "them with emo-train logits RUN --features"
            )
        return self

    def save(self, path: Path) -> None:
        """Write the logits file, whole or not at all."""
        features = {} if self.features is None else {"features": self.features.astype(np.float16)}
        with atomic_path(path) as temporary:
            np.savez_compressed(
                temporary,
                **features,
                logits=self.logits.astype(np.float16),
                labels=np.array(self.labels),
                rows=self.identity.rows,
                pixels=self.identity.pixels,
                shape=np.array(self.identity.shape),
                sources=np.array(self.sources),
            )


def read_teacher(path: Path) -> Teacher:
    """Read a logits file; raises `DataError` for anything else."""
    try:
        with np.load(path) as file:
            return Teacher(
                file["logits"].astype(np.float32),
                tuple(map(str, file["labels"])),
                Identity(str(file["rows"]), str(file["pixels"]), tuple(map(int, file["shape"]))),
                tuple(map(str, file["sources"])),
                file["features"].astype(np.float32) if "features" in file else None,
            )
    except UNREADABLE as error:
        raise DataError(
            f"teacher {path} is neither a finished run nor a file of emo-train logits: {error}"
        ) from error


def _rounded(values: NDArray[np.float32]) -> NDArray[np.float32]:
    return values.astype(np.float16).astype(np.float32)


def ask(model: Any, pixels: Image, *, flip: bool, features: bool) -> tuple[Logits, Features | None]:
    """Return what a model answers to faces uint8[N,H,W,C], and what its last layer was given.

    Args:
        model: To ask.
        pixels: The faces.
        flip: Average with the answers to the mirrored faces.
        features: Whether they are wanted.

    Raises `DataError` for features of a net whose last layer does not stand in one row with others.
    """
    from emo_train.trainer import logits_of

    asked = _with_features(model) if features else model
    answers = logits_of(asked, pixels)
    if flip:
        answers = (answers + logits_of(asked, pixels[:, :, ::-1])) / 2
    classes = model.output_shape[-1]
    return answers[:, :classes], answers[:, classes:] if features else None


def _with_features(model: Any) -> Any:
    """Return the model with features [?,k] behind its logits, as a student tells them."""
    import keras

    from emo_train.models.cost import flat_layers

    head = [layer for layer in flat_layers(model) if layer.weights][-1]
    try:
        both = keras.layers.Concatenate()([model.output, head.input])
        return keras.Model(model.inputs, both)
    except (AttributeError, ValueError) as error:
        raise DataError(
            f"what the last layer of this net is given is out of reach: {error}"
        ) from error


def ask_run(
    run: Path, data: Path | None = None, *, flip: bool = True, features: bool = False
) -> Teacher:
    """Return what a finished run answers to its own training faces.

    Its logits are divided by its temperature, so that an overconfident teacher of an ensemble does
    not drown the others.

    Args:
        run: The run folder.
        data: Where its data is now, if it has moved.
        flip: Average with the answer to the mirrored face.
        features: Keep what the last layer is given, too.

    Raises `DataError` for what is no finished run, or for other faces than it learned from.
    """
    config = finished_config(run)
    dataset = load_dataset({**config, "data": str(data)} if data else config)
    if dataset.fingerprint() != config["fingerprint"]:
        raise DataError(
            f"the pictures in {data or config['data']} are not those that {run} learned from: it "
            "may know faces that are to score its student"
        )
    spec = ModelSpec.from_json((run / SPEC).read_bytes())
    model = load_model(run / MODEL)
    faces = dataset.splits["train"]
    say(f"asking {run} about {len(faces)} training faces")
    logits, given = ask(model, faces.pixels, flip=flip, features=features)
    identity, name = Identity.of(faces), run.resolve().name
    return Teacher(logits / spec.temperature, spec.labels, identity, (name,), given)


def averaged(teachers: Sequence[tuple[Path, Teacher]]) -> Teacher:
    """Return the ensemble: the mean of the logits, the geometric mean of the probabilities.

    Hinton et al. 2015, section 1, allow either mean. Features are those of the one that has them.
    Raises `DataError` if they answered different faces, or if several have features.
    """
    _, first = teachers[0]
    for name, other in teachers[1:]:
        if other.labels != first.labels or not other.identity.fits(first.identity):
            raise DataError(f"teachers {teachers[0][0]} and {name} answered different faces")
    logits = np.mean([teacher.logits for _, teacher in teachers], axis=0)
    sources = tuple(source for _, teacher in teachers for source in teacher.sources)
    given = [teacher.features for _, teacher in teachers if teacher.features is not None]
    if len(given) > 1:
        raise DataError("several teachers bring features, which only their own last layers know")
    return Teacher(logits, first.labels, first.identity, sources, given[0] if given else None)


def open_teacher(path: Path) -> Teacher:
    """Return the teacher of a run folder or a logits file."""
    return ask_run(path) if path.is_dir() else read_teacher(path)


def ensemble(paths: Sequence[Path], labels: tuple[str, ...], faces: Faces) -> Teacher | None:
    """Return the average of teachers for these training faces; None where there are none.

    Raises `DataError` for one that is no teacher of these faces.
    """
    teachers = [(path, open_teacher(path)) for path in paths]
    for path, teacher in teachers:
        teacher.require(labels, faces, path)
    return averaged(teachers) if teachers else None
