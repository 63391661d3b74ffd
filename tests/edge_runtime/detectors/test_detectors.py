"""The detector socket: faces where they were drawn, none elsewhere."""

from __future__ import annotations

import sys
from importlib import import_module
from pathlib import Path

import cv2
import cv2.data
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

from edge_runtime.drawn import INT8, flipped, save, scene
from emo_edge.cli import app
from emo_edge.contract import Box
from emo_edge.detectors import DETECTORS, make_detector
from emo_edge.doctor import examine
from emo_edge.errors import ModelError, UsageError
from emo_edge.tracking import iou


@pytest.fixture(params=["haar", "yunet"])
def name(request: pytest.FixtureRequest) -> str:
    if request.param == "yunet":
        request.getfixturevalue("yunet_cache")
    return str(request.param)


@pytest.mark.parametrize("zoom", [1, 3])
def test_each_drawn_face_is_found_once_at_any_resolution(name: str, zoom: int) -> None:
    picture, drawn = scene("happy", "surprised", "neutral")
    large = np.asarray(cv2.resize(picture, None, fx=zoom, fy=zoom), np.uint8)
    found = sorted(make_detector(name)(large))
    assert len(found) == len(drawn)
    for face, box in zip(found, drawn, strict=True):
        assert iou(face, Box(*(zoom * v for v in box[:4]))) > 0.6


def test_the_surest_face_is_first(name: str) -> None:
    scores = [box.score for box in make_detector(name)(scene("happy", "sad", "neutral")[0])]
    assert len(scores) > 1
    assert scores == sorted(scores, reverse=True)


@pytest.mark.parametrize(
    "shape", [(240, 320, 3), (8, 8, 3), (2000, 10, 3), (10, 2000, 3), (1, 4000, 3), (4000, 1, 3)]
)
def test_there_is_no_face_on_a_blank_wall(name: str, shape: tuple[int, int, int]) -> None:
    assert list(make_detector(name)(np.full(shape, 127, np.uint8))) == []


def test_yunet_boxes_faces_the_way_haar_does(yunet_cache: Path) -> None:
    picture, _ = scene("happy", "surprised", "neutral")
    by_haar, by_yunet = (sorted(make_detector(name)(picture)) for name in ("haar", "yunet"))
    for ours, theirs in zip(by_yunet, by_haar, strict=True):
        assert ours.w == ours.h
        assert iou(ours, theirs) > 0.75


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=30)
@given(st.lists(st.tuples(st.integers(1, 120), st.integers(1, 120)), min_size=1, max_size=4))
def test_yunet_answers_the_same_whatever_it_was_shown_before(
    yunet_cache: Path, sizes: list[tuple[int, int]]
) -> None:
    # OpenCV answers with what lay in memory when a side is short; the detector must not.
    used, picture = make_detector("yunet"), scene("happy")[0]
    for size in sizes:
        shown = np.asarray(cv2.resize(picture, size), np.uint8)
        found, fresh = used(shown), make_detector("yunet")(shown)
        assert len(found) == len(fresh)
        assert np.allclose(found, fresh, atol=0.01)
        assert all(-max(size) < box.x < 2 * max(size) for box in found)


def test_none_takes_the_whole_picture_for_the_face() -> None:
    assert make_detector("none")(np.zeros((20, 30, 3), np.uint8)) == [Box(0, 0, 30, 20)]


def test_an_unknown_detector_is_refused_with_the_names_there_are() -> None:
    with pytest.raises(UsageError, match=", ".join(DETECTORS)):
        make_detector("yolo")


# Which one it is ---------------------------------------------------------------------------------


def lines_of_a_run(tmp_path: Path, *options: str) -> tuple[int, list[str]]:
    picture = save(tmp_path / "face.png", scene("happy")[0])
    command = ["--model", str(INT8), "--source", str(picture), *options]
    result = CliRunner().invoke(app, command)
    return result.exit_code, result.stderr.splitlines()


def test_without_yunet_the_run_says_once_that_it_uses_haar_and_what_is_better(
    tmp_path: Path,
) -> None:
    code, said = lines_of_a_run(tmp_path)
    assert code == 0
    assert said[0] == "face detector: haar; for a better one run: emo-edge fetch-detector"
    assert len(said) == 2
    (finding,) = (finding for finding in examine(INT8) if finding.subject == "detector")
    assert (finding.verdict, finding.detail.partition(";")[0]) == ("note", "haar")
    assert finding.fix == "emo-edge fetch-detector"


def test_yunet_is_used_by_itself_once_it_was_fetched(tmp_path: Path, yunet_cache: Path) -> None:
    code, said = lines_of_a_run(tmp_path)
    assert (code, said[0], len(said)) == (0, "face detector: yunet", 2)
    (finding,) = (finding for finding in examine(INT8) if finding.subject == "detector")
    assert (finding.verdict, finding.detail) == ("OK", f"yunet ({yunet_cache})")


def test_yunet_by_name_is_never_replaced_by_another(tmp_path: Path) -> None:
    code, said = lines_of_a_run(tmp_path, "--detector", "yunet")
    assert code == 2
    assert said == [
        "error: the YuNet face detector is not on this machine; run: emo-edge fetch-detector"
    ]


@pytest.mark.parametrize("detector", ["auto", "yunet"])
def test_a_damaged_yunet_is_refused_not_replaced(yunet_cache: Path, detector: str) -> None:
    yunet_cache.write_bytes(flipped(yunet_cache.read_bytes(), 100_000))
    with pytest.raises(ModelError, match="is damaged; run: emo-edge fetch-detector"):
        make_detector(detector)
    (finding,) = (finding for finding in examine(INT8) if finding.subject == "detector")
    assert (finding.verdict, "is damaged" in finding.detail) == ("problem", True)


def test_debians_opencv_4_6_has_haar_elsewhere_and_is_too_old_for_yunet(
    yunet_cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    picture, there = scene("happy")[0], Path(cv2.data.haarcascades)
    monkeypatch.setattr("cv2.__version__", "4.6.0")
    monkeypatch.setitem(sys.modules, "cv2.data", None)
    haar = import_module("emo_edge.detectors.haar")
    monkeypatch.setattr(haar, "DEBIAN_CASCADES", there)
    assert len(make_detector("auto")(picture)) == 1
    with pytest.raises(UsageError, match=r"YuNet needs OpenCV 4.8, this is 4.6.0"):
        make_detector("yunet")
    monkeypatch.setattr(haar, "DEBIAN_CASCADES", yunet_cache.parent)
    with pytest.raises(UsageError, match="sudo apt install opencv-data"):
        make_detector("haar")


def test_the_run_works_for_a_user_without_a_home(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def homeless() -> Path:
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setattr(Path, "home", homeless)
    assert lines_of_a_run(tmp_path)[0] == 0
    code, said = lines_of_a_run(tmp_path, "--detector", "yunet")
    assert (code, "set XDG_CACHE_HOME" in said[-1]) == (8, True)
