from __future__ import annotations

import dataclasses
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from emo_edge.contract import prepare, read_image
from emo_edge.errors import DataError
from emo_edge.faces import stratified
from emo_edge.spec import ModelSpec
from emo_train.data import Dataset, load_evaluation, open_layout, prepare_splits
from running import draw_faces

COUNTS = {"train": 10, "validation": 3, "test": 4}


def spec_for(root: Path, colour: str = "grey") -> ModelSpec:
    return ModelSpec(open_layout(root).labels, 48, 48, colour=colour)


def load(root: Path, seed: int = 0, colour: str = "grey") -> Dataset:
    return prepare_splits(open_layout(root), spec_for(root, colour), seed)


def draw_split(folder: Path, labels: tuple[str, ...], count: int, seed: int) -> None:
    for number, label in enumerate(labels):
        draw_faces(folder / label, count, seed=10 * seed + number)


def draw_tree(root: Path, count: int = 10) -> Path:
    draw_split(root, ("happy", "sad"), count, seed=0)
    return root


def draw_splits(root: Path, *names: str) -> Path:
    for seed, name in enumerate(names):
        draw_split(root / name, ("happy", "sad"), 4, seed)
    return root


@pytest.mark.parametrize("labels", [("happy", "sad"), ("angry", "happy", "sad")])
@pytest.mark.parametrize(
    ("folders", "evaluation"),
    [
        ({"train": "."}, "test"),
        ({"train": "train", "test": "test"}, "test"),
        ({"train": "train", "validation": "val", "test": "test"}, "test"),
        ({"train": "training", "validation": "validation", "test": "testing"}, "test"),
        ({"train": "TRAIN", "validation": "Valid", "test": "Test"}, "test"),
        ({"train": "train", "validation": "val"}, "validation"),
    ],
    ids=lambda value: "-".join(value.values()) if isinstance(value, dict) else None,
)
def test_every_layout_gives_the_splits_it_names(
    tmp_path: Path, folders: dict[str, str], evaluation: str, labels: tuple[str, ...]
) -> None:
    for seed, (split, folder) in enumerate(folders.items()):
        draw_split(tmp_path / folder, labels, COUNTS[split], seed)
    dataset = load(tmp_path)
    expected = {split: COUNTS[split] * len(labels) for split in folders}
    if "validation" not in folders:  # a tenth of training
        expected |= {"train": 9 * len(labels), "validation": len(labels)}
    if "test" not in folders and "validation" not in folders:  # and a tenth that scores
        expected |= {"train": 8 * len(labels), "test": len(labels)}
    assert dataset.labels == labels
    assert {name: len(faces) for name, faces in dataset.splits.items()} == expected
    assert dataset.evaluation == evaluation
    for faces in dataset.splits.values():
        assert [labels[i] for i in faces.truth] == [Path(name).parent.name for name in faces.names]


@pytest.mark.parametrize("colour_pictures", [False, True], ids=["grey pictures", "colour pictures"])
@pytest.mark.parametrize(("colour", "channels"), [("grey", 1), ("rgb", 3)])
def test_training_sees_the_pixels_that_the_device_sees(
    tmp_path: Path, colour: str, channels: int, colour_pictures: bool
) -> None:
    for seed, label in enumerate(("happy", "sad")):
        draw_faces(tmp_path / label, 3, seed=seed, colour=colour_pictures)
    dataset, spec = load(tmp_path, colour=colour), spec_for(tmp_path, colour)
    for faces in dataset.splits.values():
        assert faces.pixels.shape[1:] == (48, 48, channels)
        for pixels, name in zip(faces.pixels, faces.names, strict=True):
            np.testing.assert_array_equal(pixels, prepare(read_image(tmp_path / name), spec)[0])


def test_the_carved_split_is_a_partition_with_every_class_on_both_sides(tmp_path: Path) -> None:
    draw_split(tmp_path, ("rare",), 3, seed=0)
    draw_split(tmp_path, ("common",), 20, seed=1)
    splits = load(tmp_path).splits
    names = [name for faces in splits.values() for name in faces.names]
    assert len(names) == len(set(names)) == 23
    for faces in splits.values():
        assert set(faces.truth) == {0, 1}


