from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from emo_edge.errors import DataError
from emo_edge.spec import ModelSpec
from emo_train.data import Dataset, load_evaluation, open_layout, prepare_splits
from emo_train.data.fer2013 import FERPLUS_LABELS, LabelKind, fer_labels, ferplus_targets
from emo_train.synthetic import draw_identity, face_crop

VOTES_HEADER = (
    "Usage,Image name,neutral,happiness,surprise,sadness,anger,disgust,fear,contempt,unknown,NF"
)
HAPPY, SAD, NEUTRAL = 3, 4, 6  # FER2013's numbers
VOTED_HAPPY = (0, 9, 0, 0, 1, 0, 0, 0, 0, 0)
VOTED_SPLIT = (5, 5, 0, 0, 0, 0, 0, 0, 0, 0)
VOTED_NO_FACE = (0, 2, 0, 0, 0, 0, 0, 0, 0, 8)

# emotion, usage, votes
ROWS = (
    (HAPPY, "Training", VOTED_HAPPY),
    (SAD, "Training", VOTED_SPLIT),
    (NEUTRAL, "Training", VOTED_NO_FACE),
    (HAPPY, "PublicTest", VOTED_HAPPY),
    (SAD, "PublicTest", VOTED_SPLIT),
    (HAPPY, "PrivateTest", VOTED_SPLIT),
    (SAD, "PrivateTest", VOTED_HAPPY),
)


def face(seed: int) -> str:
    rng = np.random.default_rng(seed)
    return " ".join(map(str, face_crop(draw_identity(rng), "happy", rng)[:, :, 0].ravel()))


def write_csv(root: Path, rows: Sequence[str]) -> Path:
    (root / "fer2013.csv").write_text("\n".join(("emotion,pixels,Usage", *rows)) + "\n")
    return root


def write_votes(root: Path, rows: Sequence[str]) -> Path:
    (root / "fer2013new.csv").write_text("\n".join((VOTES_HEADER, *rows)) + "\n")
    return root


@pytest.fixture
def fer(tmp_path: Path) -> Path:
    write_csv(tmp_path, [f"{emotion},{face(i)},{use}" for i, (emotion, use, _) in enumerate(ROWS)])
    return write_votes(
        tmp_path,
        [f"{use},fer{i:07d}.png,{','.join(map(str, v))}" for i, (_, use, v) in enumerate(ROWS)],
    )


def spec_of(kind: LabelKind) -> ModelSpec:
    return ModelSpec(fer_labels(kind), 48, 48)


def load(root: Path, kind: LabelKind) -> Dataset:
    return prepare_splits(open_layout(root, kind), spec_of(kind), seed=0)


# votes: neutral happiness surprise sadness anger disgust fear contempt | unknown no-face
@pytest.mark.parametrize(
    ("votes", "shares", "trains", "scores"),
    [
        ((10, 0, 0, 0, 0, 0, 0, 0, 0, 0), {"neutral": 1.0}, True, True),
        ((5, 4, 1, 0, 0, 0, 0, 0, 0, 0), {"neutral": 5 / 9, "happy": 4 / 9}, True, True),
        ((5, 5, 0, 0, 0, 0, 0, 0, 0, 0), {"neutral": 0.5, "happy": 0.5}, True, False),
        ((5, 4, 0, 0, 0, 0, 0, 0, 1, 0), {"neutral": 5 / 9, "happy": 4 / 9}, True, True),
        ((0, 0, 3, 3, 3, 0, 0, 0, 0, 1), dict.fromkeys(FERPLUS_LABELS[2:5], 1 / 3), True, False),
        ((0, 0, 0, 0, 0, 6, 0, 0, 4, 0), {"disgust": 1.0}, True, True),
        ((0, 0, 0, 0, 0, 0, 4, 2, 3, 0), {"fear": 2 / 3, "contempt": 1 / 3}, True, False),
        ((0, 0, 0, 0, 4, 0, 0, 0, 6, 0), {"angry": 1.0}, False, False),
        ((0, 0, 0, 0, 5, 0, 0, 0, 0, 5), {"angry": 1.0}, False, False),
        ((0, 0, 0, 0, 0, 0, 0, 0, 0, 10), {}, False, False),
        ((1, 1, 1, 1, 1, 1, 1, 1, 1, 1), {}, False, False),
    ],
)
def test_votes_become_targets_by_the_ferplus_protocol(
    votes: tuple[int, ...], shares: dict[str, float], trains: bool, scores: bool
) -> None:
    targets, may_train, may_score = ferplus_targets(np.array([votes]))
    np.testing.assert_allclose(targets[0], [shares.get(n, 0) for n in FERPLUS_LABELS], rtol=1e-6)
    assert (may_train[0], may_score[0]) == (trains, scores)


@given(arrays(np.int64, (5, 10), elements=st.integers(0, 10)))
def test_whatever_the_votes_a_row_that_scores_trains_and_its_targets_sum_to_one(
    votes: np.ndarray,
) -> None:
    targets, trains, scores = ferplus_targets(votes)
    assert not (scores & ~trains).any()
    np.testing.assert_allclose(targets[trains].sum(axis=1), 1, rtol=1e-6)
    assert (targets[scores].max(axis=1) > 0.5).all()


