from __future__ import annotations

import os
from pathlib import Path

import cv2
import numpy as np
import pytest

from emo_edge.errors import DataError, OutputError
from emo_train.data import open_layout
from emo_train.data.cache import cached


@pytest.fixture
def slow(tmp_path: Path) -> Path:
    for number in range(4):
        path = tmp_path / "drive" / "happy" / f"{number}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"face" * number)
        os.utime(path, ns=(10**18, 10**18 + number))
    return tmp_path / "drive"


def contents(root: Path) -> dict[str, bytes]:
    return {str(p.relative_to(root)): p.read_bytes() for p in root.rglob("*") if p.is_file()}


def test_the_copy_holds_the_same_files(slow: Path, tmp_path: Path) -> None:
    place = cached(slow, tmp_path / "fast")
    assert place.is_relative_to(tmp_path / "fast")
    assert contents(place) == contents(slow)


def test_only_what_is_missing_or_changed_is_copied_again(slow: Path, tmp_path: Path) -> None:
    place = cached(slow, tmp_path / "fast")
    before = {path: path.stat().st_ino for path in place.rglob("*.png")}
    (place / "happy" / "1.png").unlink()  # as if the copy had been interrupted
    (slow / "happy" / "2.png").write_bytes(b"other")
    (slow / "happy" / "3.png").unlink()
    assert cached(slow, tmp_path / "fast") == place
    assert contents(place) == contents(slow)
    same = {path for path in before if path.exists() and path.stat().st_ino == before[path]}
    assert {path.name for path in same} >= {"0.png"}
    assert place / "happy" / "2.png" not in same


def test_two_folders_of_one_name_do_not_mix(slow: Path, tmp_path: Path) -> None:
    other = tmp_path / "other" / "drive"
    (other / "sad").mkdir(parents=True)
    (other / "sad" / "a.png").write_bytes(b"sad")
    places = [cached(root, tmp_path / "fast") for root in (slow, other)]
    assert [contents(place) for place in places] == [contents(slow), contents(other)]


def test_a_single_file_keeps_its_suffix(tmp_path: Path) -> None:
    (tmp_path / "faces.npz").write_bytes(b"arrays")
    place = cached(tmp_path / "faces.npz", tmp_path / "fast")
    assert (place.suffix, place.read_bytes()) == (".npz", b"arrays")


def test_a_copy_is_the_same_data_set(tmp_path: Path) -> None:
    """Labels beside an archive, class folders that are links, and links that lead nowhere."""
    root, elsewhere = tmp_path / "faces", tmp_path / "elsewhere"
    elsewhere.mkdir()
    for name in ("happy", "sad"):
        (root / name).mkdir(parents=True)
        for folder in (root / name, elsewhere):
            cv2.imwrite(str(folder / f"{name}.png"), np.zeros((8, 8), np.uint8))
    (root / "neutral").symlink_to(elsewhere)
    (root / "sad" / "lost.png").symlink_to(tmp_path / "nowhere.png")
    (root / "sad" / "back").symlink_to(root)
    archive = tmp_path / "faces.npz"
    np.savez(archive, images=np.zeros((4, 8, 8), np.uint8), labels=[0, 1, 0, 1])
    (tmp_path / "labels.txt").write_text("sad\nhappy\n")
    for source in (root, archive):
        there, copied = open_layout(source), open_layout(cached(source, tmp_path / "fast"))
        assert copied.labels == there.labels
        assert copied.parts["train"].names[0] == there.parts["train"].names[0]
        assert len(copied.parts["train"]) == len(there.parts["train"])
    assert open_layout(cached(archive, tmp_path / "fast")).labels == ("sad", "happy")


def test_a_cache_that_cannot_be_is_refused(slow: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("mine")
    with pytest.raises(OutputError):
        cached(slow, tmp_path / "file")
    with pytest.raises(OutputError, match="is inside"):
        cached(slow, slow / "cache")
    with pytest.raises(DataError, match="does not exist"):
        cached(tmp_path / "absent", tmp_path / "fast")
    assert (tmp_path / "file").read_text() == "mine"
