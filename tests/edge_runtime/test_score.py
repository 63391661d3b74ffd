"""Scoring in a process of its own."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner, Result

from edge_runtime.drawn import INT8, LABELS, flipped, scene
from emo_edge.classifier import Classifier
from emo_edge.contract import Image, prepare
from emo_edge.errors import ModelError
from emo_edge.score import app, score_in_own_process


def faces() -> Image:
    spec = Classifier(INT8).spec
    picture, boxes = scene("happy", "neutral", "surprised")
    return np.concatenate([prepare(picture, spec, box) for box in boxes])


def score(*arguments: object) -> Result:
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def test_the_child_answers_like_the_classifier_here() -> None:
    classify, pixels = Classifier(INT8), faces()
    scored = score_in_own_process(INT8, pixels)
    assert scored.probabilities.dtype == np.float32
    here = [classify.classify(face[None]) for face in pixels]
    np.testing.assert_array_equal(scored.probabilities, here)
    assert scored.runtime == classify.interpreter.backend.version
    assert scored.median_ms > 0


def test_the_childs_own_words_reach_the_caller(tmp_path: Path) -> None:
    damaged = tmp_path / "m.tflite"
    damaged.write_bytes(flipped(INT8.read_bytes(), 1000))
    with pytest.raises(ModelError, match=r"interpreter failed: .*checksum does not match"):
        score_in_own_process(damaged, faces())


def test_the_command_writes_its_answers(tmp_path: Path) -> None:
    np.savez(tmp_path / "faces.npz", pixels=faces())
    command = ["-m", "emo_edge.score", str(INT8), "faces.npz", "answers.out"]
    subprocess.run([sys.executable, *command], cwd=tmp_path, check=True)
    assert np.load(tmp_path / "answers.out").shape == (3, len(LABELS))


def whole_npz(folder: Path, **arrays: np.ndarray) -> bytes:
    path = folder / "made.npz"
    np.savez(path, **arrays)
    return path.read_bytes()


@pytest.mark.parametrize("kind", ["missing", "empty", "junk", "truncated", "other name", "npy"])
def test_faces_that_cannot_be_read_are_exit_code_3(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "faces.npz"
    npz = whole_npz(tmp_path, pixels=faces())
    np.save(tmp_path / "array.npy", faces())
    contents = {
        "empty": b"",
        "junk": b"no array",
        "truncated": npz[: len(npz) // 2],
        "other name": whole_npz(tmp_path, images=faces()),
        "npy": (tmp_path / "array.npy").read_bytes(),
    }
    if kind in contents:
        path.write_bytes(contents[kind])
    result = score(INT8, path, tmp_path / "answers.npy")
    assert result.exit_code == 3
    assert "cannot read faces from" in result.stderr
    assert not (tmp_path / "answers.npy").exists()


@pytest.mark.parametrize(
    "pixels", [np.zeros((2, 48, 48, 3), np.uint8), np.zeros((2, 48, 48, 1), np.float32)]
)
def test_faces_of_another_shape_or_type_are_exit_code_3(tmp_path: Path, pixels: np.ndarray) -> None:
    path = tmp_path / "faces.npz"
    np.savez(path, pixels=pixels)
    result = score(INT8, path, tmp_path / "answers.npy")
    assert result.exit_code == 3
    assert "the model takes uint8(1, 48, 48, 1)" in result.stderr


def test_answers_that_cannot_be_written_are_exit_code_8(tmp_path: Path) -> None:
    np.savez(tmp_path / "faces.npz", pixels=faces())
    result = score(INT8, tmp_path / "faces.npz", tmp_path / "faces.npz" / "answers.npy")
    assert result.exit_code == 8
    assert "cannot write" in result.stderr
