"""What a board answers is what this machine answers."""

from __future__ import annotations

import functools
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from userland import RUNTIMES

from conftest import Once
from device.places import CORES, Guest
from emo_edge.shipped import shipped_models
from emo_train.synthetic import EXPRESSIONS, draw_identity, face_crop, write_video
from running import Outcome, assert_done, run

FACES = 24
# The runtimes' int8 kernels do not round alike, on Arm and x86 neither. Seen for the shipped models
# over these faces, LiteRT against tflite-runtime on x86: at most 0.057 (0.004 in the mean). A wrong
# kernel, or another preparation of the picture, is off by far more.
LARGEST_DIFFERENCE, MEAN_DIFFERENCE = 0.1, 0.01
# A face whose two best answers lie closer together than that is a tie (drawn faces are strange to
# nets that learned photographs); most are none.
LEAST_DECIDED = FACES * 2 // 3
# Haar's window grows by a tenth or more a step: a box may be one such step off, in its width.
BOX_DIFFERENCE = 0.1


@pytest.fixture(scope="session")
def faces(once: Once) -> Path:
    """Return a folder of drawn faces of as many people, 48x48, in colour."""

    def draw(folder: Path) -> None:
        folder.mkdir()
        rng = np.random.default_rng(7)
        for number in range(FACES):
            face = face_crop(draw_identity(rng), EXPRESSIONS[number % len(EXPRESSIONS)], rng)
            cv2.imwrite(str(folder / f"{number:02d}.png"), face)

    return once("faces", draw)


@pytest.fixture(scope="session")
def film(once: Once) -> Path:
    """Return a second of one drawn person, 640x480."""

    def draw(folder: Path) -> None:
        folder.mkdir()
        write_video(folder / "drawn.mp4", timeline=(("happy", 1.0),))

    return once("film", draw) / "drawn.mp4"


def readings(run: Callable[..., Outcome], *options: str | Path) -> list[dict[str, Any]]:
    done = run("emo-edge", "--no-tuned", "--jsonl", "-", *options)
    assert_done(done)
    return [json.loads(line) for line in done.stdout.splitlines()]


def answers(records: list[dict[str, Any]]) -> np.ndarray[Any, Any]:
    return np.array([list(record["probabilities"].values()) for record in records])


@pytest.mark.parametrize("model", shipped_models())
@pytest.mark.parametrize(("system", "board"), CORES)
def test_faces_are_classified_as_on_x86(
    guest: Guest, faces: Path, system: str, board: str, model: str
) -> None:
    userland = guest(system)
    options = ("--source", faces, "--detector", "none", "--model", model)
    here = answers(readings(run, *options))
    second, first = np.sort(here, axis=1)[:, -2:].T
    decided = first - second > LARGEST_DIFFERENCE
    assert len(here) == FACES
    assert decided.sum() >= LEAST_DECIDED
    on_board = functools.partial(userland.run, board, beside=True)
    for runtime in filter(userland.has, RUNTIMES):
        there = answers(readings(on_board, *options, "--backend", runtime))
        assert (there.argmax(axis=1) == here.argmax(axis=1))[decided].all(), runtime
        difference = np.abs(there - here)
        assert difference.max() <= LARGEST_DIFFERENCE, runtime
        assert difference.mean() <= MEAN_DIFFERENCE, runtime


@pytest.mark.parametrize(("system", "board"), CORES)
def test_a_film_is_read_as_on_x86(guest: Guest, film: Path, system: str, board: str) -> None:
    options = ("--source", film, "--detector", "haar")
    here = readings(run, *options)
    there = readings(functools.partial(guest(system).run, board), *options)
    assert [record["frame"] for record in there] == [record["frame"] for record in here]
    assert {record["track"] for record in there} == {1}
    boxes = [np.array([record["box"] for record in records]) for records in (here, there)]
    assert (np.abs(boxes[1] - boxes[0]) <= BOX_DIFFERENCE * boxes[0][:, 2:3]).all()
    assert [record["label"] for record in there] == [record["label"] for record in here]