def test_the_seed_alone_decides_the_split(tmp_path: Path) -> None:
    draw_tree(tmp_path)
    first, same, other = (load(tmp_path, seed) for seed in (3, 3, 4))
    assert first.splits["validation"].names == same.splits["validation"].names
    assert first.fingerprint() == same.fingerprint()
    assert first.splits["validation"].names != other.splits["validation"].names
    assert first.fingerprint() != other.fingerprint()


@given(
    counts=st.lists(st.integers(1, 60), min_size=1, max_size=5),
    size=st.integers(1, 200),
    seed=st.integers(0, 2**32),
)
def test_a_stratified_sample_keeps_the_proportions_of_the_classes(
    counts: list[int], size: int, seed: int
) -> None:
    truth = np.repeat(np.arange(len(counts)), counts)
    rows = stratified(truth, size, seed)
    np.testing.assert_array_equal(rows, np.unique(rows))
    np.testing.assert_array_equal(rows, stratified(truth, size, seed))
    share = min(1.0, size / len(truth))
    for taken, count in zip(np.bincount(truth[rows], minlength=len(counts)), counts, strict=True):
        assert 1 <= taken <= count
        assert abs(taken - share * count) <= 1


@pytest.mark.parametrize(
    ("source", "copy", "dropped"),
    [
        ("train", "val", {"validation": 1, "test": 0}),
        ("train", "test", {"validation": 0, "test": 1}),
        ("val", "test", {"validation": 0, "test": 1}),
    ],
)
def test_a_duplicate_is_dropped_from_the_split_that_judges(
    tmp_path: Path, source: str, copy: str, dropped: dict[str, int]
) -> None:
    draw_splits(tmp_path, "train", "val", "test")
    picture = next((tmp_path / source / "happy").iterdir())
    shutil.copy(picture, tmp_path / copy / "happy" / "copy.png")
    dataset = load(tmp_path)
    assert dataset.notes["duplicates_removed"] == dropped
    names = {name for faces in dataset.splits.values() for name in faces.names}
    assert f"{copy}/happy/copy.png" not in names
    assert str(picture.relative_to(tmp_path)) in names


def test_duplicates_stay_where_they_are_on_request(tmp_path: Path) -> None:
    draw_splits(tmp_path, "train", "test")
    picture = next((tmp_path / "train" / "happy").iterdir())
    shutil.copy(picture, tmp_path / "test" / "happy" / "copy.png")
    layout = open_layout(tmp_path)
    dataset = prepare_splits(layout, spec_for(tmp_path), seed=0, keep_duplicates=True)
    assert "test/happy/copy.png" in dataset.splits["test"].names
    assert dataset.notes["duplicates_kept"] == {"validation": 0, "test": 1}


@pytest.mark.parametrize("wrapped", ["archive", "images/images"])
def test_folders_that_an_archive_adds_are_looked_through(tmp_path: Path, wrapped: str) -> None:
    draw_splits(tmp_path / wrapped, "train", "test")
    (tmp_path / "__MACOSX" / "train" / "happy").mkdir(parents=True)
    hidden = tmp_path / wrapped / "train" / "happy" / "._a.png"
    hidden.write_bytes(b"resource fork")
    dataset = load(tmp_path)
    assert dataset.labels == ("happy", "sad")
    assert dataset.notes["unreadable_skipped"] == 0
    assert len(dataset.splits["test"]) == 8


def test_a_folder_beside_the_splits_is_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    draw_splits(tmp_path, "train", "test", "extra")
    load(tmp_path)
    assert f"{tmp_path / 'extra'} is no split" in capsys.readouterr().err


def test_a_folder_without_pictures_is_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    draw_tree(tmp_path)
    (tmp_path / "angry").mkdir()
    (tmp_path / "angry" / "a.heic").touch()
    (tmp_path / "happy" / ".ipynb_checkpoints").mkdir()
    (tmp_path / "happy" / ".ipynb_checkpoints" / "a.png").write_bytes(b"a copy")
    dataset = load(tmp_path)
    assert dataset.labels == ("happy", "sad")
    assert dataset.notes["unreadable_skipped"] == 0
    assert f"{tmp_path / 'angry'} holds no picture (.bmp" in capsys.readouterr().err


