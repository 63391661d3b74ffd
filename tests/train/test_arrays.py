from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from emo_edge.errors import DataError, UsageError
from emo_edge.spec import ModelSpec
from emo_train.data import Dataset, load_evaluation, open_layout, prepare_splits
from emo_train.data.fer2013 import FER_LABELS, FERPLUS_LABELS

Arrays = dict[str, NDArray[Any]]


def noise(count: int, *shape: int, seed: int = 0) -> NDArray[np.uint8]:
    return np.random.default_rng(seed).integers(0, 256, (count, *shape), np.uint8)


def write(path: Path, **arrays: Any) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    np.savez(path, **arrays)
    return path


def load(root: Path, kind: str = "auto", colour: str = "grey") -> Dataset:
    layout = open_layout(root, kind)
    spec = ModelSpec(layout.labels, 48, 48, colour=colour)  # type: ignore[arg-type]
    return prepare_splits(layout, spec, seed=0)


def sizes(dataset: Dataset) -> dict[str, int]:
    return {name: len(faces) for name, faces in dataset.splits.items()}


TEN = np.arange(20) % 2


def test_one_file_is_a_tree_that_is_split(tmp_path: Path) -> None:
    file = write(tmp_path / "faces.npz", images=noise(20, 48, 48), labels=TEN)
    for root in (file, tmp_path):
        dataset = load(root)
        assert sizes(dataset) == {"train": 16, "validation": 2, "test": 2}
        assert dataset.labels == ("0", "1")


@pytest.mark.parametrize(
    "names",
    [
        ("x_train", "y_train", "x_test", "y_test"),
        ("X_train", "Y_train", "X_testing", "Y_testing"),
        ("train_images", "train_labels", "test_images", "test_labels"),
    ],
    ids=lambda names: names[0],
)
def test_splits_in_one_file_are_found_by_their_names(
    tmp_path: Path, names: tuple[str, ...]
) -> None:
    arrays = (noise(20, 48, 48), TEN[:, None], noise(6, 48, 48, seed=1), TEN[:6, None])
    write(tmp_path / "faces.npz", **dict(zip(names, arrays, strict=True)))
    assert sizes(load(tmp_path)) == {"train": 18, "validation": 2, "test": 6}


def test_a_folder_holds_a_file_for_each_split(tmp_path: Path) -> None:
    for seed, name in enumerate(("training", "publictest", "privatetest")):
        images = noise(20, 48, 48, seed=seed)
        votes = np.zeros((20, 10), int)
        votes[:, 0], votes[10:, 1] = 4, 6
        write(tmp_path / f"{name}.npz", images=images, labels=TEN, ferplus=votes, row=TEN)
    fer, plus, soft = (load(tmp_path, kind) for kind in ("auto", "ferplus", "ferplus-soft"))
    assert sizes(fer) == sizes(plus) == {"train": 20, "validation": 20, "test": 20}
    assert (fer.labels, plus.labels) == (FER_LABELS, FERPLUS_LABELS)
    assert fer.notes["fer2013_labels"] == "fer"
    np.testing.assert_allclose(plus.splits["train"].targets[10, :2], [0, 1])
    np.testing.assert_allclose(soft.splits["train"].targets[10, :2], [0.4, 0.6])


def test_a_lone_test_file_scores_a_model_with_its_labels(tmp_path: Path) -> None:
    write(tmp_path / "privatetest.npz", images=noise(20, 48, 48), labels=TEN)
    evaluation = load_evaluation(tmp_path, ModelSpec(FER_LABELS, 48, 48))
    assert (len(evaluation.faces), evaluation.origin) == (20, "all pictures")
    with pytest.raises(UsageError, match="are not those of"):
        load_evaluation(tmp_path, ModelSpec(("happy", "sad"), 48, 48))