@pytest.mark.parametrize(
    ("kind", "rows"),
    [
        ("fer", {"train": [0, 1, 2], "validation": [3, 4], "test": [5, 6]}),
        ("ferplus", {"train": [0, 1], "validation": [3], "test": [6]}),
        ("ferplus-soft", {"train": [0, 1], "validation": [3], "test": [6]}),
    ],
)
def test_each_usage_becomes_its_split(
    fer: Path, kind: LabelKind, rows: dict[str, list[int]]
) -> None:
    dataset = load(fer, kind)
    named = {split: [f"fer2013.csv:{row}" for row in chosen] for split, chosen in rows.items()}
    assert {split: list(faces.names) for split, faces in dataset.splits.items()} == named
    assert dataset.notes["fer2013_labels"] == kind


def test_fer_labels_are_those_of_the_emotion_column(fer: Path) -> None:
    splits = load(fer, "fer").splits
    assert [fer_labels("fer")[i] for i in splits["train"].truth] == ["happy", "sad", "neutral"]


def test_soft_labels_keep_the_shares_and_hard_ones_do_not(fer: Path) -> None:
    soft = load(fer, "ferplus-soft").splits["train"]
    hard = load(fer, "ferplus").splits["train"]
    np.testing.assert_allclose(soft.targets[1, :2], [0.5, 0.5])
    assert set(np.unique(hard.targets)) == {0.0, 1.0}
    np.testing.assert_array_equal(hard.targets.sum(axis=1), 1)


def test_the_pixels_are_those_of_the_csv(fer: Path) -> None:
    splits = load(fer, "fer").splits
    expected = np.array(face(5).split(), int).reshape(48, 48, 1)
    np.testing.assert_array_equal(splits["test"].pixels[0], expected)


@pytest.mark.parametrize(
    ("kind", "usage", "faces"), [("fer", "PrivateTest", 2), ("ferplus", "PrivateTest", 1)]
)
def test_private_test_scores_a_finished_model(
    fer: Path, kind: LabelKind, usage: str, faces: int
) -> None:
    scored = load_evaluation(fer, spec_of(kind))
    assert (len(scored.faces), scored.origin) == (faces, f"FER2013 {usage} ({kind})")


def test_public_test_scores_where_private_test_is_absent(tmp_path: Path) -> None:
    rows = [f"3,{face(0)},Training", f"4,{face(1)},PublicTest", f"4,{face(0)},PublicTest"]
    write_csv(tmp_path, rows)
    scored = load_evaluation(tmp_path, spec_of("fer"))
    assert scored.origin == "FER2013 PublicTest (fer)"
    assert scored.seen.tolist() == [False, True]


def test_a_csv_without_rows_that_score_cannot_score(tmp_path: Path) -> None:
    write_csv(tmp_path, [f"3,{face(0)},Training"])
    with pytest.raises(DataError, match="no row whose Usage is PrivateTest or PublicTest"):
        load_evaluation(tmp_path, spec_of("fer"))


GOOD = face(0)


@pytest.mark.parametrize(
    "row",
    [
        f"happy,{GOOD},Training",
        f"7,{GOOD},Training",
        f"-1,{GOOD},Training",
        "3,1 2 3,Training",
        f"3,{GOOD} 4,Training",
        f"3,{GOOD.rsplit(' ', 1)[0]} x,Training",
        f"3,{GOOD.rsplit(' ', 1)[0]} 256,Training",
        f"3,{GOOD.rsplit(' ', 1)[0]} -1,Training",
        "3",
        "3,,Training",
    ],
    ids=lambda row: f"{row[:8]}...{row[-14:]}",
)
def test_a_bad_row_is_refused_with_its_line(tmp_path: Path, row: str) -> None:
    write_csv(tmp_path, [f"3,{GOOD},Training", row])
    with pytest.raises(DataError, match=r"fer2013\.csv line 3 is not a FER2013 row"):
        load(tmp_path, "fer")


def without_usage_column(root: Path) -> None:
    (root / "fer2013.csv").write_text(f"emotion,pixels\n3,{GOOD}\n")


def not_text(root: Path) -> None:
    (root / "fer2013.csv").write_bytes(b"emotion,pixels,Usage\n3,\xff\xfe,Training\n")


def one_endless_cell(root: Path) -> None:
    write_csv(root, [f"3,{'1' * 200_000},Training"])


def only_a_header(root: Path) -> None:
    write_csv(root, [])


def no_training_rows(root: Path) -> None:
    write_csv(root, [f"3,{GOOD},PublicTest"])


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (without_usage_column, "lacks the columns Usage"),
        (not_text, "cannot read"),
        (one_endless_cell, "fer2013.csv"),
        (only_a_header, "holds no rows"),
        (no_training_rows, "no usable row whose Usage is Training"),
    ],
)
def test_an_unusable_csv_is_refused(
    tmp_path: Path, spoil: Callable[[Path], None], message: str
) -> None:
    spoil(tmp_path)
    with pytest.raises(DataError, match=message):
        load(tmp_path, "fer")


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        (["Training,a.png,9,0,0,0,0,0,0,0,0,0"], "has 1 rows, fer2013.csv has 7"),
        (["Training,a.png,many,0,0,0,0,0,0,0,0,0"] * 7, "a vote that is not a number"),
        (["Training,a.png,9"] * 7, "a vote that is not a number"),
    ],
    ids=["other length", "word", "missing cells"],
)
def test_votes_that_do_not_fit_the_pixels_are_refused(
    fer: Path, rows: list[str], message: str
) -> None:
    write_votes(fer, rows)
    with pytest.raises(DataError, match=message):
        load(fer, "ferplus")


def test_ferplus_without_the_votes_names_the_missing_file(fer: Path) -> None:
    (fer / "fer2013new.csv").unlink()
    with pytest.raises(DataError, match=r"cannot read .*fer2013new\.csv"):
        load(fer, "ferplus")