def test_cleaning_keeps_every_picture_with_its_label(tmp_path: Path) -> None:
    import cv2

    draw_tree(tmp_path, 12)
    for number in range(3):
        blank = np.full((48, 48), number, np.uint8)
        cv2.imwrite(str(tmp_path / "happy" / f"{number:03d}-blank.png"), blank)
    spec = spec_for(tmp_path)
    for faces in load(tmp_path).splits.values():
        for pixels, name, truth in zip(faces.pixels, faces.names, faces.truth, strict=True):
            np.testing.assert_array_equal(pixels, prepare(read_image(tmp_path / name), spec)[0])
            assert spec.labels[truth] == Path(name).parent.name


def test_blank_pictures_do_not_train(tmp_path: Path) -> None:
    import cv2

    draw_splits(tmp_path, "train", "val")
    cv2.imwrite(str(tmp_path / "train" / "sad" / "blank.png"), np.full((48, 48), 77, np.uint8))
    dataset = load(tmp_path)
    assert dataset.notes["blank_removed"] == 1
    assert len(dataset.splits["train"]) == 8


def test_unreadable_pictures_are_named_counted_and_skipped(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    draw_tree(tmp_path)
    broken = [tmp_path / "sad" / f"broken{number}.png" for number in range(7)]
    for path in broken:
        path.write_bytes(b"\x89PNG this is no picture")
    dataset = load(tmp_path)
    said = capsys.readouterr().err
    assert sum(map(len, dataset.splits.values())) == 20
    assert sum(f"sad/{path.name}" in said for path in broken) == 5
    assert "skipped 7 unreadable pictures in all" in said


def absent(root: Path) -> None:
    """Leave it to the test that there is nothing."""


def a_file(root: Path) -> None:
    root.write_text("faces")


def a_lonely_class(root: Path) -> None:
    draw_faces(root / "happy", 4)


def a_single_picture(root: Path) -> None:
    draw_tree(root)
    draw_faces(root / "angry", 1, seed=9)


def an_untrained_class(root: Path) -> None:
    draw_splits(root, "train", "test")
    draw_faces(root / "test" / "angry", 2, seed=9)


def garbage_only(root: Path) -> None:
    for label in ("happy", "sad"):
        (root / label).mkdir(parents=True)
        (root / label / "a.jpg").write_bytes(b"\xff\xd8 no picture")


def a_class_of_garbage(root: Path) -> None:
    draw_splits(root, "train", "val")
    for path in (root / "train" / "sad").iterdir():
        path.write_bytes(b"no picture")


def known_test_pictures(root: Path) -> None:
    draw_splits(root, "train", "val")
    shutil.copytree(root / "train", root / "test")


def a_test_split_beside_classes(root: Path) -> None:
    draw_tree(root)
    draw_splits(root, "test")


def two_training_folders(root: Path) -> None:
    draw_splits(root, "train", "Training", "test")


REFUSALS: list[tuple[Callable[[Path], object], str]] = [
    (absent, "does not exist"),
    (a_file, "is not a folder"),
    (lambda root: root.mkdir(), "holds no class folders with pictures"),
    (a_lonely_class, r"holds one class only \(happy\)"),
    (a_single_picture, r"class angry has 1 usable training picture"),
    (an_untrained_class, "has classes that training lacks: angry"),
    (garbage_only, "holds no readable picture"),
    (a_class_of_garbage, "class sad has 0 usable training picture"),
    (known_test_pictures, "the test split is empty"),
    (a_test_split_beside_classes, "has a test split but no train/"),
    (two_training_folders, "are both the train split"),
]


@pytest.mark.parametrize(("make", "message"), REFUSALS, ids=[words for _, words in REFUSALS])
def test_unusable_data_is_refused_with_the_reason(
    tmp_path: Path, make: Callable[[Path], object], message: str
) -> None:
    root = tmp_path / "data"
    make(root)
    with pytest.raises(DataError, match=message):
        load(root)


@pytest.mark.parametrize(
    ("splits", "scored", "looked_in"),
    [
        (("train", "val", "test"), "test", "the training split of the data"),
        (("train", "val"), "validation", "the training split of the data"),
        (("train",), "all pictures", None),
        (("test",), "test", None),
    ],
)
def test_a_finished_model_is_scored_on_the_most_independent_split(
    tmp_path: Path, splits: tuple[str, ...], scored: str, looked_in: str | None
) -> None:
    draw_splits(tmp_path, *splits)
    evaluation = load_evaluation(tmp_path, ModelSpec(("happy", "sad"), 48, 48))
    assert evaluation.looked_in == looked_in
    assert evaluation.origin.removesuffix(" split") == scored
    assert {Path(face).parts[0] for face in evaluation.faces.names} == {splits[-1]}
    assert len(evaluation.faces) == 8
    assert not evaluation.seen.any()


def test_copies_of_training_faces_are_told_from_the_others(tmp_path: Path) -> None:
    draw_splits(tmp_path, "train", "test")
    copied = sorted((tmp_path / "train" / "sad").iterdir())[:2]
    for number, picture in enumerate(copied):
        shutil.copy(picture, tmp_path / "test" / "sad" / f"copy-{number}.png")
    evaluation = load_evaluation(tmp_path, spec_for(tmp_path))
    names = np.array(evaluation.faces.names)[evaluation.seen]
    assert [Path(name).stem for name in names] == ["copy-0", "copy-1"]


def test_a_tree_that_a_model_was_trained_on_scores_by_its_test_part_alone(tmp_path: Path) -> None:
    dataset = load(draw_tree(tmp_path), seed=3)
    training = {
        "recipe": {"seed": 3},
        "metrics": {"data": {"sha256": dataset.fingerprint()}},
    }
    own = dataclasses.replace(spec_for(tmp_path), training=training)
    assert load_evaluation(tmp_path, own).faces.names == dataset.splits["test"].names
    another = dataclasses.replace(own, training={**training, "recipe": {"seed": 4}})
    assert load_evaluation(tmp_path, another).origin == "all pictures"


def test_copies_that_a_recipe_kept_are_found_again(tmp_path: Path) -> None:
    draw_tree(tmp_path)
    for picture in sorted((tmp_path / "sad").iterdir()):
        shutil.copy(picture, picture.with_stem(f"copy-of-{picture.stem}"))
    spec = spec_for(tmp_path)
    dataset = prepare_splits(open_layout(tmp_path), spec, seed=3, keep_duplicates=True)
    metrics = {"data": {"sha256": dataset.fingerprint()}}
    training = {"recipe": {"seed": 3, "keep_duplicates": True}, "metrics": metrics}
    evaluation = load_evaluation(tmp_path, dataclasses.replace(spec, training=training))
    trained_on = {face.tobytes() for face in dataset.splits["train"].pixels}
    copies = [face.tobytes() in trained_on for face in evaluation.faces.pixels]
    assert any(copies)
    assert evaluation.seen.tolist() == copies
    assert evaluation.looked_in == "the training split of the data"


def test_a_training_folder_alone_scores_by_the_validation_faces_dealt_from_it(
    tmp_path: Path,
) -> None:
    draw_splits(tmp_path, "train")
    dataset = load(tmp_path, seed=3)
    metrics = {"data": {"sha256": dataset.fingerprint()}}
    training = {"recipe": {"seed": 3}, "metrics": metrics}
    own = dataclasses.replace(spec_for(tmp_path), training=training)
    evaluation = load_evaluation(tmp_path, own)
    assert evaluation.faces.names == dataset.splits["validation"].names
    assert evaluation.origin == "validation split of the training folder"


def test_the_fingerprint_tells_apart_data_that_differ_in_one_label(tmp_path: Path) -> None:
    draw_splits(tmp_path / "a", "train", "val")
    shutil.copytree(tmp_path / "a", tmp_path / "b")
    picture = sorted((tmp_path / "b" / "train" / "sad").iterdir())[0]
    shutil.move(picture, tmp_path / "b" / "train" / "happy")
    assert load(tmp_path / "a").fingerprint() != load(tmp_path / "b").fingerprint()