def test_arrays_without_votes_score_a_model_of_their_classes(tmp_path: Path) -> None:
    names = np.array(FERPLUS_LABELS)
    write(tmp_path / "mine.npz", images=noise(20, 48, 48), labels=TEN, class_names=names)
    evaluation = load_evaluation(tmp_path / "mine.npz", ModelSpec(FERPLUS_LABELS, 48, 48))
    assert len(evaluation.faces) == 20


@pytest.mark.parametrize(
    ("labels", "known"),
    [
        (np.array(["sad", "happy"])[TEN], ("angry", "happy", "sad")),
        (TEN, ("0", "1", "2")),
    ],
    ids=["words", "numbers"],
)
def test_a_file_without_faces_of_a_class_scores_a_model_that_knows_it(
    tmp_path: Path, labels: NDArray[Any], known: tuple[str, ...]
) -> None:
    file = write(tmp_path / "test.npz", images=noise(20, 48, 48), labels=labels)
    faces = load_evaluation(file, ModelSpec(known, 48, 48)).faces
    assert [known[place] for place in faces.truth[:2]] == [str(label) for label in labels[:2]]


PIXELS = noise(20, 48, 48, 3)


def rounded_up() -> NDArray[np.float32]:
    images = (PIXELS / 255).astype(np.float32)
    images[images == 1] = 1.0000002  # as enlarging leaves it
    return images


@pytest.mark.parametrize(
    "images",
    [
        PIXELS,
        PIXELS / 255,
        (PIXELS / 255).astype(np.float32),
        PIXELS.astype(np.int64),
        rounded_up(),
    ],
    ids=["bytes", "doubles to 1", "floats to 1", "integers", "floats to a hair above 1"],
)
def test_pixels_are_read_whatever_their_type(tmp_path: Path, images: NDArray[Any]) -> None:
    write(tmp_path / "faces.npz", images=images, labels=TEN)
    for faces in load(tmp_path, colour="rgb").splits.values():
        for pixels, name in zip(faces.pixels, faces.names, strict=True):
            np.testing.assert_array_equal(pixels, PIXELS[int(name.split(":")[-1])])


@pytest.mark.parametrize(
    ("labels", "extra", "expected"),
    [
        (TEN, {"class_names": np.array(["sad", "happy"])}, ("sad", "happy")),
        (np.array(["sad", "happy"])[TEN], {}, ("happy", "sad")),
        (np.eye(2)[TEN], {}, ("0", "1")),
        (TEN.astype(float), {}, ("0", "1")),
        (TEN, {"class_names": np.array([b"sad", b"happy"])}, ("sad", "happy")),
    ],
    ids=["names in the file", "words", "one-hot", "floats", "names of bytes"],
)
def test_labels_are_read_whatever_their_form(
    tmp_path: Path, labels: NDArray[Any], extra: Arrays, expected: tuple[str, ...]
) -> None:
    write(tmp_path / "faces.npz", images=noise(20, 48, 48), labels=labels, **extra)
    dataset = load(tmp_path)
    assert dataset.labels == expected
    first = labels[0] if labels.dtype.kind == "U" else expected[0]
    faces = dataset.splits["train"]
    row = next(i for i, name in enumerate(faces.names) if int(name.split(":")[-1]) % 2 == 0)
    assert expected[faces.truth[row]] == first


def test_labels_txt_names_the_classes(tmp_path: Path) -> None:
    write(tmp_path / "faces.npz", images=noise(20, 48, 48), labels=TEN)
    (tmp_path / "labels.txt").write_bytes(b"\xef\xbb\xbfhappy\r\n\nsad\n")  # as Windows writes it
    assert load(tmp_path).labels == ("happy", "sad")
    (tmp_path / "labels.txt").write_bytes("fr\u00f6hlich\ntraurig".encode("latin-1"))
    with pytest.raises(DataError, match="cannot read labels"):
        load(tmp_path)


def broken(root: Path) -> None:
    write(root / "a.npz", images=noise(4, 48, 48), labels=TEN[:4])
    (root / "a.npz").write_bytes((root / "a.npz").read_bytes()[:3000])


