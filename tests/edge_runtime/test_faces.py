"""Class folders of labelled faces, read through the contract."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_runtime.drawn import save
from emo_edge.contract import prepare, read_image
from emo_edge.errors import DataError
from emo_edge.faces import Faces, load_tree, one_hot, require_folder, stratified
from emo_edge.spec import ModelSpec

SPEC = ModelSpec(labels=("calm", "happy", "sad"), height=8, width=8)


def tree(root: Path) -> Path:
    """Write test/calm/a.png, test/calm/b.png and test/happy/c.png, each of its own brightness."""
    for value, name in enumerate(("calm/a.png", "calm/b.png", "happy/c.png")):
        save(root / "test" / name, np.full((20, 20, 3), 40 * value, np.uint8))
    return root / "test"


def test_folders_are_classes_and_pictures_pass_the_contract(tmp_path: Path) -> None:
    faces = load_tree(tree(tmp_path), tmp_path, SPEC)
    assert faces.names == ("test/calm/a.png", "test/calm/b.png", "test/happy/c.png")
    assert faces.truth.tolist() == [0, 0, 1]
    for pixels, name in zip(faces.pixels, faces.names, strict=True):
        np.testing.assert_array_equal(pixels[None], prepare(read_image(tmp_path / name), SPEC))


def test_what_no_one_meant_is_no_class(tmp_path: Path) -> None:
    folder = tree(tmp_path)
    for name in (
        ".ipynb_checkpoints/a.png",
        "__MACOSX/a.png",
        "calm/.hidden/a.png",
        "calm/._a.png",
    ):
        save(folder / name, np.zeros((9, 9, 3), np.uint8))
    assert len(load_tree(folder, tmp_path, SPEC)) == 3


def test_unreadable_pictures_are_named_and_skipped(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tree(tmp_path)
    (folder / "calm" / "aa.jpg").write_bytes(b"junk")
    assert load_tree(folder, tmp_path, SPEC).truth.tolist() == [0, 0, 1]
    assert f"skipped unreadable picture {folder / 'calm' / 'aa.jpg'}" in capsys.readouterr().err


def test_many_unreadable_pictures_are_counted(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tree(tmp_path)
    for number in range(7):
        (folder / "sad").mkdir(exist_ok=True)
        (folder / "sad" / f"{number}.jpg").write_bytes(b"junk")
    load_tree(folder, tmp_path, SPEC)
    *named, counted = capsys.readouterr().err.splitlines()
    assert len(named) == 5
    assert "skipped 7 unreadable pictures" in counted


def test_a_class_that_the_model_lacks_is_refused(tmp_path: Path) -> None:
    folder = tree(tmp_path)
    save(folder / "bored" / "x.png", np.zeros((9, 9, 3), np.uint8))
    with pytest.raises(DataError, match="classes that training lacks: bored"):
        load_tree(folder, tmp_path, SPEC)


def test_a_tree_without_a_readable_picture_is_refused(tmp_path: Path) -> None:
    (tmp_path / "calm").mkdir()
    (tmp_path / "calm" / "x.png").write_bytes(b"junk")
    with pytest.raises(DataError, match="holds no readable picture"):
        load_tree(tmp_path, tmp_path, SPEC)


def test_a_data_folder_that_is_none_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    require_folder(tmp_path)
    with pytest.raises(DataError, match="is not a folder"):
        require_folder(tmp_path / "file")
    with pytest.raises(DataError, match="does not exist"):
        require_folder(tmp_path / "gone")


def test_rows_are_taken_with_their_names_and_targets() -> None:
    pixels = np.arange(3, dtype=np.uint8).reshape(3, 1, 1, 1)
    faces = Faces(pixels, one_hot(np.array([2, 0, 1]), 3), ("a", "b", "c"))
    taken = faces.take(np.array([2, 0]))
    assert (len(taken), taken.names, taken.truth.tolist()) == (2, ("c", "a"), [1, 2])
    assert taken.pixels.ravel().tolist() == [2, 0]


@given(
    st.lists(st.integers(0, 3), min_size=1, max_size=200), st.integers(1, 300), st.integers(0, 9)
)
def test_a_stratified_sample_keeps_the_shares_and_every_class(
    classes: list[int], size: int, seed: int
) -> None:
    truth = np.array(classes)
    rows = stratified(truth, size, seed)
    np.testing.assert_array_equal(rows, stratified(truth, size, seed))
    assert len(set(rows.tolist())) == len(rows)
    share = min(1.0, size / len(truth))
    for klass in np.unique(truth):
        members, chosen = (truth == klass).sum(), (truth[rows] == klass).sum()
        assert chosen >= 1
        assert abs(chosen - share * members) <= 1
