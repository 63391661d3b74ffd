"""The Python interface, and the examples of its documentation."""

from __future__ import annotations

import re
import runpy
import threading
from itertools import groupby
from pathlib import Path

import numpy as np
import pytest

import emo_edge
from edge_runtime.drawn import INT8, LABELS, TIMELINE, save, scene
from edge_runtime.streaming import Camera
from emo_edge.errors import DataError, SourceError, UsageError

PAGE = Path(__file__).parents[2] / "docs" / "outputs.md"


def test_a_video_is_streamed_to_its_end(video: Path) -> None:
    read = list(emo_edge.stream(video, model=INT8))
    labels = [label for label, _ in groupby(r.label for r in read if r.label in LABELS)]
    assert labels == [expression for expression, _ in TIMELINE]
    assert all(sum(r.probabilities.values()) == pytest.approx(1, abs=1e-5) for r in read)


def test_a_camera_is_closed_when_the_generator_is() -> None:
    with Camera(scene("happy")[0]) as camera:
        before = threading.active_count()
        readings = emo_edge.stream(camera.url, model=INT8)
        assert threading.active_count() == before  # nothing is opened yet
        assert next(readings).label == "happy"
        assert any(thread.name == "capture" for thread in threading.enumerate())
        readings.close()
        assert not any(thread.name == "capture" for thread in threading.enumerate())


def test_what_the_command_refuses_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="no such file"):
        next(emo_edge.stream(tmp_path / "gone.mp4"))
    with pytest.raises(UsageError, match="no model 'huge'"):
        next(emo_edge.stream(0, model="huge"))
    with pytest.raises(UsageError, match="unknown detector"):
        next(emo_edge.stream(0, detector="yolo"))


def test_a_classifier_takes_a_face_or_a_box_in_a_picture() -> None:
    picture, (box,) = scene("surprised")
    classify = emo_edge.Classifier(INT8)
    whole = classify(picture, box)
    assert (whole.shape, whole.dtype) == ((len(LABELS),), np.float32)
    assert LABELS[int(whole.argmax())] == "surprised"
    x, y, side, _ = (round(v) for v in box[:4])
    crop = classify(np.ascontiguousarray(picture[y : y + side, x : x + side]))
    assert LABELS[int(crop.argmax())] == "surprised"


def test_a_shipped_model_goes_by_its_name() -> None:
    assert len(emo_edge.Classifier("small").spec.labels) == 8


@pytest.mark.parametrize(
    "image",
    [
        np.zeros((48, 48, 3), np.float32),
        np.zeros((48, 48, 4), np.uint8),
        np.zeros((0, 48, 3), np.uint8),
        np.zeros(48, np.uint8),
        "face.jpg",
        None,
    ],
    ids=lambda image: f"{getattr(image, 'dtype', image)}{np.shape(image)}",
)
def test_what_is_no_picture_is_refused(image: object) -> None:
    classify = emo_edge.Classifier(INT8)
    with pytest.raises(DataError, match="a picture is uint8"):
        classify(image)  # type: ignore[arg-type]


def test_a_public_name_stays_itself_whatever_is_imported() -> None:
    import emo_edge.api
    import emo_edge.sources

    assert all(callable(getattr(emo_edge, name)) for name in emo_edge.__all__ if "_" not in name)


EXAMPLES = re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)


@pytest.mark.parametrize("number", range(len(EXAMPLES)))
def test_the_examples_of_the_documentation_run(
    number: int,
    tmp_path: Path,
    video: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Each example, on a video instead of a camera and on a drawn face."""
    monkeypatch.chdir(tmp_path)
    save(tmp_path / "face.jpg", scene("happy")[0])
    (tmp_path / "talk.mp4").symlink_to(video)
    code = EXAMPLES[number].replace('"0"', '"talk.mp4"')
    (tmp_path / "example.py").write_text(code, encoding="utf-8")
    runpy.run_path(str(tmp_path / "example.py"))
    assert capsys.readouterr().out
