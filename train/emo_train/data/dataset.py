"""`Dataset`: the splits of a run, cleaned, and how they came about."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from emo_edge.errors import DataError
from emo_edge.faces import Faces, stratified
from emo_edge.messages import warn
from emo_edge.spec import ModelSpec
from emo_train.data.layout import SPLITS, Layout
from emo_train.data.reading import Look, compact, read
from emo_train.data.survey import Survey, take_survey

VALIDATION_SHARE = 0.1
LEAST_PICTURES = 2  # of each class, to train


@dataclass(frozen=True)
class Dataset:
    """The splits of a data set; `validation` selects, `test` scores.

    Attributes:
        labels: Class names in the order of the targets.
        splits: "train", "validation" and, if there is one, "test".
        notes: What was found and done, for the run's records.
        survey: The pictures as they lay there; None for splits made otherwise.
    """

    labels: tuple[str, ...]
    splits: Mapping[str, Faces]
    notes: Mapping[str, object] = field(default_factory=dict)
    survey: Survey | None = None

    @property
    def evaluation(self) -> str:
        """Name of the split that scores: "test" where there is one."""
        return "test" if "test" in self.splits else "validation"

    def fingerprint(self, *, held_out: bool = False) -> str:
        """Return the SHA-256 over all pixels and targets, or over those that no training sees."""
        digest = hashlib.sha256()
        for name, faces in sorted(self.splits.items()):
            if held_out and name == "train":
                continue
            digest.update(name.encode())
            digest.update(np.ascontiguousarray(faces.pixels).data)
            digest.update(np.ascontiguousarray(faces.targets).data)
        return digest.hexdigest()


def prepare_splits(
    layout: Layout, spec: ModelSpec, seed: int, *, keep_duplicates: bool = False
) -> Dataset:
    """Read a layout and clean it.

    Blank pictures leave training. Where there is no validation split, a tenth of training becomes
    one, stratified and seeded; of a whole tree, another tenth scores. Pictures that are in training
    too leave the evaluation splits, those of validation leave the test split.

    Args:
        layout: The pictures.
        spec: Their contract.
        seed: Of the splits.
        keep_duplicates: Leave copies where they are.

    Returns:
        The data set with its survey.

    Raises `DataError` for a class with too few pictures or a split that ends empty.
    """
    faces, looks = {}, {}
    for name in (name for name in SPLITS if name in layout.parts):
        faces[name], looks[name] = read(layout.parts[name], spec)
        if not len(faces[name]):
            raise DataError(f"the {name} split holds no readable picture")
    splits = _Splits(faces, looks)
    notes: dict[str, object] = {**layout.notes}
    notes["unreadable_skipped"] = sum(len(seen.unreadable) for seen in looks.values())
    notes["blank_removed"] = splits.drop_blank()
    if layout.whole:
        splits.require_classes(layout, least=3)
        splits.carve("test", seed)
    splits.require_classes(layout, LEAST_PICTURES)
    if "validation" not in splits.rows:
        splits.carve("validation", seed)
        notes["validation"] = f"{VALIDATION_SHARE:.0%} of training, stratified, seed {seed}"
    notes["duplicates_kept" if keep_duplicates else "duplicates_removed"] = {
        name: splits.count_known(name, earlier, drop=not keep_duplicates)
        for name, earlier in (("validation", ["train"]), ("test", ["train", "validation"]))
        if name in splits.rows
    }
    return Dataset(layout.labels, splits.finish(), notes, take_survey(layout, looks))


class _Splits:
    """Which rows of which part each split has; pixels move once, at the end."""

    def __init__(self, faces: Mapping[str, Faces], looks: Mapping[str, Look]) -> None:
        self._faces, self._looks = faces, looks
        self._digests = {name: seen.digests for name, seen in looks.items()}
        self._source = {name: name for name in faces}
        self.rows: dict[str, NDArray[np.int64]] = {
            name: np.arange(len(part)) for name, part in faces.items()
        }

    def _truth(self, name: str) -> NDArray[np.int64]:
        return np.take(self._looks[self._source[name]].truth, self.rows[name])

    def _known(self, name: str) -> NDArray[np.bytes_]:
        return np.take(self._digests[self._source[name]], self.rows[name])

    def drop_blank(self) -> int:
        """Drop training pictures of one single colour: they teach only their label."""
        blank = np.array([fact.blank for fact in self._looks["train"].facts], bool)
        self.rows["train"] = np.flatnonzero(~blank)
        return int(blank.sum())

    def require_classes(self, layout: Layout, least: int) -> None:
        """Raise `DataError` for a class that is too rare; where the labels are given, warn."""
        counts = np.bincount(self._truth("train"), minlength=len(layout.labels))
        if counts.min() >= least:
            return
        few = layout.labels[int(counts.argmin())]
        found = f"class {few} has {counts.min()} usable training picture(s)"
        if not layout.labels_given:
            raise DataError(f"{found}; at least {least} are needed")
        warn(f"{found}: it will not be learnt")

    def carve(self, name: str, seed: int) -> None:
        """Split a share of training off, at least one picture of each class on either side."""
        rows = self.rows["train"]
        share = max(1, round(VALIDATION_SHARE * len(rows)))
        chosen = stratified(self._truth("train"), share, seed)
        self._source[name], self.rows[name] = "train", rows[chosen]
        self.rows["train"] = np.delete(rows, chosen)

    def count_known(self, name: str, earlier: list[str], *, drop: bool) -> int:
        """Return how many pictures are in earlier splits too; they score memory, not skill."""
        known = np.isin(self._known(name), np.concatenate([self._known(e) for e in earlier]))
        if drop:
            self.rows[name] = self.rows[name][~known]
        return int(known.sum())

    def finish(self) -> dict[str, Faces]:
        """Return the faces of each split; carved ones are copied out, the rest stays in place."""
        for name, rows in self.rows.items():
            if not len(rows):
                raise DataError(f"the {name} split is empty after blanks and duplicates left")
        carved = {
            name: self._faces[source].take(self.rows[name])
            for name, source in self._source.items()
            if name != source
        }
        kept = {name: compact(faces, self.rows[name]) for name, faces in self._faces.items()}
        return {name: {**kept, **carved}[name] for name in SPLITS if name in self.rows}
