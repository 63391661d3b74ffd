from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from emo_bench.boxes import read_boxes
from emo_bench.cli import app
from emo_edge.errors import DataError
from running import assert_done, assert_refused, call, run


@pytest.fixture(scope="module")
def scenes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with two grey pictures, a short video of the first, and boxes.csv."""
    folder = tmp_path_factory.mktemp("scenes")
    for name, grey in (("a.png", 90), ("b.png", 160)):
        cv2.imwrite(str(folder / name), np.full((120, 160, 3), grey, np.uint8))
    writer = cv2.VideoWriter(str(folder / "v.mp4"), cv2.VideoWriter.fourcc(*"mp4v"), 10, (160, 120))
    for _ in range(12):
        writer.write(np.full((120, 160, 3), 90, np.uint8))
    writer.release()
    # The detector "none" takes all of a picture for a face: one of these overlaps it enough.
    (folder / "boxes.csv").write_text(
        "image,x,y,w,h,label\na.png,0,0,160,100,face\nb.png,10,10,30,30,face\n"
    )
    return folder


@pytest.fixture(scope="module")
def measured(scenes: Path) -> dict[str, Any]:
    out = scenes / "out.json"
    options = ("--without-faces", scenes / "b.png", "--video", scenes / "v.mp4", "--json", out)
    outcome = run(
        "emo-bench", "detectors", "--data", scenes / "boxes.csv", "--detector", "none", *options
    )
    assert_done(outcome)
    assert "50.0%" in outcome.stdout
    envelope = json.loads(out.read_text())
    assert envelope["kind"] == "detectors"
    (result,) = envelope["results"]
    return dict(result)


def test_recall_and_false_positives_follow_the_overlap(measured: dict[str, Any]) -> None:
    on = measured["pictures"]
    assert (on["faces"], on["found"], on["recall"]) == (2, 1, 0.5)
    assert on["median_iou"] == pytest.approx(100 / 120, abs=1e-3)
    assert (on["false_positives"], on["false_positives_without_faces"]) == (1, 1)


def test_a_video_is_read_both_ways(measured: dict[str, Any]) -> None:
    (video,) = measured["videos"]
    assert video["frames"] == 12
    assert video["followed_of_searched"] == 1.0
    assert video["searched"]["frames_with_face"] == video["followed"]["frames_with_face"] == 1.0


def test_a_stricter_overlap_finds_less(scenes: Path) -> None:
    out = scenes / "strict.json"
    options = ("--detector", "none", "--iou", "0.9", "--json", out)
    assert_done(run("emo-bench", "detectors", "--data", scenes / "boxes.csv", *options))
    assert json.loads(out.read_text())["results"][0]["pictures"]["found"] == 0


def test_the_detector_that_ran_is_told(scenes: Path) -> None:
    out = scenes / "auto.json"
    options = ("--detector", "auto", "--json", out)
    assert_done(call(app, "detectors", "--data", scenes / "boxes.csv", *options))
    assert json.loads(out.read_text())["results"][0]["detector"] == "haar"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("image,x,y,w\na.png,1,2,3\n", "lacks the columns h"),
        ("image,x,y,w,h\na.png,1,2,3,x\n", "line 2 is not a box"),
        ("image,x,y,w,h\na.png,1,2,3,4\na.png,1,2,0,4\n", "line 3"),
        ("image,x,y,w,h\na.png,nan,2,1,4\n", "line 2"),
        ("image,x,y,w,h\n", "no boxes"),
    ],
)
def test_a_file_that_holds_no_boxes_is_refused(tmp_path: Path, text: str, words: str) -> None:
    path = tmp_path / "boxes.csv"
    path.write_text(text)
    with pytest.raises(DataError, match=words):
        read_boxes(path)


def test_a_missing_picture_and_an_unknown_detector_are_refused(
    scenes: Path, tmp_path: Path
) -> None:
    path = tmp_path / "boxes.csv"
    path.write_text("image,x,y,w,h\nnowhere.png,1,2,3,4\n")
    assert_refused(run("emo-bench", "detectors", "--data", path, "--detector", "none"), 3, "nowher")
    unknown = call(app, "detectors", "--data", scenes / "boxes.csv", "--detector", "eagle")
    assert_refused(unknown, 2, "eagle")


@pytest.mark.parametrize(
    ("options", "code", "word"),
    [(("--video", "nowhere.mp4"), 5, "nowhere.mp4"), (("--without-faces", "no.png"), 3, "no.png")],
)
def test_what_is_missing_is_told_before_anything_is_measured(
    scenes: Path, tmp_path: Path, options: tuple[str, ...], code: int, word: str
) -> None:
    out = tmp_path / "d.json"
    command = ("detectors", "--data", scenes / "boxes.csv", "--json", out)
    assert_refused(call(app, *command, "--detector", "none", *options), code, word)
    assert not out.exists()


def test_a_mark_of_the_byte_order_is_no_part_of_a_column(scenes: Path) -> None:
    marked = scenes / "marked.csv"
    marked.write_bytes(b"\xef\xbb\xbf" + (scenes / "boxes.csv").read_bytes())
    assert read_boxes(marked) == read_boxes(scenes / "boxes.csv")