def no_zip(root: Path) -> None:
    root.mkdir()
    (root / "a.npz").write_bytes(b"no zip")


def arrays(**contents: Any) -> Callable[[Path], object]:
    return lambda root: write(root / "a.npz", **contents)


def two_of_a_split(root: Path) -> None:
    for name in ("train", "training"):
        write(root / f"{name}.npz", images=noise(4, 48, 48), labels=TEN[:4])


def nameless_files(root: Path) -> None:
    for name in ("a", "b"):
        write(root / f"{name}.npz", images=noise(4, 48, 48), labels=TEN[:4])


FACES = noise(4, 48, 48)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (broken, r"a\.npz"),
        (no_zip, r"a\.npz"),
        (arrays(faces=FACES), "holds faces; expected images and labels"),
        (arrays(images=FACES, labels=TEN[:3]), "4 images, 3 labels"),
        (arrays(images=FACES[:, :, 0], labels=TEN[:4]), "have the shape"),
        (arrays(images=noise(4, 3, 48, 48), labels=TEN[:4]), "have the shape"),
        (arrays(images=FACES / 255 - 0.5, labels=TEN[:4]), "not 0 to 1 or 0 to 255"),
        (arrays(images=FACES / 150, labels=TEN[:4]), "not 0 to 1 or 0 to 255"),
        (arrays(images=FACES, labels=TEN[:4] + 0.5), "whole numbers"),
        (arrays(images=FACES, labels=TEN[:4] * np.nan), "no numbers"),
        (arrays(images=FACES, labels=np.full((4, 2), np.nan)), "no numbers"),
        (arrays(images=FACES, labels=1), "not one an image"),
        (arrays(images=FACES, labels=TEN[:4] * 0), "one class only"),
        (arrays(images=FACES, labels=-TEN[:4]), "one class only"),
        (
            arrays(images=FACES, labels=TEN[:4] + 4, class_names=np.array(["a", "b"])),
            "label 5, but there are 2",
        ),
        (arrays(x_test=FACES, y_test=TEN[:4]), "no training images"),
        (arrays(images=np.array([None] * 4), labels=TEN[:4]), "cannot read"),
        (two_of_a_split, "both hold the train split"),
        (nameless_files, r"name it train\.npz"),
    ],
)
def test_arrays_that_cannot_be_used_are_refused(
    tmp_path: Path, make: Callable[[Path], object], message: str
) -> None:
    make(tmp_path / "data")
    with pytest.raises(DataError, match=message):
        load(tmp_path / "data")


@pytest.mark.parametrize(
    ("votes", "message"),
    [
        (np.zeros((20, 9), np.uint8), r"test\.npz, test: FER\+ votes are uint8\(20, 9\)"),
        (np.zeros((19, 10), np.uint8), r"not whole numbers \(20, 10\)"),
        (np.full((20, 10), 0.5), "are float64"),
        (None, r"test\.npz holds no FER\+ votes .* for test"),
    ],
)
def test_votes_must_be_those_of_the_images_in_every_split(
    tmp_path: Path, votes: NDArray[Any] | None, message: str
) -> None:
    faces = {"images": noise(20, 48, 48), "labels": TEN}
    write(tmp_path / "train.npz", **faces, ferplus=np.full((20, 10), 2))
    write(tmp_path / "test.npz", **faces, **({} if votes is None else {"ferplus": votes}))
    with pytest.raises(DataError, match=message):
        load(tmp_path, "ferplus")


def test_data_that_are_not_there_are_missed_before_their_labels(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="gone does not exist"):
        open_layout(tmp_path / "gone", "ferplus")


def test_votes_that_are_not_there_cannot_label(tmp_path: Path) -> None:
    write(tmp_path / "faces.npz", images=noise(20, 48, 48), labels=TEN)
    with pytest.raises(DataError, match="no FER\\+ votes"):
        load(tmp_path, "ferplus")
