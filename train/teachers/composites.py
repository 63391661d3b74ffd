"""New faces for a student: pairs of training faces, put together, and what a teacher says of them.

A student that learns what its teacher answers to the faces that both know sees little of what the
teacher knows beyond them (Beyer et al. 2022, "Knowledge distillation: A good teacher is patient and
consistent"). Two faces blended (mixup, Zhang et al. 2018), the brows of one above the mouth of
another, one side beside another: nobody voted on these, but a teacher can.

    python composites.py teachers/vggface2 FER2013_FOLDER composites/ --count 85000
    emo-train --data composites/ --labels ferplus-soft ...

The folder holds the training faces, each with half votes, half answers, the composites, and the
validation faces as they are. An answer is written as FER+ votes are: as that of a jury of 250.

`--features FILE` keeps what the last layer of the teacher was given, too (2 kB a face and 1024
features); the answers are in the labels already:

    emo-train --data composites/ --labels ferplus-soft --teacher FILE --teacher-weight 0 \
        --feature-weight 1 ...
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer
from numpy.typing import NDArray

from emo_edge.artifacts import atomic_path, require_writable
from emo_edge.commands import errors_as_lines
from emo_edge.contract import Image, probabilities
from emo_edge.errors import DataError, UsageError
from emo_edge.faces import Faces
from emo_edge.messages import say
from emo_edge.runfolder import MODEL, SPEC
from emo_edge.spec import ModelSpec
from emo_train.data import open_layout, prepare_splits
from emo_train.data.fer2013 import FERPLUS_LABELS, VOTE_COLUMNS
from emo_train.loading import load_model
from emo_train.teachers import Identity, Teacher, ask

JURY = 250
SEAM = (0.4, 0.6)  # where two parts meet, as fractions of the side
SOFTNESS = 1 / 48  # of the seam, likewise

Array = NDArray[np.float32]
Places = NDArray[np.int64]
Mask = Callable[[int, np.random.Generator], Array]


def _blend(side: int, rng: np.random.Generator) -> Array:
    return np.full((side, side, 1), rng.uniform(0.2, 0.8), np.float32)


def _halves(side: int, rng: np.random.Generator) -> Array:
    place = (np.arange(side) + 0.5) / side
    ramp = 1 / (1 + np.exp((place - rng.uniform(*SEAM)) / SOFTNESS))
    return np.repeat(ramp[:, None, None], side, axis=1).astype(np.float32)


def _sides(side: int, rng: np.random.Generator) -> Array:
    return _halves(side, rng).transpose(1, 0, 2)


MASKS: tuple[Mask, ...] = (_blend, _halves, _sides)


def drawn_pairs(
    truth: Places, count: int, rng: np.random.Generator, *, balanced: bool = False
) -> Places:
    """Return `count` pairs of faces [count,2] as their places.

    Args:
        truth: The class of each face, int64[N].
        count: Of the pairs.
        rng: Of the draws.
        balanced: Draw classes by the square roots of their shares (Mahajan et al. 2018, "Exploring
            the Limits of Weakly Supervised Pretraining", section 2.2): rare ones more often.
    """
    if not balanced:
        return rng.integers(0, len(truth), (count, 2))
    chance = 1 / np.sqrt(np.bincount(truth)[truth])
    return rng.choice(len(truth), (count, 2), p=chance / chance.sum())


def composites(faces: Image, pairs: Places, rng: np.random.Generator) -> Image:
    """Return faces uint8[count,S,S,C], each of a pair [count,2] of `faces` uint8[N,S,S,C].

    The second is mirrored half of the time and brought to the mean brightness of the first.
    """
    made = np.empty((len(pairs), *faces.shape[1:]), np.uint8)
    for place, (one, other) in enumerate(pairs):
        first, second = faces[one].astype(np.float32), faces[other].astype(np.float32)
        second = second[:, ::-1] if rng.random() < 0.5 else second
        second = second - second.mean() + first.mean()
        share = MASKS[rng.integers(len(MASKS))](len(first), rng)
        made[place] = np.clip(np.rint(share * first + (1 - share) * second), 0, 255)
    return made


def votes(shares: NDArray[Any]) -> NDArray[np.uint8]:
    """Return shares of the classes [N,8] as the votes of a jury [N,10]."""
    ballots = np.zeros((len(shares), len(VOTE_COLUMNS)), np.uint8)
    ballots[:, : shares.shape[1]] = np.rint(shares * JURY)
    return ballots


def _write(path: Path, faces: Image, shares: NDArray[Any], **more: str) -> None:
    ballots, labels = votes(shares), shares.argmax(axis=1)
    with atomic_path(path) as temporary:
        np.savez(temporary, images=faces, labels=labels, ferplus=ballots, **more)


def _note(faces: int, count: int, teacher: Path) -> str:
    """Say on the cards of students what their faces are, and whose knowledge is in the labels."""
    return (
        f"Of the training faces {count} are composites of two others, which no one voted on: their "
        f"labels are what the teacher `{teacher.resolve().name}` answers. Those of the other "
        f"{faces} are half votes, half its answers."
    )


def _require_place(features: Path, out: Path) -> None:
    if features.suffix != ".npz":
        raise UsageError(f"--features {features}: the name must end in .npz")
    if features.resolve().is_relative_to(out.resolve()):
        raise UsageError(f"--features {features} is inside {out}, where it would be data")
    require_writable(features)


def _spec(run: Path) -> ModelSpec:
    try:
        spec = ModelSpec.from_json((run / SPEC).read_bytes())
    except OSError as error:
        raise DataError(f"{run} is no finished run: {error}") from error
    if spec.labels != FERPLUS_LABELS:
        raise UsageError(f"{run} knows other classes than those of FER+: {', '.join(spec.labels)}")
    return spec


def main(
    teacher: Annotated[Path, typer.Argument(help="A finished run with the classes of FER+.")],
    data: Annotated[Path, typer.Argument(help="FER2013 with the votes: what the teacher learned.")],
    out: Annotated[Path, typer.Argument(help="Folder to write.")],
    count: Annotated[int, typer.Option(min=1, help="Composites to make.")] = 85_000,
    seed: Annotated[int, typer.Option(min=0, help="Of the pairs.")] = 0,
    balanced: Annotated[
        bool, typer.Option("--balanced", help="Pair rare classes more often than they are.")
    ] = False,
    features: Annotated[
        Path | None, typer.Option(help="File for the teacher's features (.npz), not in OUT.")
    ] = None,
) -> None:
    """Write a data set with composites of training faces, labelled by a teacher."""
    with errors_as_lines():
        if out.exists() and (not out.is_dir() or any(out.iterdir())):
            raise UsageError(f"{out} is there already: name a new folder")
        require_writable(out / "train.npz")
        if features is not None:
            _require_place(features, out)
        spec = _spec(teacher)
        model = load_model(teacher / MODEL)
        splits = prepare_splits(open_layout(data, "ferplus-soft"), spec, seed).splits
        train: Faces = splits["train"]
        rng = np.random.default_rng(seed)
        pairs = drawn_pairs(train.truth, count, rng, balanced=balanced)
        new = composites(train.pixels, pairs, rng)
        say(f"asking {teacher} about {len(train)} faces and {count} composites")
        faces = np.concatenate([train.pixels, new])
        logits, given = ask(model, faces, flip=False, features=features is not None)
        shares = probabilities(logits, spec)
        shares[: len(train)] = (train.targets + shares[: len(train)]) / 2
        out.mkdir(parents=True, exist_ok=True)
        _write(out / "val.npz", splits["validation"].pixels, splits["validation"].targets)
        note = _note(len(train), count, teacher)
        _write(out / "train.npz", faces, shares, note=note)
        if features is not None:
            # What a student will find there, in its order.
            seen = prepare_splits(open_layout(out, "ferplus-soft"), spec, seed).splits["train"]
            names = (teacher.resolve().name,)
            kept = Teacher(logits / spec.temperature, spec.labels, Identity.of(seen), names, given)
            kept.save(features)


if __name__ == "__main__":
    typer.run(main)
