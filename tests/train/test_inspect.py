from __future__ import annotations

import json
import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest

from emo_train.cli import app
from running import assert_done, assert_refused, call, draw_faces


@pytest.fixture
def messy(tmp_path: Path) -> Path:
    """Draw 4 + 2 faces of two classes, then add copies, a blank and a broken file."""
    root = tmp_path / "faces"
    for seed, label in enumerate(("happy", "sad")):
        draw_faces(root / "train" / label, 4, seed=seed, colour=label == "sad")
        draw_faces(root / "test" / label, 2, seed=10 + seed)
    first = sorted((root / "train" / "happy").iterdir())[0]
    shutil.copy(first, root / "train" / "happy" / "again.png")
    shutil.copy(first, root / "train" / "sad" / "wrong.png")
    shutil.copy(first, root / "test" / "happy" / "known.png")
    cv2.imwrite(str(root / "test" / "sad" / "blank.png"), np.full((64, 32), 9, np.uint8))
    (root / "train" / "sad" / "broken.jpg").write_bytes(b"no picture")
    return root


def test_inspect_says_what_is_there(messy: Path) -> None:
    outcome = call(app, "inspect", messy)
    assert_done(outcome)
    rows = [line.split() for line in outcome.stdout.splitlines()]
    assert rows[:4] == [
        ["class", "train", "test"],
        ["happy", "5", "3"],
        ["sad", "5", "3"],
        ["all", "10", "6"],
    ]
    assert "48x48 (15), 32x64 (1)" in outcome.stdout
    assert "grey 12, colour 4" in outcome.stdout
    assert "train/sad/broken.jpg" in outcome.stdout


def test_inspect_writes_survey_balance_and_contact_sheets(messy: Path, tmp_path: Path) -> None:
    assert_done(call(app, "inspect", messy, "--out", tmp_path / "look"))
    survey = json.loads((tmp_path / "look" / "survey.json").read_text())
    assert survey["counts"] == {"train": {"happy": 5, "sad": 5}, "test": {"happy": 3, "sad": 3}}
    assert survey["unreadable"] == {"train": [str(Path("train/sad/broken.jpg"))], "test": []}
    assert survey["blank"] == {"train": 0, "test": 1}
    assert survey["duplicates"] == {
        "within": {"train": 2, "test": 0},
        "across": {"train, test": 1},
        "under_more_than_one_class": 1,
    }
    for name in ("balance", "faces-happy", "faces-sad"):
        picture = cv2.imread(str(tmp_path / "look" / f"{name}.png"))
        assert picture is not None
        assert picture.std() > 1


def test_inspect_does_not_need_enough_pictures_to_train(tmp_path: Path) -> None:
    for label in ("happy", "sad"):
        draw_faces(tmp_path / label, 1)
    assert_done(call(app, "inspect", tmp_path))


def test_inspect_refuses_what_it_cannot_read(tmp_path: Path) -> None:
    assert_refused(call(app, "inspect", tmp_path / "absent"), 3, "does not exist")
    assert_refused(call(app, "inspect", tmp_path, "--labels", "raf"), 2, "'raf'", "ferplus-soft")
