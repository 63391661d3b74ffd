from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from emo_bench.cli import app
from emo_bench.demo import share_right
from emo_bench.pictures import film_strip, timeline
from emo_train.synthetic import write_video
from running import assert_refused, call

TRUTH = [(0.0, 1.0, "happy"), (1.0, 2.5, "sad")]


def reading(time: float, label: str) -> dict[str, Any]:
    shown = label if label in ("happy", "sad") else "happy"
    return {
        "time": time,
        "label": label,
        "probabilities": {name: 0.9 if name == shown else 0.1 for name in ("happy", "sad")},
    }


@pytest.mark.parametrize(
    ("readings", "share"),
    [
        ([(0.0, "happy"), (0.5, "happy"), (2.0, "sad")], 1.0),
        ([(0.5, "sad"), (2.0, "happy")], 0.0),
        ([(0.9, "happy"), (1.0, "happy"), (1.0, "sad"), (2.4, "uncertain")], 0.5),
        ([(2.5, "sad"), (2.0, "sad")], 0.5),  # the film is over at 2.5 s
    ],
)
def test_a_reading_is_right_if_it_names_what_is_drawn_at_its_time(
    readings: list[tuple[float, str]], share: float
) -> None:
    assert share_right([reading(*entry) for entry in readings], TRUTH) == share


def is_picture(path: Path) -> bool:
    image = cv2.imread(str(path))
    return image is not None and len(np.unique(image)) > 2


def test_the_timeline_is_drawn(tmp_path: Path) -> None:
    records = [reading(0.1 * step, "happy" if step < 10 else "sad") for step in range(25)]
    timeline(tmp_path / "report" / "timeline.png", records, TRUTH)
    assert is_picture(tmp_path / "report" / "timeline.png")


def test_the_film_strip_is_drawn_from_the_video(tmp_path: Path) -> None:
    parts = (("happy", 0.4), ("sad", 0.4))
    truth = write_video(tmp_path / "film.mp4", timeline=parts, size=(160, 120), fps=10)
    film_strip(tmp_path / "frames.png", tmp_path / "film.mp4", truth)
    assert is_picture(tmp_path / "frames.png")


def test_an_existing_folder_is_refused_and_left_alone(tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("mine")
    assert_refused(call(app, "demo", "--out", tmp_path), 2, str(tmp_path), "exists")
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]
