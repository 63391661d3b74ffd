"""Run the toolkit's commands, and draw what they are fed."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import typer
from typer.testing import CliRunner

from emo_train.synthetic import draw_identity, face_crop

ASSETS = Path(__file__).parent / "assets"

Outcome = subprocess.CompletedProcess[str]


def command_line(name: str, *arguments: str | Path) -> list[str]:
    """Return a command of this environment with its arguments."""
    return [str(Path(sys.executable).with_name(name)), *map(str, arguments)]


def run(name: str, *arguments: str | Path) -> Outcome:
    """Run a command as a user does."""
    words = command_line(name, *arguments)
    return subprocess.run(words, capture_output=True, text=True, check=False)


def call(app: typer.Typer, *arguments: str | Path) -> Outcome:
    """Run a command in this process: for those that would import TensorFlow anew every time.

    A bug's exception passes through.
    """
    words = [str(argument) for argument in arguments]
    result = CliRunner().invoke(app, words)
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return Outcome(words, result.exit_code, result.stdout, result.stderr)


def assert_done(outcome: Outcome) -> None:
    assert outcome.returncode == 0, outcome.stderr


def assert_refused(outcome: Outcome, code: int, *words: str) -> None:
    """One line says what happened, with the documented exit code and no traceback."""
    assert outcome.returncode == code, outcome.stderr
    assert "Traceback" not in outcome.stderr
    errors = [line for line in outcome.stderr.splitlines() if line.startswith("error: ")]
    assert len(errors) == 1, outcome.stderr
    for word in words:
        assert word in errors[0]


def wait_until(happened: Callable[[], bool], seconds: float = 30.0) -> None:
    """Wait for a condition; the limit only ends a test that has failed."""
    deadline = time.monotonic() + seconds
    while not happened():
        assert time.monotonic() < deadline, "it never happened"
        time.sleep(0.01)


def draw_faces(folder: Path, count: int, *, seed: int = 0, colour: bool = False) -> list[Path]:
    """Draw `count` different 48 x 48 faces into `folder`; equal seeds give equal pictures."""
    folder.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(seed)
    paths = [folder / f"{seed:03d}-{number:03d}.png" for number in range(count)]
    for path in paths:
        face = face_crop(draw_identity(rng), "happy", rng)
        cv2.imwrite(str(path), face if colour else cv2.cvtColor(face, cv2.COLOR_BGR2GRAY))
    return paths
